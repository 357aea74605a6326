# SPDX-License-Identifier: Apache-2.0
"""The largest round trip that keeps the objectives: which one to try next. Pure.

Round trips that matter span orders of magnitude, so the middle is the geometric one. It is
assumed that what breaks at one round trip breaks at every longer one; where runs show otherwise,
that is said.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

Held = Literal["kept", "broke", "unknown"]
"""kept: every objective was met. broke: one was missed, or an abort condition ended the run.
unknown: the run does not tell, so the round trip counts as neither."""

STEP_US = 1000
"""Finer steps than a millisecond cannot be told from a path's own spread."""


@dataclass(frozen=True)
class Tried:
    """One run of the search: the longest round trip it asked for, in us, and what became of it."""

    rtt_us: int
    held: Held


def bounds(tried: Sequence[Tried]) -> tuple[int | None, int | None]:
    """(largest that was kept below all that broke, smallest that broke), in us; None for none."""
    broke = min((t.rtt_us for t in tried if t.held == "broke"), default=None)
    kept = max(
        (t.rtt_us for t in tried if t.held == "kept" and (broke is None or t.rtt_us < broke)),
        default=None,
    )
    return kept, broke


def next_us(least: int, most: int, percent: int, tried: Sequence[Tried]) -> int | None:
    """The round trip to try next, in us; None where there is nothing more to find out.

    Args:
        least, most: the range. percent: how near both ends of the answer shall be.
    """
    done = {t.rtt_us for t in tried}
    if any(t.held == "unknown" for t in tried):
        return None
    for end in (least, most):
        if end not in done:
            return end
        kept, broke = bounds(tried)
        if end == least and kept is None:
            return None
    if broke is None or kept is None:
        return None
    if broke - kept <= max(STEP_US, kept * percent // 100):
        return None
    middle = round(math.sqrt(kept * broke) / STEP_US) * STEP_US
    return middle if kept < middle < broke else None


def contradictions(tried: Sequence[Tried]) -> list[str]:
    """Round trips that were kept although a shorter one broke."""
    broke = min((t.rtt_us for t in tried if t.held == "broke"), default=None)
    return [
        f"{t.rtt_us / 1000:g} ms were kept, and the shorter {broke / 1000:g} ms broke: the answer "
        f"depends on more than the round trip"
        for t in tried
        if broke is not None and t.held == "kept" and t.rtt_us > broke
    ]
