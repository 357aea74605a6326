# SPDX-License-Identifier: Apache-2.0
"""Offsets between clocks: the truth lies inside the bounds, whatever offset and drift are."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gameday.clock import NS_PER_MS, NS_PER_S, Exchange, Interval, NodeClock, wall_offset

BASE = 1_000 * NS_PER_S


def node_time(run_ns: int, offset_ns: int, drift_ppm: int) -> int:
    """What a node's clock shows at a moment of the run."""
    return run_ns + offset_ns + (run_ns - BASE) * drift_ppm // 1_000_000


@given(
    offset=st.integers(-90 * NS_PER_S, 90 * NS_PER_S),
    drift=st.integers(-199, 199),
    delays=st.lists(st.tuples(st.integers(1, 50), st.integers(1, 50)), min_size=1, max_size=20),
    at_s=st.integers(0, 120),
)
def test_truth_lies_inside(
    offset: int, drift: int, delays: list[tuple[int, int]], at_s: int
) -> None:
    exchanges = []
    for number, (there, back) in enumerate(delays):
        read = BASE + number * 2 * NS_PER_S
        mono = node_time(read, offset, drift)
        exchanges.append(Exchange(read - there * NS_PER_MS, read + back * NS_PER_MS, mono, mono))
    clock = NodeClock(exchanges)
    moment = BASE + at_s * NS_PER_S
    found = clock.to_run(node_time(moment, offset, drift))
    assert found.lo - 1 <= moment <= found.hi + 1


def test_the_bound_is_the_best_exchange_plus_drift() -> None:
    exchanges = [Exchange(0, 20 * NS_PER_MS, 10 * NS_PER_MS, 0),
                 Exchange(NS_PER_S, NS_PER_S + 2 * NS_PER_MS, NS_PER_S + NS_PER_MS, 0)]  # fmt: skip
    width = NodeClock(exchanges).to_run(NS_PER_S).width
    assert 2 * NS_PER_MS <= width < 3 * NS_PER_MS


def test_contradicting_exchanges_widen_instead_of_lying() -> None:
    exchanges = [Exchange(0, 10, 1_000, 0), Exchange(100, 110, 90_000_000, 0)]
    found = NodeClock(exchanges).offset(1_000)
    assert found.width > 80_000_000


def test_wall_offset_is_signed_like_the_node() -> None:
    ahead = Exchange(100, 102, 0, 5_000_000_101)
    found = wall_offset([ahead], (100, 100))
    assert found is not None and found.lo > 4_900_000_000
    assert wall_offset([], (0, 0)) is None


def test_an_interval_cannot_be_upside_down() -> None:
    with pytest.raises(ValueError, match="above"):
        Interval(2, 1)
    assert Interval(5, 7).minus(Interval(1, 2)) == Interval(3, 6)
