# SPDX-License-Identifier: Apache-2.0
"""The report of a record: golden bytes, what makes it invalid, and the lease table."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from gameday.record import kinds
from gameday.record.record import Record, load
from gameday.record.types import Event
from gameday.report.build import build_report, canonical
from gameday.report.finish import test_result as result_of
from tests.unit.synthetic import S, make_record, write_run

GOLDEN = Path(__file__).parents[2] / "cases" / "report" / "golden.json"


def report(**changes: Any) -> dict[str, Any]:
    """The report of a synthetic run."""
    return build_report(make_record(**changes))


def without(record: Record, *kinds_: str) -> Record:
    """The record without some kinds of events."""
    return Record(record.plan, [e for e in record.events if e.kind not in kinds_], record.samples)


def test_golden_bytes() -> None:
    """A change here is a change of what old runs are judged to be: look at it, then renew.

    Renew with: python -m tests.unit.report.renew_golden
    """
    assert canonical(build_report(make_record(), "golden")) == GOLDEN.read_bytes()


def test_stored_and_loaded_gives_the_same_bytes(tmp_path: Path) -> None:
    record = write_run(tmp_path / "run")
    assert canonical(build_report(load(tmp_path / "run"))) == canonical(build_report(record))


def test_integers_only() -> None:
    def walk(value: Any) -> None:
        assert not isinstance(value, float)
        for inner in value.values() if isinstance(value, dict) else value:
            if isinstance(inner, (dict, list)):
                walk(inner)
            else:
                assert not isinstance(inner, float)

    walk(json.loads(canonical(report())))


def test_a_good_run() -> None:
    found = report()
    assert found["verdict"]["verdict"] == "met"
    assert found["verdict"]["exit_code"] == 0
    assert found["findings"] == []
    assert result_of(found) == "PASSED"
    assert {lease["clean"] for lease in found["leases"]} == {True}
    assert found["leases"][0]["observed"] == {"active": "active", "ended": "absent"}
    assert len(found["clocks"]) == 11


def test_a_leak_makes_the_run_invalid() -> None:
    found = report(cut_leak=frozenset({("fra-1", "lon-1")}))
    assert (found["verdict"]["verdict"], found["verdict"]["exit_code"]) == ("invalid", 3)
    assert "effect of cut-frankfurt did not hold" in found["verdict"]["reasons"][0]
    assert result_of(found) == "FAILED"


def test_missing_samples_make_the_run_invalid() -> None:
    drop = frozenset(("dns", "cli-1", "ams-1", seq) for seq in range(100, 130))
    found = report(drop=drop)
    assert found["verdict"]["verdict"] == "invalid"
    assert "coverage: dns at cli-1 → ams-1" in found["verdict"]["reasons"][0]


def test_steady_state_that_did_not_hold_makes_the_run_invalid() -> None:
    record = make_record()
    data = {"check": "dns", "held": False, "ok": 3, "total": 20, "reason": "3 of 20 were good"}
    events = [
        Event(e.seq, e.at_ns, e.wall_ns, e.kind, data)
        if e.kind == kinds.STEADY and e.data["check"] == "dns"
        else e
        for e in record.events
    ]
    found = build_report(Record(record.plan, events, record.samples))
    assert found["verdict"]["verdict"] == "invalid"
    assert "steady state: dns: 3 of 20 were good" in found["verdict"]["reasons"]


def test_a_contradicted_prediction_is_a_finding_where_all_objectives_are_met() -> None:
    found = report(minority_writes=True)
    assert found["verdict"]["verdict"] == "met"
    assert found["findings"] == [
        "contradicted: fra-1 and fra-2 acknowledged 239 writes during the fault"
    ]
    assert result_of(found) == "WARNED"


def test_an_inventory_that_is_not_its_clusters_is_a_finding_where_all_objectives_are_met() -> None:
    record = make_record()
    finding = {
        "level": "unknown",
        "where": "fra",
        "what": "its cluster did not answer",
        "todo": "x",
    }
    data = {"clusters": [], "findings": [finding]}
    compared = Event(0, record.events[0].at_ns, record.events[0].wall_ns, kinds.COMPARED, data)
    found = build_report(Record(record.plan, [*record.events, compared], record.samples))
    assert found["verdict"]["verdict"] == "met"
    assert found["findings"] == ["inventory: fra: its cluster did not answer; x"]
    assert result_of(found) == "WARNED"


def test_not_clean_wins() -> None:
    found = report(clean=False, abort_ns=5 * S, detected_ns=None)
    assert (found["verdict"]["verdict"], found["verdict"]["exit_code"]) == ("not-clean", 4)
    assert found["verdict"]["reasons"][0] == "something is left on fra-1"
    assert found["clean"]["left"] == {"fra-1": ["iptables chain gameday-1a2b3c00 in filter"]}
    assert result_of(found) == "FAILED"


def test_a_node_that_was_not_read_back_is_not_clean() -> None:
    found = build_report(without(make_record(), kinds.CLEAN))
    assert found["verdict"]["verdict"] == "not-clean"
    assert "could not be read back" in found["verdict"]["reasons"][0]


def test_a_lease_that_was_only_meant_counts_as_touched() -> None:
    record = without(make_record(), kinds.CLEAN, kinds.ARMED)
    found = build_report(record)
    assert found["clean"]["touched"] == ["ams-1", "fra-1", "fra-2", "lon-1", "lon-2"]
    assert found["verdict"]["verdict"] == "not-clean"
    assert {lease["armed"] for lease in found["leases"]} == {False}


def test_an_aborted_run_says_by_whom() -> None:
    found = report(abort_ns=5 * S)
    assert (found["verdict"]["verdict"], found["verdict"]["outcome"]) == ("aborted", "aborted")
    assert found["verdict"]["reasons"][0] == "aborted by operator: Ctrl-C"
    assert result_of(found) == "FAILED"


def test_a_run_without_an_end_is_aborted() -> None:
    found = build_report(without(make_record(), kinds.RUN_ENDED))
    assert found["verdict"]["verdict"] == "aborted"


def test_a_run_that_never_armed_is_not_green() -> None:
    record = without(
        make_record(), kinds.ARMED, kinds.ARM_INTENT, kinds.CLEAN, kinds.DISARMED, kinds.OBSERVED
    )
    found = build_report(record)
    assert found["clean"] == {
        "proven": True, "touched": [], "left": {}, "not_read_back": [], "foreign_changed": {},
    }  # fmt: skip
    assert found["verdict"]["verdict"] == "invalid"


@pytest.mark.parametrize("judgement", ["unknown"])
def test_unknown_is_never_passed(judgement: str) -> None:
    drop = frozenset(("etcd-write", "lon-1", "lon-1", seq) for seq in range(30, 38))
    found = report(drop=drop, reelected_ns=4_800_000_000)
    assert found["verdict"]["verdict"] != "met" or result_of(found) == "PASSED"
    found["verdict"]["verdict"] = judgement
    assert result_of(found) == "WARNED"
