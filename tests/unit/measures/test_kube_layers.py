# SPDX-License-Identifier: Apache-2.0
"""What a cluster said, beside what was: a hole makes a number unknown or wider, never green."""

from __future__ import annotations

from typing import Any

from hypothesis import example, given, settings
from hypothesis import strategies as st

from gameday.measures.coverage import check_coverage
from gameday.measures.healthy import GOOD, healthy_label, says_healthy, told, whole_window
from gameday.measures.runner import measure_one
from gameday.record.record import Record
from gameday.record.types import Sample
from tests.unit.synthetic import MS, S, Truth, make_clocks, make_record

PERIOD, TOOK = 250 * MS, 8 * MS
USERS_FAIL = 9_800 * MS
SITE, NODE = "frankfurt", "mon-1"

Hole = tuple[int, int]
"""From and to, in ns after onset: no look that touches it is answered, no watch tells."""


def with_layer(gone_ns: int, latency_ns: int, hole: Hole | None, flap: bool = False) -> Record:
    """A run in which a kube-pods probe watches: healthy to ``gone_ns`` after onset.

    The watch tells it ``latency_ns`` later, as a sample that begins where the last look ended.
    """
    truth = Truth(users_ns=((0, USERS_FAIL),))
    record, mono = make_record(truth), make_clocks(truth).mono[NODE]
    begun = truth.probes_ns - truth.onset_ns
    until = truth.until_ns - truth.onset_ns
    found: list[tuple[int, int, bool | None]] = []
    told = gone_ns + latency_ns
    for at in range(begun, until, PERIOD):
        end = at + TOOK
        before = found[-1][1] if found else at
        if before < told <= at and not _in(hole, before, told):
            found.append((before, told, False))
        seen = None if _in(hole, at, end) else at + TOOK // 2 < gone_ns
        found.append((at, end, seen))
    samples = [
        Sample("layer", NODE, SITE, seq, lo + truth.onset_ns + mono, hi + truth.onset_ns + mono,
               seen is not None, {} if seen is None else {"healthy": seen},
               "" if seen is not None else "timeout: 250 ms")
        for seq, (lo, hi, seen) in enumerate(found)
    ]  # fmt: skip
    probe = {
        "name": "layer", "kind": "kube-pods", "period_ns": PERIOD, "timeout_ns": PERIOD,
        "params": {"site": SITE},
        "samplers": [{"node": NODE, "target": SITE, "addresses": [], "peers": []}],
    }  # fmt: skip
    plan = {**record.plan, "probes": [*record.plan["probes"], probe]}
    return Record(plan, record.events, [*record.samples, *samples])


def _in(hole: Hole | None, lo: int, hi: int) -> bool:
    return hole is not None and lo < hole[1] and hi > hole[0]


def ask(record: Record, measure: str, **params: Any) -> Any:
    """One measurement of the layer."""
    objective = {"name": "n", "measure": measure, "params": {"probe": "layer", "site": SITE,
                                                             **params}}  # fmt: skip
    return measure_one(record, objective)


gone = st.integers(300 * MS, 25 * S)
latency = st.integers(0, 240 * MS)
holes = st.none() | st.tuples(
    st.integers(-S, 20 * S), st.integers(1, 400 * MS) | st.integers(1, 8 * S)
).map(lambda pair: (pair[0], pair[0] + pair[1]))


@given(gone, latency, holes)
@settings(max_examples=60, deadline=None)
def test_withdrawal_holds_the_truth_or_is_unknown(g: int, late: int, hole: Hole | None) -> None:
    found = ask(with_layer(g, late, hole), "time-to-withdraw")
    if found.status == "measured":
        assert found.lo <= g <= found.hi
        if hole is None:
            # As exact as a poll of this period, and the watch makes it no wider. Told so soon after
            # a look that the clocks (with the onset, 6 ms) cannot order them, it is both.
            assert found.hi - found.lo <= PERIOD + 2 * TOOK + late + 6 * MS
    else:
        assert found.status == "unknown" or g + late + PERIOD > 30 * S


@given(gone, latency, holes)
@settings(max_examples=30, deadline=None)
def test_false_green_holds_the_truth_or_is_unknown(g: int, late: int, hole: Hole | None) -> None:
    found = ask(with_layer(g, late, hole), "false-green", users="user-http")
    green = min(g, USERS_FAIL)
    if found.status == "unknown":
        assert hole is not None
        return
    assert found.lo <= green
    assert found.hi is None or green <= found.hi


@given(gone, latency, holes)
@example(5 * S, 10 * MS, (2 * S, 2 * S + 20 * MS))
@settings(max_examples=60, deadline=None)
def test_a_hole_is_never_green(g: int, late: int, hole: Hole | None) -> None:
    record = with_layer(g, late, hole)
    fault = record.window()
    tell = says_healthy({"kind": "kube-pods", "params": {"site": SITE}}, SITE, frozenset())
    (found,) = told(record, "layer", whole_window(record, fault), healthy_label(tell)).values()
    onset = Truth().onset_ns
    good = [one for one in found if one.label == GOOD]
    assert all(one.hi <= onset + g for one in good), "what is over is not said to go on"
    looks = range(Truth().probes_ns - onset, Truth().until_ns - onset, PERIOD)
    missed = [at for at in looks if _in(hole, at, at + TOOK)]
    assert not any(one.lo < onset + at + TOOK and onset + at < one.hi
                   for one in good for at in missed)  # fmt: skip


def test_changes_make_no_look_good_that_is_missing() -> None:
    record = with_layer(2 * S, 10 * MS, None)
    (covered,) = [one for one in check_coverage(record) if one.probe == "layer"]
    assert covered.held
    # Every second look is missing; as many changes are told in quick succession instead.
    samples = [s for s in record.samples if s.probe != "layer" or s.seq % 2]
    mine = [s for s in samples if s.probe == "layer"]
    more = [
        Sample(s.probe, s.node, s.target, s.seq + 10_000, s.end_ns, s.end_ns + MS, True,
               {"healthy": True}, "")
        for s in mine
    ]  # fmt: skip
    thin = Record(record.plan, record.events, [*samples, *more])
    (covered,) = [one for one in check_coverage(thin) if one.probe == "layer"]
    assert not covered.held
