# SPDX-License-Identifier: Apache-2.0
"""A few seeds of ``make accuracy``: what gameday measured holds what packet captures show."""

from __future__ import annotations

from pathlib import Path

import pytest

from gameday.lab import Lab
from tests.accuracy.once import Case, run_case


@pytest.mark.parametrize("seed", [7])
def test_the_truth_lies_inside(lab: Lab, tmp_path: Path, seed: int) -> None:
    found = run_case(lab, Case.of(seed), tmp_path / "run")
    outside = [one for one in found if one.judgement == "outside"]
    assert not outside, outside
    told = {one.what for one in found if one.judgement != "untold"}
    assert {"onset", "end", "time-to-detect"} <= told, found
