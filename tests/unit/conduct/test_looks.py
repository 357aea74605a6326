# SPDX-License-Identifier: Apache-2.0
"""When leases are read back: every window is looked into."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gameday.clock import NS_PER_S
from gameday.conduct.looks import looks

LATE_NS = 1500 * 1_000_000
SECONDS = st.integers(0, 600)
FAULTS = st.lists(
    st.builds(lambda at, lasts: {"at_s": at, "for_s": lasts}, SECONDS, st.integers(1, 600)),
    min_size=1, max_size=8,
)  # fmt: skip


@pytest.mark.parametrize(
    ("faults", "expected_s"),
    [([(0, 30)], [1, 28.5]), ([(0, 4)], [1]), ([(0, 1)], [0.5]),
     # One that lies within the other is looked at too.
     ([(0, 35), (3, 25)], [1, 4, 26.5, 33.5]), ([(0, 30), (0, 30)], [1, 28.5])],
)  # fmt: skip
def test_soon_after_the_start_and_close_to_the_end(
    faults: list[tuple[int, int]], expected_s: list[float]
) -> None:
    given_ = [{"at_s": at, "for_s": lasts} for at, lasts in faults]
    assert [one / NS_PER_S for one in looks(given_, LATE_NS)] == expected_s


@given(FAULTS)
def test_every_window_is_looked_into_and_no_look_is_outside_of_all(
    faults: list[dict[str, Any]],
) -> None:
    found = looks(faults, LATE_NS)
    assert found == sorted(set(found))

    def inside(moment: int, fault: dict[str, Any]) -> bool:
        begin = fault["at_s"] * NS_PER_S
        return bool(begin < moment < begin + fault["for_s"] * NS_PER_S)

    assert all(any(inside(moment, fault) for moment in found) for fault in faults)
    assert all(any(inside(moment, fault) for fault in faults) for moment in found)
