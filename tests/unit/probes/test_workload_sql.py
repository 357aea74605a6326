# SPDX-License-Identifier: Apache-2.0
"""What is certain and what is open about a call on an SQL database that failed."""

from __future__ import annotations

from typing import Any

import pytest
import yaml
from pymysql.err import InternalError, OperationalError

from gameday.clock import NS_PER_S
from gameday.errors import InvalidInput
from gameday.experiment import parse_experiment
from gameday.probes import TABLE
from gameday.probes.base import Failed, Schedule, Target, Value
from gameday.probes.deadline import Deadline
from gameday.probes.workload import CallFailed
from gameday.probes.workload_galera import GaleraRows, _failed
from gameday.probes.workload_pgsql import PgRows
from gameday.probes.workload_sql import Rows
from tests.unit.plan.test_make import GOOD

KINDS = ("postgresql-workload", "galera-workload")


def rows(kind: str) -> Any:
    params = TABLE[kind].Params(address="127.0.0.1", port=1)
    schedule = Schedule(NS_PER_S, NS_PER_S, run="r", probe="p")
    return Rows(params, "n", Target("n", ("127.0.0.1",), ()), schedule)


@pytest.mark.parametrize("kind", KINDS)
def test_nothing_was_done_where_nobody_was_reached(kind: str) -> None:
    store = PgRows(rows(kind)) if kind == KINDS[0] else GaleraRows(rows(kind), causal=True)
    with pytest.raises(CallFailed) as caught:
        store.write("k0", 1, "n#1")
    assert caught.value.applied == "no" and "refused" in caught.value.reason


@pytest.mark.parametrize("kind", KINDS)
def test_a_workload_that_reaches_nobody_goes_on_trying(kind: str) -> None:
    probe = TABLE[kind]
    look = probe.sampler(
        probe.Params(address="127.0.0.1", port=1), "n", Target("n", ("127.0.0.1",), ()),
        Schedule(NS_PER_S, NS_PER_S, run="r", probe="p"),
    )  # fmt: skip
    for _ in range(2):
        found = look()
        assert isinstance(found, Failed) and not isinstance(found, Value)
        assert found.value == {"op": "prepare"}


@pytest.mark.parametrize(
    ("error", "committing", "applied"),
    [
        (OperationalError(1213, "Deadlock found"), True, "no"),
        (OperationalError(1213, "Deadlock found"), False, "no"),
        (OperationalError(1047, "WSREP has not yet prepared node"), False, "no"),
        (OperationalError(1047, "WSREP has not yet prepared node"), True, "maybe"),
        (InternalError(1180, "Got error during COMMIT"), True, "maybe"),
        (OperationalError(2013, "Lost connection"), True, "maybe"),
        (OperationalError(2013, "Lost connection"), False, "no"),
    ],
)
def test_galera_s_errors(error: Exception, committing: bool, applied: str) -> None:
    found = _failed(error, committing, Deadline(NS_PER_S))
    assert found.applied == applied


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("wrong", [{"schema": "a b"}, {"schema": ""}, {"keys": 0}])
def test_parameters_that_could_reach_elsewhere_are_refused(
    kind: str, wrong: dict[str, Any]
) -> None:
    parse_experiment(with_probe(kind, {"schema": "drills", "keys": 3}), "x.yaml")
    with pytest.raises(InvalidInput):
        parse_experiment(with_probe(kind, wrong), "x.yaml")


def with_probe(kind: str, params: dict[str, Any]) -> str:
    """The good experiment with a workload in it."""
    data = yaml.safe_load(GOOD)
    data["probes"].append({
        "name": "calls", "kind": kind, "from": {"role": "etcd"}, "period_ms": 500, "params": params
    })  # fmt: skip
    return yaml.safe_dump(data)
