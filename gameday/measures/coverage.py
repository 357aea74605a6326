# SPDX-License-Identifier: Apache-2.0
"""Whether every probe delivered the samples that its schedule promised."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from gameday.clock import Interval
from gameday.errors import EvidenceError
from gameday.measures.common import missing_between, recover_ns
from gameday.measures.healthy import STATES
from gameday.record import kinds
from gameday.record.looks import Looks
from gameday.record.record import Record, Seen

PPM = 1_000_000
DELIVERED_PPM_MIN = 950_000
"""A sampler that delivered less makes the run invalid: too much may have gone unseen."""

LISTENER = "listener"

ASKS = ("kube-events",)
"""Listeners that listen to somebody whom the fault may hit. They deliver where they say that he
cannot be heard; one that others call delivers only while it can be called."""


@dataclass(frozen=True)
class Covered:
    """What one sampler delivered.

    Attributes:
        probe, node, target: which sampler.
        due, delivered: samples in the watched time by its schedule, and in the record.
        gaps: absent numbers between the first sample and the last.
        ppm: delivered over due, at most a million.
        held: whether that is enough.
        late_p99_ns, late_max_ns: how far looks began behind the sampler's own schedule, against
            the most punctual of them; 0 for listeners, which have no schedule.
    """

    probe: str
    node: str
    target: str
    due: int
    delivered: int
    gaps: int
    ppm: int
    held: bool
    late_p99_ns: int = 0
    late_max_ns: int = 0


def check_coverage(record: Record) -> list[Covered]:
    """Every sampler of the plan, over the time in which it was watched."""
    span = watched(record)
    found = []
    for probe in record.plan["probes"]:
        streams = record.seen(probe["name"])
        for sampler in probe["samplers"]:
            samples = _stream(streams, probe["kind"], sampler)
            found.append(_covered(probe, sampler, samples, span))
    return found


def watched(record: Record) -> Interval:
    """From the last node's start of probing to the end of recovery, in the run's time.

    A run that was aborted is watched to the end of its faults, one that never got to
    arming up to the last thing the controller did.
    """
    started = [event.at_ns for event in record.of_kind(kinds.PROBES_STARTED)]
    begin = max(started, default=record.span.lo)
    aborted = any(True for _ in record.of_kind(kinds.ABORT))
    ends = []
    for fault in record.plan["faults"]:
        try:
            ends.append(record.window(fault["name"]).end.lo)
        except EvidenceError:
            continue
    if not ends:
        return Interval(begin, max(begin, _last_step(record)))
    end = max(ends) + (0 if aborted else recover_ns(record))
    return Interval(begin, max(begin, end))


def _last_step(record: Record) -> int:
    """When the controller began to collect, or its last event."""
    for event in record.of_kind(kinds.STEP):
        if event.data["step"] in ("prove-clean", "collect"):
            return event.at_ns
    return record.span.hi


def _stream(
    streams: Mapping[tuple[str, str], Looks], kind: str, sampler: Mapping[str, Any]
) -> Sequence[Seen]:
    """A sampler's samples; of a listener, the ones that prove that it listened."""
    node = sampler["node"]
    listened = streams.get((node, LISTENER))
    if listened is not None:
        return listened if kind in ASKS else listened.where(listened.ok)
    return streams.get((node, sampler["target"]), ())


def _covered(
    probe: Mapping[str, Any], sampler: Mapping[str, Any], samples: Sequence[Seen], span: Interval
) -> Covered:
    # One sample less than fits is no loss: the schedule's phase is not the window's.
    due = max(1, span.width // int(probe["period_ns"]) - 1)
    looks = Looks.of(samples)
    within = looks.where((looks.start_hi >= span.lo) & (looks.start_lo <= span.hi))
    period, watches = int(probe["period_ns"]), probe["kind"] in STATES
    delivered = _periods(within, period) if watches else len(within)
    ppm = min(PPM, delivered * PPM // due)
    timed = not watches and sampler["target"] != LISTENER
    late = _late(within, period) if timed else (0, 0)
    return Covered(
        probe["name"], sampler["node"], sampler["target"], due, delivered,
        missing_between(within), ppm, ppm >= DELIVERED_PPM_MIN, *late,
    )  # fmt: skip


def _periods(looks: Looks, period: int) -> int:
    """How many periods a watching probe has a sample in: changes make no look good that is missing.

    Looks are a period apart, give or take; so one in half a period more is a look, too.
    """
    count, last = 0, None
    for end in looks.end_ns.tolist():
        if last is None or end - last >= period // 2:
            count, last = count + 1, end
    return count


def _late(looks: Looks, period: int) -> tuple[int, int]:
    """99th percentile and maximum of how late looks began, in ns of the node's own clock."""
    if not len(looks):
        return 0, 0
    behind = looks.start_ns - looks.seq * period
    late = behind - behind.min()
    place = (len(late) - 1) * 99 // 100
    return int(np.partition(late, place)[place]), int(late.max())
