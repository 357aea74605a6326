# SPDX-License-Identifier: Apache-2.0
"""How a delay, a loss and a rate change over a window: pure functions of time.

A profile is JSON, since it is part of a lease's spec and of the plan:

    {"shape": "constant", "rtt_us": 40000, "loss_ppm": 0, "rate_kbit": 0}
    {"shape": "steps" or "ramp", "points": [[at_us, rtt_us, loss_ppm, rate_kbit], ...]}
    {"shape": "sawtooth", "spike" or "pulse", "base": [rtt_us, loss_ppm, rate_kbit],
     "peak": [...], "period_us": ..., "width_us": ...}

Steps hold each point's values until the next; a ramp joins them by straight lines. A sawtooth
rises from base to peak within each period; a spike rises and falls within ``width_us`` at the
start of each period; a pulse holds the peak for ``width_us``. Rates are held, never joined.

This module travels to nodes: standard library only, Python 3.9 syntax.
"""

from __future__ import annotations

from bisect import bisect_right
from typing import Any, List, Mapping, NamedTuple, Sequence

REPEATING = ("sawtooth", "spike", "pulse")


class Values(NamedTuple):
    """What holds at one moment: added round trip, share of packets lost, rate (0: no limit)."""

    rtt_us: int
    loss_ppm: int
    rate_kbit: int


def constant(rtt_us: int, loss_ppm: int = 0, rate_kbit: int = 0) -> Mapping[str, Any]:
    """The profile that does not change."""
    return {"shape": "constant", "rtt_us": rtt_us, "loss_ppm": loss_ppm, "rate_kbit": rate_kbit}


def value_at(profile: Mapping[str, Any], since_us: int) -> Values:
    """What the profile asks for, ``since_us`` microseconds after the window's start."""
    shape = profile["shape"]
    if shape == "constant":
        return Values(profile["rtt_us"], profile["loss_ppm"], profile["rate_kbit"])
    if shape in REPEATING:
        return _repeating(profile, since_us % profile["period_us"])
    points: Sequence[Sequence[int]] = profile["points"]
    index = max(0, bisect_right([point[0] for point in points], since_us) - 1)
    here = points[index]
    if shape == "steps" or index + 1 == len(points) or since_us < here[0]:
        return Values(*here[1:])
    there = points[index + 1]
    return _between(here[1:], there[1:], since_us - here[0], there[0] - here[0])


def bounds(profile: Mapping[str, Any], from_us: int, to_us: int) -> List[int]:
    """Least and most added round trip within a stretch of time, in microseconds."""
    moments = [from_us, to_us]
    if profile["shape"] in ("steps", "ramp"):
        moments += [
            p[0] + d for p in profile["points"] for d in (-1, 0) if from_us <= p[0] <= to_us
        ]
    elif profile["shape"] in REPEATING:
        moments += _corners(profile, from_us, to_us)
    found = [value_at(profile, moment).rtt_us for moment in moments]
    return [min(found), max(found)]


def peak(profile: Mapping[str, Any]) -> Values:
    """The largest delay, the largest loss and the smallest rate that it ever asks for."""
    if profile["shape"] == "constant":
        every = [value_at(profile, 0)]
    elif profile["shape"] in REPEATING:
        every = [Values(*profile["base"]), Values(*profile["peak"])]
    else:
        every = [Values(*point[1:]) for point in profile["points"]]
    rates = [v.rate_kbit for v in every if v.rate_kbit]
    return Values(max(v.rtt_us for v in every), max(v.loss_ppm for v in every),
                  min(rates) if rates else 0)  # fmt: skip


def _repeating(profile: Mapping[str, Any], phase_us: int) -> Values:
    base, top = profile["base"], profile["peak"]
    shape, width = profile["shape"], profile["width_us"]
    if shape == "sawtooth":
        return _between(base, top, phase_us, profile["period_us"])
    if phase_us >= width:
        return Values(*base)
    if shape == "pulse":
        return Values(*top)
    half = width // 2
    if phase_us < half:
        return _between(base, top, phase_us, half)
    return _between(top, base, phase_us - half, width - half)


def _corners(profile: Mapping[str, Any], from_us: int, to_us: int) -> List[int]:
    period, width = profile["period_us"], profile["width_us"]
    within = (0, width // 2, width - 1, width, period - 1)
    first = from_us // period
    count = min(2, to_us // period - first + 1)
    found = [(first + i) * period + at for i in range(count) for at in within]
    return [at for at in found if from_us <= at <= to_us]


def _between(a: Sequence[int], b: Sequence[int], done: int, whole: int) -> Values:
    def mixed(i: int) -> int:
        return a[i] + (b[i] - a[i]) * done // whole

    return Values(mixed(0), mixed(1), a[2])
