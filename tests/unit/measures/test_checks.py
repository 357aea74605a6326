# SPDX-License-Identifier: Apache-2.0
"""Predictions, the effect gate, coverage, and the runner that nothing may crash."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from gameday.faults.profiles import constant
from gameday.measures import TABLE
from gameday.measures.base import Measurement
from gameday.measures.coverage import check_coverage
from gameday.measures.effect import check_effects
from gameday.measures.effect_nodes import check_nodes
from gameday.measures.predictions import Prediction, check_predictions
from gameday.measures.runner import measure_all, measure_one
from gameday.record import kinds
from gameday.record.record import Record
from gameday.record.types import Event
from tests.unit.synthetic import S, Truth, make_clocks, make_record
from tests.unit.synthetic_plan import CONTROL, MEMBERS


def predictions(**changes: Any) -> tuple[Prediction, Prediction]:
    """What became of: the minority stops, the majority goes on."""
    stop, go_on = check_predictions(make_record(**changes))
    return stop, go_on


def dropped(probe: str, node: str, target: str, first: int, last: int) -> frozenset[Any]:
    """Numbers first to last of one stream."""
    return frozenset((probe, node, target, seq) for seq in range(first, last + 1))


def test_both_predictions_hold() -> None:
    stop, go_on = predictions()
    assert (stop.observed, go_on.observed) == ("as-predicted", "as-predicted")
    assert "acknowledged no write" in stop.seen
    assert "by 1." in go_on.seen


def test_a_minority_that_writes_contradicts() -> None:
    stop, _ = predictions(minority_writes=True)
    assert stop.observed == "contradicted"
    assert "fra-1 and fra-2 acknowledged" in stop.seen


def test_a_minority_with_missing_samples_is_unknown() -> None:
    stop, _ = predictions(drop=dropped("etcd-write", "fra-1", "fra-1", 50, 52))
    assert stop.observed == "unknown"
    assert "3 samples are missing" in stop.seen


def test_a_minority_without_samples_is_unknown() -> None:
    stop, _ = predictions(drop=dropped("etcd-write", "fra-1", "fra-1", 0, 999))
    assert stop.observed == "unknown"


def test_a_majority_that_never_writes_contradicts() -> None:
    _, go_on = predictions(reelected_ns=60 * S)
    assert go_on.observed == "contradicted"
    assert "acknowledged no write during the fault" in go_on.seen


def test_a_majority_that_had_too_little_time_is_unknown() -> None:
    _, go_on = predictions(reelected_ns=60 * S, abort_ns=3 * S)
    assert go_on.observed == "unknown"
    assert "ended early" in go_on.seen


def test_a_majority_without_samples_at_the_end_is_unknown() -> None:
    drop = frozenset().union(
        *(dropped("etcd-write", m, m, 60, 999) for m in ("ams-1", "lon-1", "lon-2"))
    )
    _, go_on = predictions(drop=drop)
    assert go_on.observed == "unknown"


def test_no_write_probe_is_unknown() -> None:
    record = make_record()
    probes = [p for p in record.plan["probes"] if p["kind"] != "etcd-write"]
    blind = Record({**record.plan, "probes": probes}, record.events, record.samples)
    assert {p.observed for p in check_predictions(blind)} == {"unknown"}


def test_a_leak_fails_the_gate_and_is_named() -> None:
    (effect,) = check_effects(make_record(cut_leak=frozenset({("fra-1", "lon-1")})))
    assert effect.held is False
    assert effect.evidence[0].startswith("fra-1 → lon-1: answered")


def test_a_pair_without_samples_leaves_the_gate_unknown() -> None:
    drop = dropped("effect:cut-frankfurt", "fra-1", "lon-1", 0, 999)
    (effect,) = check_effects(make_record(drop=drop))
    assert effect.held is None
    assert "fra-1 → lon-1" in effect.evidence[0]


def test_a_control_pair_may_lose_a_few_and_not_many() -> None:
    record = make_record()
    node, target = CONTROL[0]

    def lossy(lost: int) -> Record:
        samples = list(record.samples)
        places = [
            at
            for at, s in enumerate(samples)
            if s.probe.startswith("effect") and (s.node, s.target) == (node, target) and s.seq > 60
        ]
        for at in places[:lost]:
            fields = {**vars(samples[at]), "ok": False, "reason": "timeout: 250 ms"}
            samples[at] = type(samples[at])(**fields)
        return Record(record.plan, record.events, samples)

    assert check_effects(lossy(2))[0].held is True
    failed = check_effects(lossy(3))[0]
    assert failed.held is False
    assert "was not meant to be hit" in failed.evidence[0]


@pytest.mark.parametrize(
    ("asked_us", "slower_us", "held"),
    [
        (18_000, 1_000, True), (18_000, 5_000, False),
        # A busy machine's 7 ms are not a leak of 90; a tenth of them, or of half, would be.
        (90_000, 7_000, True), (90_000, 11_000, False), (90_000, 45_000, False),
    ],
)  # fmt: skip
def test_a_control_pair_may_be_slower_by_a_share_of_what_was_asked(
    asked_us: int, slower_us: int, held: bool
) -> None:
    whole = make_record()
    node, target = CONTROL[0]
    since = Truth().onset_ns
    offset = make_clocks(Truth()).mono[node]
    samples = [
        replace(s, end_ns=s.end_ns + slower_us * 1000)
        if s.probe.startswith("effect") and (s.node, s.target) == (node, target)
        and s.start_ns > since + offset else s
        for s in whole.samples
    ]  # fmt: skip
    name, planned = next(iter(whole.plan["effect"].items()))
    shifted = {"shifted": [["fra-1", "lon-1"]], "profile": constant(asked_us), "spread_us": 0}
    plan = {**whole.plan, "effect": {name: {**planned, **shifted}}}
    (effect,) = check_effects(Record(plan, whole.events, samples))
    (pair,) = [p for p in effect.pairs if (p.role, p.node, p.target) == ("control", node, target)]
    assert pair.held is held, pair.text
    assert held or "slower" in pair.text


def test_a_fault_that_was_never_armed_leaves_the_gate_unknown() -> None:
    record = make_record()
    events = [e for e in record.events if e.kind != "lease.armed"]
    unarmed = Record(record.plan, events, record.samples)
    assert check_effects(unarmed)[0].held is None


def looked(*observations: dict[str, Any]) -> tuple[bool | None, str]:
    """What is made of looks at the lease of ``fra-1``, which alone has one."""
    record = make_record()
    (lease,) = [one for fault in record.plan["faults"] for one in fault["leases"]
                if one["node"] == "fra-1"]  # fmt: skip
    (fault,) = record.plan["faults"]
    plan = {**record.plan, "faults": [{**fault, "leases": [lease]}]}
    events = [e for e in record.events if e.kind != kinds.OBSERVED]
    for one in observations:
        found = {"left": [], "counters": {}, "foreign_changed": [], **one}
        data = {"node": "fra-1", "lease": lease["id"], "when": "active", "observation": found}
        last = events[-1]
        events.append(Event(len(events), last.at_ns, last.wall_ns, kinds.OBSERVED, data))
    return check_nodes(Record(plan, events, record.samples), fault["name"])


ACTIVE, PART = {"state": "active"}, {"state": "foreign"}
UNREAD = {"state": "foreign", "unread": True}


@pytest.mark.parametrize(
    ("looks", "held"),
    [
        ([], None),
        ([ACTIVE], True),
        ([PART], False),
        ([PART, ACTIVE], True),
        # An API server that does not answer says neither that it is there nor that it is not.
        ([UNREAD], None),
        ([UNREAD, UNREAD], None),
        ([UNREAD, ACTIVE], True),
        ([ACTIVE, UNREAD], True),
        ([PART, UNREAD], None),
        ([PART, PART], False),
    ],
)
def test_what_nobody_could_read_did_neither_hold_nor_fail(
    looks: list[dict[str, Any]], held: bool | None
) -> None:
    assert looked(*looks)[0] is held


def test_full_coverage() -> None:
    rows = check_coverage(make_record())
    assert all(row.held and row.gaps == 0 for row in rows)
    assert {row.node for row in rows if row.probe == "etcd-write"} == set(MEMBERS)


@pytest.mark.parametrize("lost, held", [(8, True), (13, False)])
def test_under_95_percent_is_not_enough(lost: int, held: bool) -> None:
    drop = dropped("etcd-write", "lon-1", "lon-1", 60, 59 + lost)
    rows = check_coverage(make_record(drop=drop))
    (row,) = [r for r in rows if (r.probe, r.node) == ("etcd-write", "lon-1")]
    assert (row.held, row.gaps) == (held, lost)


def test_a_sampler_without_any_sample() -> None:
    drop = dropped("dns", "cli-1", "ams-1", 0, 999)
    rows = check_coverage(make_record(drop=drop))
    (row,) = [r for r in rows if (r.probe, r.target) == ("dns", "ams-1")]
    assert (row.delivered, row.ppm, row.held) == (0, 0, False)


def test_samples_of_a_node_whose_clock_is_unknown_count_for_nothing() -> None:
    record = make_record()
    events = [e for e in record.events if e.kind != "clock.exchange" or e.data["node"] != "cli-1"]
    found = {m.kind: m for m in measure_all(Record(record.plan, events, record.samples))}
    assert found["time-to-withdraw"].status == "unknown"
    assert found["client-failure-share"].status == "unknown"
    assert found["re-election"].status == "measured"


def test_a_run_that_was_never_armed_measures_nothing() -> None:
    record = make_record()
    events = [e for e in record.events if e.kind != "lease.armed"]
    found = measure_all(Record(record.plan, events, record.samples))
    assert {m.status for m in found} == {"unknown"}
    assert all("was not armed" in m.reason for m in found)


def test_a_run_without_samples_is_unknown_everywhere() -> None:
    record = make_record()
    found = measure_all(Record(record.plan, record.events, []))
    assert {m.status for m in found} == {"unknown"}


def test_a_crashed_measurement_is_unknown_with_its_error(monkeypatch: pytest.MonkeyPatch) -> None:
    class Broken:
        kind, unit, summary = "re-election", "ns", ""
        Params = TABLE["re-election"].Params

        def measure(self, name: str, params: Any, record: Record) -> Measurement:
            """Always crashes."""
            return Measurement(name, self.kind, "ns", "measured", 1 // 0, 1)

    monkeypatch.setitem(TABLE, "re-election", Broken())
    found = {m.kind: m for m in measure_all(make_record())}
    assert found["re-election"].status == "unknown"
    assert "ZeroDivisionError" in found["re-election"].reason
    assert found["time-to-detect"].status == "measured"


@pytest.mark.parametrize(
    "objective, reason",
    [
        ({"name": "x", "measure": "no-such"}, "knows no measurement 'no-such'"),
        ({"name": "x", "measure": "re-election", "params": {"prob": "y"}}, "unknown parameters"),
        ({"name": "x", "measure": "re-election", "params": {}}, "missing 2 required"),
        (
            {"name": "x", "measure": "re-election", "params": {"probe": "none", "group": "main"}},
            "no probe 'none'",
        ),
    ],
)
def test_a_wrong_objective_is_unknown(objective: dict[str, Any], reason: str) -> None:
    found = measure_one(make_record(), objective)
    assert found.status == "unknown"
    assert reason in found.reason
