# SPDX-License-Identifier: Apache-2.0
"""When leases are read back: in every window, and never twice where there is no time for it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gameday.clock import NS_PER_MS, NS_PER_S
from gameday.conduct.leases import looks_ns
from gameday.conduct.limits import FIRST_LOOK_NS, LATE_LOOK_NS

S = NS_PER_S
windows = st.lists(st.tuples(st.integers(0, 600), st.integers(1, 600)), min_size=1, max_size=8)


def plan(*found: tuple[int, int]) -> dict[str, list[dict[str, int]]]:
    return {"faults": [{"at_s": at, "for_s": lasts} for at, lasts in found]}


@pytest.mark.parametrize(
    ("faults", "found"),
    [
        ([(0, 60)], [1000, 58_500]),
        ([(0, 3)], [1000]),
        ([(0, 1)], [1000]),
        # The second window is over before the last look of the first.
        ([(0, 26), (3, 20)], [1000, 4000, 21_500, 24_500]),
        ([(0, 60), (0, 60)], [1000, 58_500]),
    ],
)
def test_each_window_has_its_own(faults: list[tuple[int, int]], found: list[int]) -> None:
    assert looks_ns(plan(*faults), LATE_LOOK_NS) == [one * NS_PER_MS for one in found]


@given(windows, st.integers(0, 400))
def test_none_is_without_a_look_once_it_has_begun(
    faults: list[tuple[int, int]], late_s: int
) -> None:
    found = looks_ns(plan(*faults), late_s * S)
    assert found == sorted(set(found)) and len(found) <= 2 * len(faults)
    for at, lasts in faults:
        own = [one for one in found if at * S + FIRST_LOOK_NS <= one <= (at + lasts) * S]
        assert own
        assert min(own) <= at * S + FIRST_LOOK_NS
