# SPDX-License-Identifier: Apache-2.0
"""A slice of the guarantee's matrix: every kind and every death at least once.

The whole matrix is ``make guarantee``; see tests/guarantee.
"""

from __future__ import annotations

import warnings

import pytest

from gameday.faults import TABLE
from tests.guarantee.drive import run_cell
from tests.guarantee.matrix import CASES, DEATHS, Case, slice_of
from tests.uml.harness import Machine

ELSEWHERE = {"power"}
"""Kinds whose effect is not on a node: tests/lab/test_power.py has their deaths."""


def test_the_slice_leaves_nothing_out() -> None:
    """A new kind cannot skip the matrix."""
    assert {case.kind for case in CASES} == set(TABLE) - ELSEWHERE
    cells = slice_of()
    assert {case.kind for case, _ in cells} == {case.kind for case in CASES}
    assert {death for _, death in cells} == set(DEATHS)


@pytest.mark.parametrize(
    ("case", "death"), slice_of(), ids=lambda one: one.name if isinstance(one, Case) else one
)
def test_the_fault_ends(machine: Machine, case: Case, death: str) -> None:
    """On time, with everything as it was before.

    As in ``make guarantee``, a cell that is wrong is made once more and both are told: what
    observes it cannot tell an echo that a starved machine delays from an effect that lasts.
    """
    outcome = run_cell(machine, case, death)
    if outcome.wrong:
        warnings.warn(f"made again: {case.name}, {death}: {outcome.wrong}", stacklevel=1)
        outcome = run_cell(machine, case, death)
    assert not outcome.wrong, f"{outcome.wrong}\n{outcome.found}"
