# SPDX-License-Identifier: Apache-2.0
"""``rtt-achieved``: the added round trip that was asked for beside the one that pairs had."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from gameday.clock import Interval
from gameday.errors import EvidenceError
from gameday.faults import profiles
from gameday.measures.base import Measurement, Part, Unit
from gameday.measures.common import Stream, probe_plan, unknown, within
from gameday.measures.round_trips import KINDS, trips
from gameday.measures.round_trips import slowed as slowed_pairs
from gameday.measures.words import count, milliseconds
from gameday.record.columns import Ints
from gameday.record.looks import Looks
from gameday.record.record import Record, Seen, Window

LOOKS_MIN = 3
"""Fewer looks than this, before or inside the window, say nothing about a pair."""

US = 1000


@dataclass(frozen=True)
class RttAchievedParams:
    """Parameters of ``rtt-achieved``.

    Attributes:
        probe: an rtt-mesh, icmp, udp-echo or tcp-connect probe.
        fault: which fault was to change round trips; the first where it is empty.
    """

    probe: str
    fault: str = ""


@dataclass(frozen=True)
class Achieved:
    """One pair, in ns.

    Attributes:
        base: the median round trip before onset. added: what the median look took more.
        asked: what the profile asked for at that look, least and most.
        error: how far added is from asked.
        looks, lost: inside the window.
    """

    stream: Stream
    base: Interval
    added: Interval
    asked: Interval
    error: Interval
    looks: int
    lost: int


class RttAchieved:
    """How far the worst pair's added round trip was from what was asked."""

    kind = "rtt-achieved"
    unit: Unit = "ns"
    Params: type = RttAchievedParams
    summary = "how far the added round trip of the worst pair was from the one asked for"

    def measure(self, name: str, params: RttAchievedParams, record: Record) -> Measurement:
        """Per pair the median, over looks inside the fault, of the distance to the profile.

        Pairs that the fault does not slow down are asked for nothing more than before.

        Raises:
            EvidenceError: where the plan or the record lacks what is asked for.
        """
        window = record.window(params.fault or None)
        planned = probe_plan(record, params.probe)
        if planned["kind"] not in KINDS:
            reason = f"{params.probe} is {planned['kind']}, which measures no round trip"
            return unknown(name, self.kind, self.unit, reason)
        profile, spread = _profile(record, window.fault)
        slowed = slowed_pairs(record, window.fault)
        streams = record.seen(params.probe)
        found: list[Achieved] = []
        blind: list[str] = []
        for sampler in planned["samplers"]:
            stream = (sampler["node"], sampler["target"])
            hit = stream in slowed
            asked = profile if hit else profiles.constant(0)
            looks = streams.get(stream, ())
            one = _pair(stream, looks, asked, spread if hit else 0, window)
            if isinstance(one, str):
                blind.append(f"{stream[0]} → {stream[1]}: {one}")
            else:
                found.append(one)
        evidence = [_sentence(one) for one in found] + blind
        if blind or not found:
            reason = blind[0] if blind else f"probe {params.probe} has no pairs"
            return unknown(name, self.kind, self.unit, reason, evidence)
        return self._worst(name, found, slowed, window, evidence)

    def _worst(
        self,
        name: str,
        found: Sequence[Achieved],
        slowed: frozenset[Stream],
        window: Window,
        evidence: Sequence[str],
    ) -> Measurement:
        worst = max(found, key=lambda one: one.error.hi)
        lo = max(one.error.lo for one in found)
        hi = worst.error.hi
        rooms = (("round trip before", worst.base.width), ("profile and clock", worst.asked.width))
        rest = max(0, hi - lo - sum(size for _, size in rooms))
        parts = (
            *(Part(word, size) for word, size in rooms),
            Part("waiting for the processor", rest),
        )
        details: dict[str, Any] = {
            "worst_from": worst.stream[0], "worst_to": worst.stream[1],
            "pairs": [_row(one) for one in found],
        }  # fmt: skip
        if not any(one.stream in slowed for one in found):
            reason = f"no pair of the probe is one that {window.fault} slows down"
            return unknown(name, self.kind, self.unit, reason, evidence)
        return Measurement(
            name, self.kind, self.unit, "measured", lo, hi, parts,
            (window.onset.lo, window.onset.hi), (window.end.lo, window.end.hi),
            details, tuple(evidence),
        )  # fmt: skip


