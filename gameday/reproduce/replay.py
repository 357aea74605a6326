# SPDX-License-Identifier: Apache-2.0
"""Looks to the points of an ``excursion``, with how far apart the two are.

What a path has anyway (the base) is taken off, since a fault can only add. Looks are gathered in
steps; a point is the median round trip of its step, at the middle of its answers, and the fault
joins the points by straight lines. The error that is stated compares every recorded answer with
what the node will hold at that moment, staircase of its schedule included.
"""

from __future__ import annotations

import itertools
from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass, replace
from statistics import median

from gameday.errors import InvalidInput
from gameday.experiment.limits import FAULT_S_MAX, FAULT_S_MIN
from gameday.experiment.problems import fail_with
from gameday.faults import profiles
from gameday.faults.excursion import Point
from gameday.reproduce.series import (
    MS_PER_S,
    PPM,
    US_PER_MS,
    Look,
    show_ms,
    show_time,
    spacing_ms,
)

POINTS_MAX = 990
"""A list in an experiment has no more than 1000 entries; both ends may need one of their own."""

EVERY_MS_MIN, EVERY_MS_MAX, CHANGES = 50, 1000, 5
"""The node changes its leaf so many times a step, within these: each costs it processor time, and
a router that is busy changing delays what it forwards."""

STEPS_MS = (50, 100, 200, 250, 500, 1000, 2000, 2500, 5000)
ANSWERS_MIN = 3
"""Fewer answers than this say nothing about a base, nor about an incident."""

LOSS_LOOKS = 20
"""A share of lost packets is counted over so many looks around a point: to one in twenty."""

HOLE_SPACINGS, HOLE_MS_MIN = 3, 1000
"""By default a hole is three usual spacings, and at least a second."""


@dataclass(frozen=True)
class Replay:
    """A window of evidence that a fault can hold.

    Attributes:
        from_ms, for_s: the window; it ends with a whole second. base_us: what was taken off.
        step_ms: of the resampling. every_ms: how often the node changes its leaf.
        points: what is added.
        error_p95_us, error_max_us: between recorded answers and what the fault will hold.
        below_base: answers that were faster than the base, which nothing can replay.
        looks, answers: in the window.
    """

    from_ms: int
    for_s: int
    base_us: int
    step_ms: int
    every_ms: int
    points: tuple[Point, ...]
    error_p95_us: int
    error_max_us: int
    below_base: int
    looks: int
    answers: int


def cut(
    looks: Sequence[Look], from_ms: int, to_ms: int, hole_ms: int | None, file: str
) -> list[Look]:
    """The looks of a window, which must be covered from end to end.

    Args:
        hole_ms: the longest time without a look that is borne; by default three usual spacings.

    Raises:
        InvalidInput: for a window that the evidence does not cover, and for every hole in it.
    """
    length_s = (to_ms - from_ms) // MS_PER_S
    if not FAULT_S_MIN <= length_s <= FAULT_S_MAX:
        raise InvalidInput(f"the window lasts {(to_ms - from_ms) / MS_PER_S:g} s; a fault lasts "
                           f"{FAULT_S_MIN} to {FAULT_S_MAX} s", "see --from and --to")  # fmt: skip
    # A lease lasts whole seconds; what is left over at the end is not replayed.
    to_ms = from_ms + length_s * MS_PER_S
    first, last = (show_time(looks[i].at_ms) for i in (0, -1))
    found = [look for look in looks if from_ms <= look.at_ms <= to_ms]
    if len(found) < ANSWERS_MIN:
        raise InvalidInput(f"{file} has {len(found)} looks in the window",
                           f"its lines are from {first} to {last}")  # fmt: skip
    usual = spacing_ms(looks)
    most = hole_ms if hole_ms is not None else max(HOLE_MS_MIN, HOLE_SPACINGS * usual)
    problems = []
    ends = [(from_ms, found[0].at_ms, f"before line {found[0].line}")]
    ends += [
        (a.at_ms, b.at_ms, f"between lines {a.line} and {b.line}")
        for a, b in itertools.pairwise(found)
    ]
    ends.append((found[-1].at_ms, to_ms, f"after line {found[-1].line}"))
    for start, end, where in ends:
        if end - start > most:
            problems.append(
                f"{file}: a hole of {(end - start) / MS_PER_S:g} s {where}, from "
                f"{show_time(start)}; nothing is known there (looks come every {usual} ms): cut "
                f"the window, or bear it with --hole {-(-(end - start) // MS_PER_S)}s"
            )
    if problems:
        fail_with(file, problems)
    return found


