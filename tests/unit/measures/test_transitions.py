# SPDX-License-Identifier: Apache-2.0
"""The judge of changes: the truth lies inside, and the width is no wider than it must be."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from gameday.clock import Interval
from gameday.measures.transitions import first, settled
from gameday.record.record import Seen
from gameday.record.types import Sample

MS = 1_000_000
S = 1000 * MS
FAR = Interval(10**15, 10**15)


def seen(seq: int, start: int, end: int, ok: bool, bound: tuple[int, int] = (0, 0)) -> Seen:
    """A sample that is known in the run's time within ``bound`` (before, after) its stamps."""
    sample = Sample("p", "n", "t", seq, start, end, ok, {}, "" if ok else "timeout")
    before, after = bound
    return Seen(
        sample, Interval(start - before, start + after), Interval(end - before, end + after)
    )


def new(one: Seen) -> bool:
    """The new state is success."""
    return one.sample.ok


@st.composite
def timelines(draw: st.DrawFn) -> tuple[list[Seen], int, int, int]:
    """Samples of a stream that changes once at a true moment: samples, truth, period, clock."""
    period = draw(st.integers(20, 1000)) * MS
    spent_max = draw(st.integers(1, period // MS)) * MS
    phase = draw(st.integers(0, period))
    truth = draw(st.integers(5 * period, 30 * period))
    error = draw(st.integers(-3 * MS, 3 * MS))
    slack = draw(st.integers(0, 2 * MS)), draw(st.integers(0, 2 * MS))
    lost = draw(st.sets(st.integers(0, 40), max_size=draw(st.sampled_from([0, 0, 15]))))
    # The node's stamps are off by ``error``; the bound is an interval that holds it.
    bound = max(error, 0) + slack[0], max(-error, 0) + slack[1]
    samples = []
    for seq in range(40):
        spent = draw(st.integers(0, spent_max))
        start = phase + seq * period
        ok = start + draw(st.integers(0, spent)) >= truth
        if seq not in lost:
            stamp = start + error
            samples.append(seen(seq, stamp, stamp + spent, ok, bound))
    return samples, truth, period, sum(bound)


@settings(max_examples=300)
@given(timelines())
def test_settled_holds_the_truth(timeline: tuple[list[Seen], int, int, int]) -> None:
    samples, truth, period, clock = timeline
    found = settled(samples, new, period, FAR)
    if not any(new(s) for s in samples) or all(new(s) for s in samples):
        assert found.status == "unknown"
        return
    assert found.status == "measured"
    assert found.lo is not None and found.hi is not None
    assert found.lo <= truth <= found.hi
    assert sum(part.size for part in found.parts) >= found.hi - found.lo
    if not found.missing:
        assert found.hi - found.lo <= 2 * period + clock
    else:
        assert found.hi - found.lo <= (2 + found.missing) * period + clock


@settings(max_examples=300)
@given(timelines(), st.integers(0, 10), st.integers(0, 5 * MS))
def test_first_holds_the_truth(
    timeline: tuple[list[Seen], int, int, int], before: int, bound: int
) -> None:
    samples, truth, period, clock = timeline
    since = Interval(truth - before * period - bound, truth - before * period)
    found = first(samples, new, period, since, FAR)
    if not any(new(s) and s.start.lo >= since.hi for s in samples):
        assert found.status in ("never", "unknown")
        return
    assert found.lo is not None and found.hi is not None
    assert found.lo <= truth <= found.hi
    assert sum(part.size for part in found.parts) >= found.hi - max(found.lo, since.lo)
    if not found.missing and found.old is not None:
        assert found.hi - found.lo <= 2 * period + clock


def regular(*states: bool | None, period: int = 100 * MS) -> list[Seen]:
    """Samples of 10 ms, one a period; None leaves one out."""
    return [
        seen(seq, seq * period, seq * period + 10 * MS, state)
        for seq, state in enumerate(states)
        if state is not None
    ]


def test_bounds_are_the_start_of_the_last_old_and_the_end_of_the_first_new() -> None:
    found = settled(regular(False, False, True, True), new, 100 * MS, FAR)
    assert (found.lo, found.hi) == (100 * MS, 210 * MS)


def test_a_relapse_moves_the_settled_change_and_not_the_first() -> None:
    samples = regular(False, True, False, True, True)
    assert settled(samples, new, 100 * MS, FAR).moment == Interval(200 * MS, 310 * MS)
    found = first(samples, new, 100 * MS, Interval(0, 0), FAR)
    assert found.moment == Interval(0, 110 * MS)


def test_missing_samples_widen_and_are_named() -> None:
    found = settled(regular(False, False, None, None, True), new, 100 * MS, FAR)
    assert (found.lo, found.hi, found.missing) == (100 * MS, 410 * MS, 2)
    assert ("slow, missing or unusable samples", 200 * MS) in [
        (part.name, part.size) for part in found.parts
    ]


def test_samples_that_tell_nothing_widen() -> None:
    samples = regular(False, False, False, True)

    def state(one: Seen) -> bool | None:
        return None if one.sample.seq == 2 else new(one)

    assert settled(samples, state, 100 * MS, FAR).moment == Interval(100 * MS, 310 * MS)


def test_a_slow_old_sample_that_overlaps_the_first_new_one() -> None:
    # The slow one looked at some moment up to 350 ms: a success at 200 ms may lie before it.
    samples = [
        seen(0, 0, 10 * MS, False),
        seen(1, 100 * MS, 350 * MS, False),
        seen(2, 200 * MS, 210 * MS, True),
        seen(3, 400 * MS, 410 * MS, True),
    ]
    assert settled(samples, new, 100 * MS, FAR).moment == Interval(100 * MS, 410 * MS)


def test_never_needs_samples_up_to_the_end() -> None:
    samples = regular(*[False] * 10)
    until = Interval(1 * S, 1 * S)
    found = settled(samples, new, 100 * MS, until)
    assert (found.status, found.lo, found.hi) == ("never", 900 * MS, None)
    early = settled(samples[:4], new, 100 * MS, until)
    assert (early.status, early.reason) == ("unknown", "the samples stop before the end")


def test_blind_samples_at_the_end_are_not_never() -> None:
    samples = regular(*[False] * 10)

    def state(one: Seen) -> bool | None:
        return None if one.sample.seq > 7 else False

    found = settled(samples, state, 100 * MS, Interval(1 * S, 1 * S))
    assert found.status == "unknown"


def test_a_sample_that_reaches_beyond_the_end_does_not_count() -> None:
    samples = regular(False, True, True, False)
    found = settled(samples, new, 100 * MS, Interval(305 * MS, 306 * MS))
    assert found.moment == Interval(0, 110 * MS)


def test_nothing_is_unknown() -> None:
    assert settled([], new, MS, FAR).status == "unknown"
    assert first([], new, MS, Interval(0, 0), FAR).status == "unknown"
    assert settled(regular(True, True), new, MS, FAR).status == "unknown"


def test_first_without_an_old_sample_reaches_down_to_the_origin() -> None:
    found = first(regular(True, True, True), new, 100 * MS, Interval(40 * MS, 60 * MS), FAR)
    assert (found.lo, found.hi, found.old) == (40 * MS, 110 * MS, None)


def test_first_does_not_count_a_success_begun_before_the_origin() -> None:
    samples = [
        seen(0, 0, 95 * MS, True),
        seen(1, 100 * MS, 195 * MS, False),
        seen(2, 200 * MS, 210 * MS, True),
    ]
    found = first(samples, new, 100 * MS, Interval(50 * MS, 50 * MS), FAR)
    assert found.moment == Interval(100 * MS, 210 * MS)