def _profile(record: Record, fault: str) -> tuple[Mapping[str, Any], int]:
    """What the plan asks of slowed pairs, and the fault's own jitter in ns.

    Raises:
        EvidenceError: where the fault changes no round trip.
    """
    planned = record.plan.get("effect", {}).get(fault) or {}
    found: Mapping[str, Any] = planned.get("profile") or {}
    if not found:
        raise EvidenceError(f"fault {fault!r} asks for no other round trip")
    return found, int(planned.get("spread_us", 0)) * US


def _pair(
    stream: Stream,
    samples: Sequence[Seen],
    profile: Mapping[str, Any],
    spread: int,
    window: Window,
) -> Achieved | str:
    """What became of a pair, or why that is not known."""
    looks = Looks.of(samples)
    before = looks.where((looks.end_hi < window.onset.lo) & looks.ok)
    inside = within(looks, window)
    good = inside.where(inside.ok)
    if len(before) < LOOKS_MIN:
        return "too few answers before the onset"
    if len(good) < LOOKS_MIN:
        return f"{count(len(good), 'answer')} to {len(inside)} looks inside the fault"
    base = _medians(*trips(before))
    low, high = trips(good)
    low, high = low - base.hi, high - base.lo
    least, most = _asked(good, window, profile)
    # How far added and asked are apart; what the fault's own jitter explains does not count.
    near = np.maximum(np.maximum(least - high, low - most) - spread, 0)
    far = np.maximum(np.maximum(high - least, most - low) - spread, 0)
    return Achieved(
        stream, base, _medians(low, high), _medians(least, most), _medians(near, far),
        len(inside), len(inside) - len(good),
    )  # fmt: skip


def _asked(looks: Looks, window: Window, profile: Mapping[str, Any]) -> tuple[Ints, Ints]:
    """What the profile asks for while a look was under way, least and most, in ns."""
    if profile["shape"] == "constant":
        same = np.full(len(looks), int(profile["rtt_us"]) * US, np.int64)
        return same, same
    firsts = (np.maximum(0, looks.start_lo - window.planned.hi) // US).tolist()
    lasts = (np.maximum(0, looks.end_hi - window.planned.lo) // US).tolist()
    pairs = [profiles.bounds(profile, a, b) for a, b in zip(firsts, lasts, strict=True)]
    table = np.array(pairs, np.int64).reshape(len(pairs), 2) * US
    return table[:, 0], table[:, 1]


def _medians(low: Ints, high: Ints) -> Interval:
    """The median lies between the medians of both bounds."""
    middle = len(low) // 2
    return Interval(int(np.sort(low)[middle]), int(np.sort(high)[middle]))


def _row(one: Achieved) -> dict[str, Any]:
    """A pair in the report's details, in ns."""
    return {
        "from": one.stream[0], "to": one.stream[1],
        "base": [one.base.lo, one.base.hi], "added": [one.added.lo, one.added.hi],
        "asked": [one.asked.lo, one.asked.hi], "error": [one.error.lo, one.error.hi],
        "looks": one.looks, "lost": one.lost,
    }  # fmt: skip


def _sentence(one: Achieved) -> str:
    asked = milliseconds(one.asked.hi)
    return (
        f"{one.stream[0]} → {one.stream[1]}: {milliseconds(one.base.hi)} before, "
        f"{_between(one.added)} added in the median, {asked} asked; half of the looks within "
        f"{milliseconds(one.error.hi)} of that; {one.lost} of {one.looks} lost"
    )


def _between(span: Interval) -> str:
    """An interval in milliseconds, rounded outwards."""
    lo, hi = span.lo // US, -(-span.hi // US)
    return f"[{_ms(lo)}, {_ms(hi)}] ms"


def _ms(us: int) -> str:
    sign, us = ("-", -us) if us < 0 else ("", us)
    return f"{sign}{us // 1000}.{us % 1000:03d}"


MEASURE = RttAchieved()
