# SPDX-License-Identifier: Apache-2.0
"""The evidence in steps, as an experiment carries it for its replay to be compared with. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import median

from gameday.reproduce.series import MS_PER_S, Look

COMPARE_MS = (1000, 2000, 5000)
"""Widths of steps: ten looks of the replay's probe at least, and a long window in fewer rows."""

ROWS_MAX = 720
"""An hour in steps of five seconds."""


def compare_ms(for_s: int) -> int:
    """The width of a step for a window of so many seconds."""
    return next(ms for ms in COMPARE_MS if for_s * MS_PER_S <= ms * ROWS_MAX)


def steps(looks: Sequence[Look], from_ms: int, for_s: int) -> list[list[int]]:
    """``[at_ms, rtt_us, answers, loss_ppm]`` of every step that has looks.

    at_ms is the middle of the step's answers (of its looks, where all were lost), since from_ms;
    rtt_us the median of its answers, 0 without any; loss_ppm the mean share of packets lost.

    Args:
        looks: evidence in order of time. from_ms, for_s: the window.
    """
    width, held = compare_ms(for_s), dict[int, list[Look]]()
    for look in looks:
        since = look.at_ms - from_ms
        if 0 <= since < for_s * MS_PER_S:
            held.setdefault(since // width, []).append(look)
    return [_row(each, from_ms) for each in held.values()]


def _row(looks: Sequence[Look], from_ms: int) -> list[int]:
    answers = [look.rtt_us for look in looks if look.rtt_us is not None]
    there = [look for look in looks if look.rtt_us is not None] or looks
    middle = sum(look.at_ms for look in there) // len(there) - from_ms
    lost = sum(look.loss_ppm for look in looks) // len(looks)
    return [middle, round(median(answers)) if answers else 0, len(answers), lost]