def base_of(looks: Sequence[Look], from_ms: int, to_ms: int) -> int:
    """The median round trip of a quiet time.

    Raises:
        InvalidInput: where too few answers are in it.
    """
    found = [x.rtt_us for x in looks if x.rtt_us is not None and from_ms <= x.at_ms < to_ms]
    if len(found) < ANSWERS_MIN:
        raise InvalidInput(
            f"the quiet time {show_time(from_ms)} to {show_time(to_ms)} has {len(found)} answers, "
            "so what the path takes anyway is not known",
            "give --base 12ms, or --quiet with a time that the evidence covers",
        )
    return round(median(found))


def replay(
    looks: Sequence[Look], from_ms: int, to_ms: int, base_us: int, step_ms: int | None = None
) -> Replay:
    """A window's looks as points of a fault.

    Args:
        looks: of the window, as ``cut`` gives them. step_ms: by default the shortest that fits.

    Raises:
        InvalidInput: where there is nothing to replay, or the step asks for too many points.
    """
    for_s = (to_ms - from_ms) // MS_PER_S
    step = step_ms or next(s for s in STEPS_MS if for_s * MS_PER_S // s < POINTS_MAX)
    if for_s * MS_PER_S // step >= POINTS_MAX:
        raise InvalidInput(f"steps of {step} ms make {for_s * MS_PER_S // step} points; at most "
                           f"{POINTS_MAX}", "use a longer --step, or a shorter window")  # fmt: skip
    answers = [look for look in looks if look.rtt_us is not None]
    lost = any(look.loss_ppm for look in looks)
    if len(answers) < ANSWERS_MIN and not lost:
        raise InvalidInput(f"the window has {len(answers)} answers", "use another window")
    points = _points(looks, from_ms, step, base_us)
    if not any(point.rtt_us or point.loss_ppm for point in points):
        raise InvalidInput(f"nothing in the window is above the base of {show_ms(base_us)}",
                           "is --base right, and is this the incident's window?")  # fmt: skip
    every = min(EVERY_MS_MAX, max(EVERY_MS_MIN, step // CHANGES))
    errors = sorted(_errors(answers, from_ms, base_us, points, every)) or [0]
    return Replay(
        from_ms, for_s, base_us, step, every, points,
        errors[-(-len(errors) * 95 // 100) - 1], errors[-1],
        sum((look.rtt_us or 0) < base_us for look in answers), len(looks), len(answers),
    )  # fmt: skip


def _points(looks: Sequence[Look], from_ms: int, step_ms: int, base_us: int) -> tuple[Point, ...]:
    times = [look.at_ms for look in looks]
    packets = all(look.loss_ppm in (0, PPM) for look in looks)
    steps: dict[int, list[Look]] = {}
    for look in looks:
        steps.setdefault((look.at_ms - from_ms) // step_ms, []).append(look)
    found: list[Point] = []
    for held in steps.values():
        answered = [look for look in held if look.rtt_us is not None]
        if answered:
            at = sum(look.at_ms for look in answered) // len(answered) - from_ms
            added = max(0, round(median([look.rtt_us or 0 for look in answered])) - base_us)
        else:
            # Where every answer was lost, what is added is not known: it stays as it was.
            at = held[0].at_ms - from_ms
            added = found[-1].rtt_us if found else 0
        # A look at one packet says all or nothing, so a share needs many; a share stays itself.
        own = sum(look.loss_ppm for look in held) // len(held)
        lost = _share(looks, times, at + from_ms) if packets else own
        found.append(Point(at, rtt_us=added, loss_ppm=lost))
    # The window's start is a point of its own; what the first step had is what is known of it.
    return tuple(found) if found[0].at_ms == 0 else (replace(found[0], at_ms=0), *found)


def _share(looks: Sequence[Look], times: Sequence[int], at_ms: int) -> int:
    """The share of lost packets among the looks around a moment."""
    here = bisect_left(times, at_ms)
    first = max(0, min(here - LOSS_LOOKS // 2, len(looks) - LOSS_LOOKS))
    near = looks[first : first + LOSS_LOOKS]
    return min(PPM, sum(look.loss_ppm for look in near) // len(near))


def _errors(
    answers: Sequence[Look], from_ms: int, base_us: int, points: Sequence[Point], every_ms: int
) -> list[int]:
    profile = profile_of(points)
    found = []
    for look in answers:
        since_us = (look.at_ms - from_ms) // every_ms * every_ms * US_PER_MS
        held = base_us + profiles.value_at(profile, since_us).rtt_us
        found.append(abs((look.rtt_us or 0) - held))
    return found


def profile_of(points: Sequence[Point]) -> dict[str, object]:
    """The points as a profile of ``gameday.faults.profiles``."""
    return {"shape": "ramp", "points": [[p.at_ms * US_PER_MS, p.rtt_us, p.loss_ppm, 0]
                                        for p in points]}  # fmt: skip
