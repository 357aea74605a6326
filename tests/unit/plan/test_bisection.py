# SPDX-License-Identifier: Apache-2.0
"""A search that ends, never tries twice, and never says more than its runs."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from gameday.plan.bisection import (
    STEP_US,
    Tried,
    bounds,
    contradictions,
    hold_s,
    next_us,
    too_short,
)

LEAST, MOST, PERCENT = 20_000, 2_000_000, 10


@given(st.integers(min_value=1, max_value=4_000_000))
def test_it_ends_with_the_limit_between_both_ends(limit_us: int) -> None:
    tried: list[Tried] = []
    while (rtt_us := next_us(LEAST, MOST, PERCENT, tried)) is not None:
        assert rtt_us not in {t.rtt_us for t in tried}
        assert LEAST <= rtt_us <= MOST
        tried.append(Tried(rtt_us, "kept" if rtt_us <= limit_us else "broke"))
        assert len(tried) <= 10
    kept, broke = bounds(tried)
    assert kept is None or kept <= limit_us
    assert broke is None or broke > limit_us
    if kept is not None and broke is not None:
        assert broke - kept <= max(2 * STEP_US, broke * PERCENT // 100)
    assert not contradictions(tried)


def test_where_the_least_breaks_nothing_more_is_tried() -> None:
    assert next_us(LEAST, MOST, PERCENT, [Tried(LEAST, "broke")]) is None


def test_where_the_most_is_kept_nothing_more_is_tried() -> None:
    tried = [Tried(LEAST, "kept"), Tried(MOST, "kept")]
    assert next_us(LEAST, MOST, PERCENT, tried) is None
    assert bounds(tried) == (MOST, None)


def test_a_run_that_does_not_tell_stops_it() -> None:
    tried = [Tried(LEAST, "kept"), Tried(MOST, "broke"), Tried(200_000, "unknown")]
    assert next_us(LEAST, MOST, PERCENT, tried) is None
    assert bounds(tried) == (LEAST, MOST)


def test_what_is_not_monotonic_is_said() -> None:
    tried = [Tried(LEAST, "kept"), Tried(300_000, "broke"), Tried(MOST, "kept")]
    assert bounds(tried) == (LEAST, 300_000)
    assert "300 ms broke" in contradictions(tried)[0]


def test_how_long_a_round_trip_is_held() -> None:
    """Ten election timeouts of the slowest group, and 20 s where there is none."""
    assert hold_s({}) == hold_s({"main": 1000}) == 20
    assert hold_s({"main": 1000, "slow": 5500}) == 55


def test_a_hold_that_is_too_short_for_an_election_is_said() -> None:
    assert too_short(20, {"main": 1000}) == []
    (line,) = too_short(3, {"main": 1000, "quick": 100})
    assert line.startswith("main: its election timeout is 1000 ms") and "--hold 10s" in line
