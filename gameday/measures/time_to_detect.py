# SPDX-License-Identifier: Apache-2.0
"""``time-to-detect``: from onset until a webhook received an alert that names the fault."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from gameday.clock import Interval
from gameday.measures.base import Measurement, Part, Unit
from gameday.measures.common import duration, period_ns, unknown, with_onset
from gameday.measures.transitions import TAIL_PERIODS
from gameday.measures.words import names, seconds
from gameday.record.record import Record, Seen
from gameday.record.types import Sample

LISTENER = "listener"
"""Target of the samples that prove that somebody was listening."""

GAP_PERIODS = 2
"""Two listener samples further apart than this: a webhook in between may have been lost."""


@dataclass(frozen=True)
class TimeToDetectParams:
    """Parameters of ``time-to-detect``.

    Attributes:
        probe: an alertmanager-webhook probe.
        alerts: names of alerts of which any one counts.
        labels: labels that the alert must carry, so that it names this fault.
        fault: which fault's onset counts; the first of the experiment where it is empty.
    """

    probe: str
    alerts: tuple[str, ...]
    labels: Mapping[str, str] = field(default_factory=dict)
    fault: str = ""


class TimeToDetect:
    """From onset to the first notification that names the fault."""

    kind = "time-to-detect"
    unit: Unit = "ns"
    Params: type = TimeToDetectParams
    summary = "from onset to the first alert that names the fault, as a webhook received it"

    def measure(self, name: str, params: TimeToDetectParams, record: Record) -> Measurement:
        """The first firing notification after onset, bounded by proof that one listened.

        Raises:
            EvidenceError: where the plan or the record lacks what is asked for.
        """
        onset = record.window(params.fault or None).onset
        period = period_ns(record, params.probe)
        streams = record.seen(params.probe)
        listening = sorted(
            (s for key, seen in streams.items() if key[1] == LISTENER for s in seen if s.sample.ok),
            key=lambda s: s.start.lo,
        )
        if not listening:
            return unknown(name, self.kind, self.unit, "nobody was listening for alerts")
        heard = sorted(
            (s for seen in streams.values() for s in seen if _names_fault(s.sample, params)),
            key=lambda s: s.end.hi,
        )
        early = _already(heard, onset)
        if early:
            return unknown(name, self.kind, self.unit, early)
        firing = [
            s for s in heard if s.sample.value["status"] == "firing" and s.start.lo >= onset.hi
        ]
        if not firing:
            return self._silent(name, params, listening, period, record)
        return self._heard(name, firing[0], listening, onset, period)

    def _heard(
        self, name: str, alert: Seen, listening: Sequence[Seen], onset: Interval, period: int
    ) -> Measurement:
        blind = _first_gap(listening, onset, alert, period)
        lo = alert.start.lo if blind is None else blind
        moment = Interval(min(lo, alert.end.hi), alert.end.hi)
        span = duration(moment, onset)
        sample = alert.sample
        spent = sample.end_ns - sample.start_ns
        parts = [
            Part("receipt", spent),
            Part("clock bound", max(0, alert.end.hi - alert.start.lo - spent)),
        ]
        if blind is not None:
            parts.append(Part("nobody listened", alert.start.lo - moment.lo))
        evidence = (
            f"{sample.node} received {sample.target} ({', '.join(sample.value['labels'])}) "
            f"between {seconds(span.lo)} and {seconds(span.hi, up=True)} after onset",
        )
        return Measurement(
            name, self.kind, self.unit, "measured", span.lo, span.hi,
            with_onset(parts, onset, "onset"), (onset.lo, onset.hi), (moment.lo, moment.hi),
            {"alert": sample.target, "labels": list(sample.value["labels"])}, evidence,
        )  # fmt: skip

    def _silent(
        self,
        name: str,
        params: TimeToDetectParams,
        listening: Sequence[Seen],
        period: int,
        record: Record,
    ) -> Measurement:
        last = listening[-1]
        window = record.window(params.fault or None)
        onset, end = window.onset, window.end
        if _first_gap(listening, onset, last, period) is not None:
            reason = "no alert was received, but nobody was listening for a part of the time"
            return unknown(name, self.kind, self.unit, reason)
        if last.end.hi < end.lo - TAIL_PERIODS * period:
            reason = "no alert was received, but listening stopped before the end of the fault"
            return unknown(name, self.kind, self.unit, reason)
        lo = max(0, last.start.lo - onset.hi)
        wanted = names(list(params.alerts))
        reason = f"none of {wanted} was received in {seconds(lo)} of listening after onset"
        return Measurement(
            name, self.kind, self.unit, "never", lo, reason=reason, start=(onset.lo, onset.hi)
        )


def _names_fault(sample: Sample, params: TimeToDetectParams) -> bool:
    if not sample.ok or sample.target not in params.alerts:
        return False
    labels = set(sample.value.get("labels", ()))
    return all(f"{key}={value}" in labels for key, value in params.labels.items())


def _already(heard: Sequence[Seen], onset: Interval) -> str:
    """Why an alert says nothing about the fault: it fired before, or perhaps before, onset."""
    state: dict[tuple[str, ...], str] = {}
    for seen in heard:
        if seen.start.lo >= onset.hi:
            continue
        sample = seen.sample
        state[(sample.target, *sorted(sample.value["labels"]))] = sample.value["status"]
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


MEASURE = TimeToDetect()
