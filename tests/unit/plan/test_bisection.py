# SPDX-License-Identifier: Apache-2.0
"""A search that ends, never tries twice, and never says more than its runs."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from gameday.plan.bisection import STEP_US, Tried, bounds, contradictions, next_us

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
