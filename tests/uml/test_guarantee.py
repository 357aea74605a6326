# SPDX-License-Identifier: Apache-2.0
"""A slice of the guarantee's matrix: every kind and every death at least once.

The whole matrix is ``make guarantee``; see tests/guarantee.
"""

from __future__ import annotations

import warnings
from typing import Any

import pytest

from gameday.clock import NS_PER_S
from gameday.faults import TABLE
from tests.guarantee.cell import _judge
from tests.guarantee.drive import run_cell
from tests.guarantee.matrix import CASES, DEATHS, ELSEWHERE, Case, slice_of
from tests.uml.harness import Machine


def test_the_slice_leaves_nothing_out() -> None:
    """A new kind cannot skip the matrix."""
    assert {case.kind for case in CASES} == set(TABLE) - set(ELSEWHERE)
    cells = slice_of()
    assert {case.kind for case, _ in cells} == {case.kind for case in CASES}
    assert {death for _, death in cells} == set(DEATHS)


@pytest.mark.parametrize(
    ("case", "death"), slice_of(), ids=lambda one: one.name if isinstance(one, Case) else one
)
def test_the_fault_ends(machine: Machine, case: Case, death: str) -> None:
    """On time, with everything as it was before.

    As in ``make guarantee``, a cell that is wrong is made once more and both are told: writes and
    gaps are timed by a process, which cannot tell a starved machine from an effect that lasts.
    """
    outcome = run_cell(machine, case, death)
    if outcome.wrong:
        warnings.warn(f"made again: {case.name}, {death}: {outcome.wrong}", stacklevel=1)
        outcome = run_cell(machine, case, death)
    assert not outcome.wrong, f"{outcome.wrong}\n{outcome.found}"


def test_every_effect_belongs_to_the_window_before_it() -> None:
    """A second lease that was refused may have had its own window; between both is late."""
    first, second = (10 * NS_PER_S, 14 * NS_PER_S), (16 * NS_PER_S, 18 * NS_PER_S)

    def judged(*effects: tuple[int, int]) -> dict[str, Any]:
        tenth = NS_PER_S // 10
        looks = [(at, any(lo <= at <= hi for lo, hi in effects))
                 for at in range(9 * NS_PER_S, 21 * NS_PER_S, tenth)]  # fmt: skip
        return _judge(looks, [first, second])

    assert judged(first)["late_s"] is None and judged(first)["hit"]
    assert judged(first, second)["late_s"] is None
    assert judged(first, second)["ended_s"] == 0
    assert judged((10 * NS_PER_S, 15 * NS_PER_S))["late_s"] == 1
    assert judged(first, (16 * NS_PER_S, 20 * NS_PER_S))["late_s"] == 2
    assert judged((9 * NS_PER_S, 14 * NS_PER_S))["early"] == 10
