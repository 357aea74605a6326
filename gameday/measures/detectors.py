# SPDX-License-Identifier: Apache-2.0
"""When one detector told of a fault: somebody who listened, who was polled, or a person.

Each gives a measurement of its own; ``time-to-detect`` takes the earliest.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from gameday.clock import Interval
from gameday.measures.base import Measurement, Part, Unit
from gameday.measures.common import (
    duration,
    period_ns,
    probe_plan,
    recover_ns,
    unknown,
    with_onset,
)
from gameday.measures.transitions import TAIL_PERIODS, Transition, first
from gameday.measures.words import names, seconds
from gameday.record import kinds
from gameday.record.record import Record, Seen, Window
from gameday.record.types import Sample

KIND = "time-to-detect"
UNIT: Unit = "ns"
HUMAN = "a person"

LISTENER = "listener"
"""Target of the samples that prove that somebody was listening."""

GAP_PERIODS = 2
"""Two listener samples further apart than this: a message in between may have been lost."""


@dataclass(frozen=True)
class Detector:
    """One way in which a fault is noticed.

    Attributes:
        probe: an alertmanager-webhook, prometheus or log-line probe.
        alerts: names of alerts of which any one counts; all of the probe's where empty.
        labels: labels that the alert must carry, so that it names this fault.
        human: instead of a probe, a person who said so with ``gameday ack``.
    """

    probe: str = ""
    alerts: tuple[str, ...] = ()
    labels: Mapping[str, str] = field(default_factory=dict)
    human: bool = False

    def __post_init__(self) -> None:
        if bool(self.probe) == self.human:
            raise ValueError("a detector is either a probe or human: true")
        if self.human and (self.alerts or self.labels):
            raise ValueError("alerts and labels belong to a probe, not to a person")

    @property
    def name(self) -> str:
        """What the report calls it."""
        return self.probe or HUMAN


def detections(record: Record, detector: Detector, window: Window) -> list[Measurement]:
    """From onset to the detector's first word, one measurement per vantage of a polled one.

    Raises:
        EvidenceError: where the plan lacks the probe.
    """
    if detector.human:
        return [_said(record, window)]
    period = period_ns(record, detector.probe)
    streams = record.seen(detector.probe)
    planned = probe_plan(record, detector.probe)["samplers"]
    if any(sampler["target"] == LISTENER for sampler in planned):
        return [_listened(detector, streams, window, period)]
    if not streams:
        return [unknown(detector.name, KIND, UNIT, "nobody was listening for alerts")]
    until = window.end.shift(recover_ns(record))
    return [
        _polled(detector, node, samples, (window.onset, until), period)
        for (node, _), samples in sorted(streams.items())
    ]


def _listened(
    detector: Detector,
    streams: Mapping[tuple[str, str], Sequence[Seen]],
    window: Window,
    period: int,
) -> Measurement:
    listening = sorted(
        (s for key, seen in streams.items() if key[1] == LISTENER for s in seen if s.sample.ok),
        key=lambda s: s.start.lo,
    )
    if not listening:
        return unknown(detector.name, KIND, UNIT, "nobody was listening for alerts")
    heard = sorted(
        (s for seen in streams.values() for s in seen if _names_fault(s.sample, detector)),
        key=lambda s: s.end.hi,
    )
    early = _already(heard, window.onset)
    if early:
        return unknown(detector.name, KIND, UNIT, early)
    firing = [
        s
        for s in heard
        if s.sample.value.get("status") != "resolved" and s.start.lo >= window.onset.hi
    ]
    if not firing:
        return _silent(detector, listening, period, window)
    return _heard(detector, firing, listening, window.onset, period)


def _heard(
    detector: Detector,
    firing: Sequence[Seen],
    listening: Sequence[Seen],
    onset: Interval,
    period: int,
) -> Measurement:
    alert = firing[0]
    blind = _first_gap(listening, onset, alert, period)
    begun = min(seen.start.lo for seen in firing)
    lo = begun if blind is None else min(blind, begun)
    moment = Interval(min(lo, alert.end.hi), alert.end.hi)
    span = duration(moment, onset)
    sample = alert.sample
    spent = sample.end_ns - sample.start_ns
    parts = [
        Part("receipt", spent),
        Part("clock bound", max(0, alert.end.hi - alert.start.lo - spent)),
    ]
    if blind is not None:
        parts.append(Part("nobody listened", max(0, alert.start.lo - moment.lo)))
    elif begun < alert.start.lo:
        parts.append(Part("others may have been first", alert.start.lo - begun))
    evidence = (
        f"{sample.node} received {what(sample)} between {seconds(span.lo)} and "
        f"{seconds(span.hi, up=True)} after onset",
    )
    details = {"alert": sample.target, "labels": list(sample.value.get("labels", ()))}
    return Measurement(
        detector.name, KIND, UNIT, "measured", span.lo, span.hi, with_onset(parts, onset, "onset"),
        (onset.lo, onset.hi), (moment.lo, moment.hi), {**details, "what": what(sample)}, evidence,
    )  # fmt: skip


def _silent(
    detector: Detector, listening: Sequence[Seen], period: int, window: Window
) -> Measurement:
    last = listening[-1]
    onset, end = window.onset, window.end
    if _first_gap(listening, onset, last, period) is not None:
        reason = "no alert was received, but nobody was listening for a part of the time"
        return unknown(detector.name, KIND, UNIT, reason)
    if last.end.hi < end.lo - TAIL_PERIODS * period:
        reason = "no alert was received, but listening stopped before the end of the fault"
        return unknown(detector.name, KIND, UNIT, reason)
    lo = max(0, last.start.lo - onset.hi)
    wanted = names(list(detector.alerts)) or detector.probe
    reason = f"none of {wanted} was received in {seconds(lo)} of listening after onset"
    return Measurement(
        detector.name, KIND, UNIT, "never", lo, reason=reason, start=(onset.lo, onset.hi)
    )


def what(sample: Sample) -> str:
    """What was received: an alert with its labels, or a line."""
    line = sample.value.get("line")
    if line is not None:
        return f"“{line}”"
    labels = ", ".join(sample.value.get("labels", ()))
    return f"{sample.target} ({labels})" if labels else sample.target


def _names_fault(sample: Sample, detector: Detector) -> bool:
    if not sample.ok or sample.target == LISTENER:
        return False
    if detector.alerts and sample.target not in detector.alerts:
        return False
    labels = set(sample.value.get("labels", ()))
    return all(f"{key}={value}" in labels for key, value in detector.labels.items())


def _already(heard: Sequence[Seen], onset: Interval) -> str:
    """Why an alert says nothing about the fault: it fired before, or perhaps before, onset."""
    state: dict[tuple[str, ...], str] = {}
    for seen in heard:
        if seen.start.lo >= onset.hi:
            continue
        sample = seen.sample
        if "status" not in sample.value:
            return f"{what(sample)} was there before the onset, too"
        labels = sample.value.get("labels", ())
        state[(sample.target, *sorted(labels))] = sample.value["status"]
    for key, status in sorted(state.items()):
        if status == "firing":
            return f"{key[0]} was already firing before the onset"
    return ""


def _first_gap(listening: Sequence[Seen], onset: Interval, until: Seen, period: int) -> int | None:
    """Where the first stretch without proof of listening begins, from onset up to ``until``."""
    before = [s for s in listening if s.end.lo <= onset.lo]
    proven = before[-1].end.lo if before else None
    if proven is None:
        return onset.lo
    for seen in listening:
        if seen.start.lo < proven:
            continue
        if seen.start.lo > until.start.lo:
            break
        if seen.start.lo - proven > GAP_PERIODS * period:
            return max(proven, onset.lo)
        proven = seen.end.lo
    return max(proven, onset.lo) if until.start.lo - proven > GAP_PERIODS * period else None


def _firing(seen: Seen) -> bool | None:
    return seen.sample.value.get("state") == "firing" if seen.sample.ok else None


def _polled(
    detector: Detector,
    node: str,
    samples: Sequence[Seen],
    watched: tuple[Interval, Interval],
    period: int,
) -> Measurement:
    """The first look that found it firing, after the last that did not."""
    onset, until = watched
    name = f"{detector.name} from {node}"
    known = [s for s in samples if s.start.lo < onset.hi and s.sample.ok]
    if not any(s.end.hi < onset.lo for s in known):
        return unknown(name, KIND, UNIT, "no look before the onset")
    straddling = [s for s in known if s.end.hi >= onset.lo]
    before = max((s for s in known if s.end.hi < onset.lo), key=lambda s: s.sample.start_ns)
    if any(_firing(s) for s in (before, *straddling)):
        return unknown(name, KIND, UNIT, "it was, or may have been, firing before the onset")
    change = first(samples, _firing, period, onset, until)
    if change.status == "unknown":
        return unknown(name, KIND, UNIT, change.reason)
    if change.status == "never":
        lo = max(0, (change.lo or 0) - onset.hi)
        reason = f"it did not fire in {seconds(lo)} after onset"
        return Measurement(name, KIND, UNIT, "never", lo, reason=reason, start=(onset.lo, onset.hi))
    return _fired(name, node, change, onset)


def _fired(name: str, node: str, change: Transition, onset: Interval) -> Measurement:
    span = duration(change.moment, onset)
    sample = change.new.sample if change.new is not None else None
    labels = list(sample.value.get("labels", ())) if sample is not None else []
    told = ", ".join(labels) or "the query"
    evidence = (
        f"{node} found it firing ({told}) between {seconds(span.lo)} and "
        f"{seconds(span.hi, up=True)} after onset",
    )
    return Measurement(
        name, KIND, UNIT, "measured", span.lo, span.hi, with_onset(change.parts, onset, "onset"),
        (onset.lo, onset.hi), (change.moment.lo, change.moment.hi),
        {"labels": labels, "what": told}, evidence,
    )  # fmt: skip


def _said(record: Record, window: Window) -> Measurement:
    """The first ``gameday ack`` after onset; those before it are about something else."""
    onset = window.onset
    opened = [e.at_ns for e in record.of_kind(kinds.ACKS_OPENED)]
    closed = [e.at_ns for e in record.of_kind(kinds.ACKS_CLOSED)]
    if not opened or min(opened) > onset.lo:
        return unknown(HUMAN, KIND, UNIT, "nobody could say anything to this run")
    for event in record.of_kind(kinds.HUMAN_ACK):
        if event.at_ns < onset.hi:
            continue
        moment = Interval(max(int(event.data["said_ns"]), onset.lo), event.at_ns)
        span = duration(moment, onset)
        who = event.data["said_by"] or event.data["user"]
        told = f"{who}: “{event.data['text']}”"
        parts = with_onset((Part("until it was written down", moment.width),), onset, "onset")
        evidence = (f"{told}, {seconds(span.lo)} after onset",)
        return Measurement(
            HUMAN, KIND, UNIT, "measured", span.lo, span.hi, parts, (onset.lo, onset.hi),
            (moment.lo, moment.hi), {"what": told, "user": event.data["user"]}, evidence,
        )  # fmt: skip
    if not closed or max(closed) < window.end.lo:
        reason = "nobody said anything, but the run stopped listening before the end of the fault"
        return unknown(HUMAN, KIND, UNIT, reason)
    lo = max(0, max(closed) - onset.hi)
    reason = f"nobody said anything in {seconds(lo)} after onset"
    return Measurement(HUMAN, KIND, UNIT, "never", lo, reason=reason, start=(onset.lo, onset.hi))
