# SPDX-License-Identifier: Apache-2.0
"""``replay-error``: round trips of a reproduction beside those that the incident's evidence has."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from gameday.clock import Interval
from gameday.errors import EvidenceError
from gameday.measures.base import Measurement, Part, Unit
from gameday.measures.common import NS_PER_MS, Stream, probe_plan, unknown
from gameday.measures.medians import median_of, median_within
from gameday.measures.round_trips import KINDS, slowed, trips
from gameday.measures.words import count, milliseconds, percent, percent_between
from gameday.record.columns import Flags, Ints
from gameday.record.looks import Looks
from gameday.record.record import Record, Seen, Window

US = 1000
PPM = 1_000_000
LOOKS_MIN = 3
"""Fewer answers than this inside a step say nothing about its median."""

PERCENTILE = 95
NO_BOUND = 1 << 60
"""The error of a step of which nothing is known is at most this, that is, unbounded."""


@dataclass(frozen=True)
class ReplayErrorParams:
    """Parameters of ``replay-error``.

    Attributes:
        probe: an rtt-mesh, icmp, udp-echo or tcp-connect probe.
        fault: which fault replays the incident; the first where it is empty.
        floor_us: round trips shorter than this count as this long, so that an error is never
            compared with next to nothing: 5 % of 20 ms are 1 ms.
    """

    probe: str
    fault: str = ""
    floor_us: int = field(default=20_000, metadata={"ge": 1, "le": 60_000_000})


@dataclass(frozen=True)
class Step:
    """One step of the evidence, in ns since the window's start, and what was seen in it.

    Attributes:
        at, begin, end: its middle, and from when to when looks were taken.
        recorded: the median of its recorded answers. seen: that of the looks; None: too few.
        read: the same where a look's own moment were known exactly.
    """

    at: int
    begin: int
    end: int
    recorded: int
    seen: Interval | None = None
    read: Interval | None = None


@dataclass(frozen=True)
class Replayed:
    """One pair. ``error`` and ``read`` are in ppm, ``apart`` in ns, at the 95th percentile."""

    stream: Stream
    steps: tuple[Step, ...]
    error: Interval
    read: Interval
    apart: Interval
    lost: int
    looks: int


class ReplayError:
    """How far the replayed round trips of the worst pair were from the recorded ones."""

    kind = "replay-error"
    unit: Unit = "ppm"
    Params: type = ReplayErrorParams
    summary = "how far replayed round trips are from the incident's, at the 95th percentile"

    def measure(self, name: str, params: ReplayErrorParams, record: Record) -> Measurement:
        """Per step the distance of two medians, as a share of the recorded one.

        Raises:
            EvidenceError: where the plan or the record lacks what is asked for.
        """
        window = record.window(params.fault or None)
        planned = probe_plan(record, params.probe)
        if planned["kind"] not in KINDS:
            reason = f"{params.probe} is {planned['kind']}, which measures no round trip"
            return unknown(name, self.kind, self.unit, reason)
        steps = _steps(record, window)
        pairs, streams = slowed(record, window.fault), record.seen(params.probe)
        found = [
            _pair(stream, streams.get(stream, ()), steps, window, params.floor_us * US)
            for sampler in planned["samplers"]
            if (stream := (sampler["node"], sampler["target"])) in pairs
        ]
        if not found:
            reason = f"no pair of {params.probe} is one that {window.fault} slows down"
            return unknown(name, self.kind, self.unit, reason)
        return self._worst(name, found, window, record)

    def _worst(
        self, name: str, found: Sequence[Replayed], window: Window, record: Record
    ) -> Measurement:
        evidence = [_sentence(one) for one in found] + [_recorded_loss(record)]
        worst = max(found, key=lambda one: one.error.hi)
        blind = sum(step.seen is None for step in worst.steps)
        if worst.error.hi >= NO_BOUND:
            reason = (f"{worst.stream[0]} → {worst.stream[1]}: {blind} of {len(worst.steps)} steps "
                      f"have fewer than {count(LOOKS_MIN, 'answer')}")  # fmt: skip
            return unknown(name, self.kind, self.unit, reason, evidence)
        lo = max(one.error.lo for one in found)
        read = min(worst.read.width, worst.error.width)
        details: dict[str, Any] = {
            "worst_from": worst.stream[0], "worst_to": worst.stream[1],
            "apart_ns": [worst.apart.lo, worst.apart.hi], "steps": len(worst.steps),
            "steps_unknown": blind, "series": [_row(step) for step in worst.steps],
        }  # fmt: skip
        parts = (
            Part("waiting for the processor", read),
            Part("which looks are in a step: clocks and the onset", worst.error.width - read),
        )
        return Measurement(
            name, self.kind, self.unit, "measured", lo, worst.error.hi, parts,
            (window.onset.lo, window.onset.hi), (window.end.lo, window.end.hi),
            details, tuple(evidence),
        )  # fmt: skip


def _steps(record: Record, window: Window) -> list[Step]:
    """The evidence's steps, each cut to the time in which the fault was certainly in effect.

    Raises:
        EvidenceError: where the experiment carries no recorded round trips.
    """
    incident = record.plan["experiment"]["metadata"].get("incident") or {}
    rows = [row for row in incident.get("recorded") or () if row[2]]
    if not rows or not incident.get("compare_ms"):
        raise EvidenceError("the experiment carries no recorded round trips: metadata.incident "
                            "has no `recorded`")  # fmt: skip
    half = int(incident["compare_ms"]) * NS_PER_MS // 2
    first, last = window.onset.hi - window.planned.lo, window.end.lo - window.planned.hi
    found = []
    for at_ms, rtt_us, _, _ in rows:
        at, rtt = at_ms * NS_PER_MS, rtt_us * US
        # Who is still under way when the fault ends has met only a part of it.
        found.append(Step(at, max(first, at - half), min(last - rtt, at + half), rtt))
    return found


def _pair(
    stream: Stream, samples: Sequence[Seen], steps: Sequence[Step], window: Window, floor: int
) -> Replayed:
    looks = Looks.of(samples)
    inside = looks.where((looks.start_hi >= window.onset.lo) & (looks.end_lo <= window.end.hi))
    good = inside.where(inside.ok)
    least, most = trips(good)
    since_lo, since_hi = good.start_lo - window.planned.hi, good.start_hi - window.planned.lo
    seen = [_seen(step, (since_lo, since_hi), least, most) for step in steps]
    return Replayed(
        stream, tuple(seen),
        _percentile([_share(step.seen, step.recorded, floor) for step in seen]),
        _percentile([_share(step.read, step.recorded, floor) for step in seen]),
        _percentile([_apart(step.seen, step.recorded) for step in seen]),
        len(inside) - len(good), len(inside),
    )  # fmt: skip


def _seen(step: Step, since: tuple[Ints, Ints], least: Ints, most: Ints) -> Step:
    """The step with the median of the looks that were sent in it."""
    since_lo, since_hi = since
    sure: Flags = (since_lo >= step.begin) & (since_hi <= step.end)
    maybe: Flags = (since_hi >= step.begin) & (since_lo <= step.end) & ~sure
    if int(np.count_nonzero(sure)) < LOOKS_MIN:
        return step
    seen = median_within((least[sure], most[sure]), (least[maybe], most[maybe]))
    middle = (since_lo + since_hi) // 2
    here: Flags = (middle >= step.begin) & (middle <= step.end)
    read = Interval(median_of(least[here]), median_of(most[here]))
    return Step(step.at, step.begin, step.end, step.recorded, seen, read)


def _apart(seen: Interval | None, recorded: int) -> Interval:
    """How far two medians are apart; nothing is known without looks."""
    if seen is None:
        return Interval(0, NO_BOUND)
    near = max(0, seen.lo - recorded, recorded - seen.hi)
    return Interval(near, max(abs(seen.lo - recorded), abs(seen.hi - recorded)))


def _share(seen: Interval | None, recorded: int, floor: int) -> Interval:
    """The same as a share of what was recorded, in ppm, rounded outwards."""
    found, whole = _apart(seen, recorded), max(recorded, floor)
    if seen is None:
        return found
    return Interval(found.lo * PPM // whole, -(-found.hi * PPM // whole))


def _percentile(found: Sequence[Interval]) -> Interval:
    """The 95th percentile lies between those of the lower and of the upper bounds.

    By nearest rank: the smallest value that 95 of 100 steps do not exceed.
    """
    place = -(-len(found) * PERCENTILE // 100) - 1
    return Interval(sorted(x.lo for x in found)[place], sorted(x.hi for x in found)[place])


def _row(step: Step) -> list[int | None]:
    """For the plot: middle of the step in ms, recorded, and seen at least and at most, in us."""
    seen = (None, None) if step.seen is None else (step.seen.lo // US, -(-step.seen.hi // US))
    return [step.at // NS_PER_MS, step.recorded // US, *seen]


def _sentence(one: Replayed) -> str:
    blind = sum(step.seen is None for step in one.steps)
    if one.error.hi >= NO_BOUND:
        far = "how far apart is not known"
    else:
        far = (f"95 of 100 steps within {milliseconds(one.apart.hi)} of what was recorded, "
               f"{percent_between(one.error.lo, one.error.hi)} of it")  # fmt: skip
    return (
        f"{one.stream[0]} → {one.stream[1]}: {far}; {count(len(one.steps), 'step')}, {blind} "
        f"without enough answers; {one.lost} of {count(one.looks, 'look')} lost"
    )


def _recorded_loss(record: Record) -> str:
    rows = record.plan["experiment"]["metadata"]["incident"]["recorded"]
    return f"lost in the evidence, on average: {percent(sum(row[3] for row in rows) // len(rows))}"


MEASURE = ReplayError()
