# SPDX-License-Identifier: Apache-2.0
"""Where runs are found: below ``reports``, and below the searches in it."""

from __future__ import annotations

from pathlib import Path

from gameday.conduct import rundir
from gameday.record.record import PLAN


def test_runs_of_a_search_are_found_too(tmp_path: Path) -> None:
    """Otherwise ``status`` and ``recover`` would not see what a dead search left armed."""
    names = ("20260102T-a", "20260103T-search-x/20260103T-b", "20260104T-c")
    for name in names:
        (tmp_path / name).mkdir(parents=True)
        (tmp_path / name / PLAN).touch()
    (tmp_path / "approvals").mkdir()
    assert rundir.all_runs(tmp_path) == [tmp_path / name for name in names]
    assert rundir.find(tmp_path, None).name == "20260104T-c"
    assert rundir.find(tmp_path, "-b") == tmp_path / names[1]
