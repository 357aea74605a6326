# SPDX-License-Identifier: Apache-2.0
"""The largest round trip that keeps the objectives: which one to try next. Pure.

Round trips that matter span orders of magnitude, so the middle is the geometric one. It is
assumed that what breaks at one round trip breaks at every longer one; where runs show otherwise,
that is said.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

Held = Literal["kept", "broke", "unknown"]
"""kept: every objective was met. broke: one was missed, or an abort condition ended the run.
unknown: the run does not tell, so the round trip counts as neither."""

UNMEASURED = "rtt-achieved"
"""The measure of whether a run was what was asked for: missing that tells of the path alone."""

STEP_US = 1000
"""Finer steps than a millisecond cannot be told from a path's own spread."""


@dataclass(frozen=True)
class Tried:
    """One run of the search: the longest round trip it asked for, in us, and what became of it."""

    rtt_us: int
    held: Held


HOLD_S_MIN, HOLD_TIMEOUTS, HOLD_TIMEOUTS_MIN = 20, 10, 4
"""A round trip is held for ten election timeouts. An election that fails is tried again after one
to two of them; in fewer than four it may not have been won by the end, and nothing is known."""


def hold_s(election_ms: Mapping[str, int]) -> int:
    """How long each round trip is held, in s, by election timeouts of the groups that span it."""
    longest = max(election_ms.values(), default=0)
    return max(HOLD_S_MIN, -(-HOLD_TIMEOUTS * longest // 1000))


def too_short(given_s: int, election_ms: Mapping[str, int]) -> list[str]:
    """Groups whose elections may not be seen within so many seconds, each in a sentence."""
    return [
        f"{name}: its election timeout is {ms} ms, so elections may not be over within "
        f"{given_s} s, and such a run tells nothing; "
        f"--hold {-(-HOLD_TIMEOUTS * ms // 1000)}s would be enough"
        for name, ms in sorted(election_ms.items())
        if given_s * 1000 < HOLD_TIMEOUTS_MIN * ms
    ]


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
