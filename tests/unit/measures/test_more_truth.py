# SPDX-License-Identifier: Apache-2.0
"""Measurements of several streams at once hold a known truth, whether samples are lost or not."""

from __future__ import annotations

from dataclasses import replace
from random import Random
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from gameday.clock import Interval
from gameday.measures.base import Measurement
from gameday.measures.runner import measure_one
from gameday.measures.spans import Span, Stretch, spans, sweep, total
from gameday.record.looks import Looks, Seen
from gameday.record.record import Record
from gameday.record.types import Sample
from tests.unit.measures.test_truth import HTTP_PERIOD, SLOW, clock_bound, holds, truths
from tests.unit.synthetic import MS, S, Truth, make_record
from tests.unit.synthetic_plan import ASKED_US, MEMBERS, MESH, SERVERS

PARAMS: dict[str, dict[str, Any]] = {
    "quorum-loss": {"probe": "etcd-write", "group": "main"},
    "leader-changes": {"probe": "etcd-status", "group": "main"},
    "premature-reintroduction": {"probe": "dns", "writes": "etcd-write", "site": "frankfurt"},
    "false-green": {"probe": "dns", "users": "user-http", "site": "frankfurt"},
    "rtt-achieved": {"probe": "mesh"},
}


@st.composite
def wider(draw: st.DrawFn) -> Truth:
    """Runs in which the site returns and writes again at some time."""
    truth = draw(truths())
    gone = max(truth.withdrawn_ns.values())
    return replace(
        truth,
        # Shorter than that, no member's writes need have seen it.
        reelected_ns=max(truth.reelected_ns, truth.period_ns + 40 * MS),
        returned_ns=draw(st.integers(gone + 2 * S, truth.fault_s * S)),
        writes_back_ns=draw(st.integers(0, 3 * S)),
        added_us=draw(st.integers(0, 60_000)),
        terms_lost=draw(st.integers(0, 3)),
    )


def true_values(truth: Truth) -> dict[str, int]:
    """What really was."""
    end = truth.fault_s * S
    assert truth.returned_ns is not None and truth.added_us is not None
    ((begin, until),) = truth.users_ns
    gone = max(truth.withdrawn_ns.values())
    # Frankfurt's own server answers again, with everything, when the cut ends.
    back = truth.returned_ns
    green = max(0, min(until, gone) - begin) + max(0, until - max(back, begin))
    return {
        "quorum-loss": truth.reelected_ns,
        "leader-changes": 1,
        "premature-reintroduction": end + truth.writes_back_ns - back,
        "false-green": green,
        "rtt-achieved": abs(truth.added_us - ASKED_US) * 1000,
    }


def measured(record: Record) -> dict[str, Measurement]:
    """All of them."""
    return {
        kind: measure_one(record, {"name": kind, "measure": kind, "params": params})
        for kind, params in PARAMS.items()
    }


@SLOW
@given(wider())
def test_every_measurement_holds_the_truth(truth: Truth) -> None:
    found, true, clock = measured(make_record(truth)), true_values(truth), clock_bound(truth)
    sampling = 2 * truth.period_ns + clock
    holds(found["quorum-loss"], true["quorum-loss"], 2 * sampling)
    holds(found["leader-changes"], 1, 1 + truth.terms_lost)
    # Each end is known to a look of the servers, and of the members.
    holds(found["premature-reintroduction"], true["premature-reintroduction"], 4 * sampling)
    both = 2 * (2 * HTTP_PERIOD + clock) + 4 * sampling
    if found["false-green"].status == "measured":
        holds(found["false-green"], true["false-green"], both)
    else:
        # Its last failed request was the last that went there.
        assert found["false-green"].status == "never"
    holds(found["rtt-achieved"], true["rtt-achieved"], 3 * MS)


@SLOW
@given(wider(), st.integers(0, 10**6))
def test_lost_samples_widen_and_never_lie(truth: Truth, seed: int) -> None:
    """A third of all samples is lost at random: the truth still lies inside, or is unknown."""
    streams = [(probe, m, m) for probe in ("etcd-write", "etcd-status") for m in MEMBERS]
    streams += [("dns", "cli-1", server) for server in SERVERS]
    streams += [("mesh", a, b) for a, b in MESH]
    streams += [("user-http", "cli-1", "app.gameday.test")]
    random = Random(seed)  # noqa: S311 - reproducible, not secret
    drop = frozenset((*key, seq) for key in streams for seq in range(900) if random.random() < 0.33)
    found, true = measured(make_record(replace(truth, drop=drop))), true_values(truth)
    for kind, one in found.items():
        if one.status == "measured":
            assert one.lo is not None and one.hi is not None
            assert one.lo <= true[kind] <= one.hi, kind
        elif one.status == "never":
            assert one.lo is not None and one.lo <= true[kind], kind


def looks(*items: tuple[int, int, bool]) -> Looks:
    """(start, number, ok) of looks that take no time."""
    return Looks.of(
        [
            Seen(Sample("p", "n", "n", seq, at, at, ok, {}, ""), Interval(at, at), Interval(at, at))
            for at, seq, ok in items
        ]
    )


def test_a_span_ends_at_another_word_at_a_missing_look_and_at_a_distance() -> None:
    seen = looks(
        (0, 0, True), (10, 1, True), (20, 2, False), (30, 3, False), (40, 5, False),
        (50, 6, False), (90, 7, False), (95, 8, False),
    )  # fmt: skip
    found = spans(seen, lambda sample: sample.ok, 20)
    assert found == [
        Span(0, 10, True), Span(20, 30, False), Span(40, 50, False), Span(90, 95, False),
    ]  # fmt: skip


def test_a_sweep_tells_sure_from_perhaps() -> None:
    streams = [[Span(0, 10, "a"), Span(20, 50, "b")], [Span(0, 30, "b"), Span(40, 60, "b")]]
    all_b = sweep(
        streams,
        lambda shown: False if "a" in shown else None if None in shown else True,
        Interval(5, 55),
    )
    sure = (Interval(20, 30), Interval(40, 50))
    assert all_b == [Stretch(10, 55, sure, open=True)]
    whole = total(all_b, Interval(25, 55), 1)
    assert (whole.lo, whole.hi) == (15, 45)
    assert sum(part.size for part in whole.parts) == 30
