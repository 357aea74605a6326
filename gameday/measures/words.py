# SPDX-License-Identifier: Apache-2.0
"""Durations, shares and lists as people read them; integer arithmetic only."""

from __future__ import annotations

from collections.abc import Sequence

NS_PER_MS = 1_000_000


def seconds(ns: int, up: bool = False) -> str:
    """Nanoseconds as seconds with milliseconds, "7.512 s".

    Args:
        ns: nanoseconds.
        up: round away from the truth upwards, for upper bounds; else downwards.
    """
    ms = -(-ns // NS_PER_MS) if up else ns // NS_PER_MS
    sign, ms = ("-", -ms) if ms < 0 else ("", ms)
    return f"{sign}{ms // 1000}.{ms % 1000:03d} s"


def tenths(ns: int) -> str:
    """Nanoseconds as seconds with one decimal, rounded to the nearest: "30.0"."""
    rounded = (ns + 50 * NS_PER_MS) // (100 * NS_PER_MS)
    return f"{rounded // 10}.{rounded % 10}"


def seconds_between(lo: int, hi: int | None) -> str:
    """An interval of durations, rounded outwards: "[1.203, 1.711] s"."""
    if hi is None:
        return f"≥ {seconds(lo)}"
    return f"[{seconds(lo)[:-2]}, {seconds(hi, up=True)[:-2]}] s"


def milliseconds(ns: int) -> str:
    """Nanoseconds as milliseconds with microseconds, rounded up: "0.412 ms"."""
    us = -(-ns // 1000)
    return f"{us // 1000}.{us % 1000:03d} ms"


def percent(ppm: int, up: bool = False) -> str:
    """Parts per million as a percentage with one decimal, "12.5 %"."""
    tenths = -(-ppm // 1000) if up else ppm // 1000
    return f"{tenths // 10}.{tenths % 10} %"


def percent_between(lo: int, hi: int | None) -> str:
    """An interval of shares, rounded outwards: "[12.5, 13.1] %"."""
    if hi is None:
        return f"≥ {percent(lo)}"
    return f"[{percent(lo)[:-2]}, {percent(hi, up=True)[:-2]}] %"


def names(items: Sequence[str]) -> str:
    """A list for a sentence: "a, b and c"."""
    listed = list(items)
    if len(listed) < 2:
        return "".join(listed)
    return ", ".join(listed[:-1]) + " and " + listed[-1]


def count(number: int, noun: str) -> str:
    """A number with its noun: "1 sample", "2 samples"."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"
