# SPDX-License-Identifier: Apache-2.0
"""A comparison of two runs as one self-contained page."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from gameday.report.compare import CHANGED, SAME, Row
from gameday.report.html import environment
from gameday.report.words import VERDICT_TITLE, VERDICT_TONE, wall_text


def page(
    reports: Sequence[Mapping[str, Any]], rows: Sequence[Row], differ: Sequence[str], percent: int
) -> str:
    """HTML of a comparison; everything in it is in the terminal's lines too.

    Args:
        reports: the earlier and the later one.
    """
    runs = [
        {
            "id": one["run"]["id"],
            "when": wall_text(one["run"]["started_wall_ns"]),
            "verdict": VERDICT_TITLE[one["verdict"]["verdict"]],
            "tone": VERDICT_TONE[one["verdict"]["verdict"]],
        }
        for one in reports
    ]
    return environment().get_template("compare.html.j2").render(
        title=reports[1]["experiment"]["title"], runs=runs, differ=differ, percent=percent,
        rows=[(row, tone(row)) for row in rows],
    )  # fmt: skip


def tone(row: Row) -> str:
    """Limits are upper ones, so less is better; what nobody can say is neither."""
    if row.found == CHANGED:
        return "bad" if row.by[0] is not None and row.by[0] > 0 else "good"
    return "good" if row.found == SAME else "open"
