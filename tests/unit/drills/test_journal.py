# SPDX-License-Identifier: Apache-2.0
"""What became of a drill's dates is kept line by line."""

from __future__ import annotations

from pathlib import Path

from gameday.drills.schedule import Journal


def test_a_journal_that_a_power_cut_left(tmp_path: Path) -> None:
    """Half a line is passed over, and the next one does not continue it."""
    kept = Journal(tmp_path / "j")
    assert kept.claim(5, again=False)
    with open(kept.path, "a", encoding="utf-8") as file:
        file.write('{"due_ns": 9, "wh')
    assert not kept.claim(5, again=False) and kept.claim(9, again=False)
    assert [one["due_ns"] for one in kept.entries()] == [5, 9]
