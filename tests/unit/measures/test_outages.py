# SPDX-License-Identifier: Apache-2.0
"""Outages of users: bounds at both ends, holes, and what lasts to the end."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from gameday.clock import Interval
from gameday.measures.outages import outages
from tests.unit.measures.test_transitions import regular, seen

MS = 1_000_000
ALL = Interval(0, 10**12)
PERIOD = 100 * MS


def upto(samples: int) -> Interval:
    """A window that ends with the samples."""
    return Interval(0, samples * PERIOD)


def test_two_good_ends_bound_one_outage() -> None:
    (found,) = outages(regular(True, False, False, True), upto(4), PERIOD)
    # At least from the end of the first failure to the start of the last, at most from the
    # start of the good one before to the end of the good one after.
    assert (found.lo, found.hi, found.failed) == (90 * MS, 310 * MS, 2)


def test_no_failure_is_no_outage() -> None:
    assert outages(regular(True, True, True, True), upto(4), PERIOD) == []


def test_missing_samples_between_good_ones_are_possible_outage() -> None:
    (found,) = outages(regular(True, None, None, None, True), upto(5), PERIOD)
    assert (found.lo, found.hi, found.failed) == (0, 410 * MS, 0)


def test_missing_samples_inside_a_run_end_what_is_certain() -> None:
    (found,) = outages(regular(True, False, None, False, False, True), upto(6), PERIOD)
    assert (found.lo, found.hi) == (90 * MS, 510 * MS)


def test_failing_to_the_end_has_no_end() -> None:
    (found,) = outages(regular(True, False, False, False), upto(4), PERIOD)
    assert (found.lo, found.hi, found.end) == (190 * MS, None, None)


def test_missing_to_the_end_has_no_end() -> None:
    (found,) = outages(regular(True, True), upto(20), PERIOD)
    assert (found.hi, found.failed) == (None, 0)


def test_outages_are_cut_to_the_window() -> None:
    window = Interval(250 * MS, 600 * MS)
    (found,) = outages(regular(True, False, False, False, False, True), window, PERIOD)
    assert found.hi == 510 * MS - 250 * MS
    assert found.begin == Interval(250 * MS, 250 * MS)


def test_an_outage_before_the_window_does_not_count() -> None:
    window = Interval(500 * MS, 900 * MS)
    samples = regular(True, False, True, True, True, True, True, True, True)
    assert outages(samples, window, PERIOD) == []


@given(st.lists(st.booleans(), min_size=3, max_size=40), st.integers(0, 90))
def test_bounds_hold_for_any_pattern(states: list[bool], spent: int) -> None:
    """Each request fails if it looked inside a true outage; that one lies within the bounds."""
    samples = [
        seen(seq, seq * PERIOD, seq * PERIOD + spent * MS, ok) for seq, ok in enumerate(states)
    ]
    window = upto(len(states))
    for found in outages(samples, window, PERIOD):
        assert found.lo >= 0
        if found.hi is not None:
            assert found.lo <= found.hi <= window.width
            assert sum(part.size for part in found.parts) >= found.hi - found.lo
    failed = sum(not ok for ok in states)
    assert sum(found.failed for found in outages(samples, ALL, PERIOD)) == failed
