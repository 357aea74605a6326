# SPDX-License-Identifier: Apache-2.0
"""PostgreSQL and Galera in a lab of their own: the shipped experiments, short, by the real command.

Probes go over SSH to a vantage, with the libraries that speak each server's protocol.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from gameday.lab import Lab
from gameday.measures.base import Measurement
from gameday.measures.runner import measure_one
from gameday.record.record import load
from tests.lab.conftest import NAME
from tests.lab.drill import ROOT, Drill

CUT_S, HANG_S = 6, 6
OLD_S = 2
PROMOTE = """\
exec setpriv --reuid=postgres --regid=postgres --clear-groups \
"$(ls -d /usr/lib/postgresql/*/bin | tail -n 1)/pg_ctl" promote -D /var/lib/postgresql/data
"""


@pytest.fixture(scope="module")
def lab() -> Iterator[Lab]:
    """With both databases, and without what they do not need."""
    one = Lab(f"{NAME}_databases")
    one.down()
    one.up(without=["monitoring"], also=["postgresql", "galera"])
    yield one
    one.down()


@pytest.fixture
def drill(lab: Lab, tmp_path: Path) -> Drill:
    return Drill(lab, tmp_path)


def number(drill: Drill, kind: str) -> dict[str, int]:
    (found,) = [
        one["measurement"]
        for one in drill.report()["objectives"]
        if one["measurement"]["kind"] == kind
    ]
    assert found["status"] == "measured", found
    return {"lo": found["lo"], "hi": found["hi"]}


def test_a_standby_that_hears_nothing_gets_old_and_catches_up(drill: Drill) -> None:
    drill.meets("postgresql-replication-cut", CUT_S)
    found = number(drill, "replication-lag-excess")
    # What is older than two seconds begins two seconds after the cut and ends with it, later by
    # what it takes to catch up.
    assert found["hi"] >= (CUT_S - OLD_S) * 1_000_000_000
    assert 0 < found["lo"] <= found["hi"] < (CUT_S + 12) * 1_000_000_000


def test_a_hanging_member_is_thrown_out_and_comes_back(drill: Drill) -> None:
    drill.meets("galera-member-hangs-amsterdam", HANG_S)
    record = load(drill.run_directory)
    window = record.window()
    shown = {
        (target, seen.sample.value["cluster_size"], seen.sample.value["cluster_status"])
        for (_, target), looks in record.seen("galera").items()
        for seen in looks
        if seen.sample.ok and seen.start.lo > window.onset.hi
    }
    others = {(size, status) for target, size, status in shown if target != "ams-1"}
    assert others == {(3, "Primary"), (2, "Primary")}, "thrown out, and never without a quorum"
    assert ("ams-1", 3, "Primary") in shown, "it is back"
    params = {"probe": "galera", "members": ["ams-1"]}
    hung: Measurement = measure_one(
        record, {"name": "hung", "measure": "galera-non-primary", "params": params}
    )
    assert hung.lo is not None and hung.hi is not None
    assert hung.hi >= (HANG_S - 1) * 1_000_000_000, "for all that it tells, it was not there"


def test_a_standby_promoted_beside_its_primary_is_two_histories(drill: Drill) -> None:
    """The last test here: the lab has two primaries after it."""

    def shape(data: dict[str, Any]) -> None:
        data.clear()
        shipped = ROOT / "experiments" / "postgresql-replication-cut.yaml"
        data.update(yaml.safe_load(shipped.read_text(encoding="utf-8")))
        data["steady_state"] = {"for_s": 2, "checks": [{"probe": "user-http", "ok_percent": 90}]}
        data["faults"][0]["for_s"] = 10
        data["recover_s"] = 4
        (workload,) = [probe for probe in data["probes"] if probe["name"] == "workload"]
        workload["from"] = {"role": "postgresql"}

    process = drill.start(drill.experiment(shape))
    drill.wait_step("faults")
    promoted = drill.lab.exec("lon-1", ["sh", "-c", PROMOTE])
    assert promoted.returncode == 0, promoted.stdout
    assert process.wait(timeout=120) == 1, (drill.home / "run.log").read_text()
    found = {one["measurement"]["kind"]: one for one in drill.report()["objectives"]}
    assert found["promotion"]["measurement"]["status"] == "measured"
    torn = found["linearizable"]
    assert torn["judgement"] == "missed" and torn["measurement"]["lo"] >= 1, torn
