# SPDX-License-Identifier: Apache-2.0
"""``time-to-detect``: from onset until the first of its detectors told of the fault."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from gameday.errors import EvidenceError
from gameday.measures.base import Measurement, Part, Unit
from gameday.measures.common import build_params, unknown
from gameday.measures.detectors import KIND, Detector, detections
from gameday.measures.words import names, seconds
from gameday.record.record import Record


@dataclass(frozen=True)
class TimeToDetectParams:
    """Parameters of ``time-to-detect``.

    Attributes:
        detectors: who may notice: probes, and people; the earliest counts.
        probe: instead of detectors, one probe.
        alerts: of that probe, names of alerts of which any one counts.
        labels: labels that the alert must carry, so that it names this fault.
        fault: which fault's onset counts; the first of the experiment where it is empty.
    """

    detectors: tuple[Detector, ...] = ()
    probe: str = ""
    alerts: tuple[str, ...] = ()
    labels: Mapping[str, str] = field(default_factory=dict)
    fault: str = ""

    def __post_init__(self) -> None:
        if bool(self.detectors) == bool(self.probe):
            raise ValueError("give either detectors or a probe")
        if self.detectors and (self.alerts or self.labels):
            raise ValueError("alerts and labels stand with each of the detectors")


class TimeToDetect:
    """From onset to the first word of anybody who notices."""

    kind = KIND
    unit: Unit = "ns"
    Params: type = TimeToDetectParams
    summary = "from onset until the first alert, log line or person tells of the fault"

    def measure(self, name: str, params: TimeToDetectParams, record: Record) -> Measurement:
        """Each detector's own time, and the earliest of them.

        Raises:
            EvidenceError: where the plan or the record lacks what is asked for.
        """
        window = record.window(params.fault or None)
        one = [Detector(params.probe, params.alerts, params.labels)] if params.probe else []
        found: list[Measurement] = []
        for detector in one or [_detector(given) for given in params.detectors]:
            try:
                found += detections(record, detector, window)
            except EvidenceError as error:
                found.append(unknown(detector.name, self.kind, self.unit, error.message))
        earliest = found[0] if len(found) == 1 else _earliest(found)
        details = {**earliest.details, "detectors": [_row(one) for one in found]}
        return replace(earliest, name=name, details=details)


def _detector(given: Detector | Mapping[str, Any]) -> Detector:
    """A detector as it stands in a plan."""
    if isinstance(given, Detector):
        return given
    found: Detector = build_params(Detector, given)
    return found


def _earliest(found: Sequence[Measurement]) -> Measurement:
    """The first of several. One that is unknown may have been first, at any time after onset."""
    evidence = tuple(line for one in found for line in one.evidence or (_mute(one),))
    measured = [one for one in found if one.status == "measured"]
    silent = [one for one in found if one.status == "never"]
    blind = [one for one in found if one.status == "unknown"]
    if measured:
        quickest = min(measured, key=lambda one: one.hi or 0)
        lo = min([one.lo or 0 for one in (*measured, *silent)] + [0 for _ in blind])
        lower = (quickest.lo or 0) - lo
        parts = quickest.parts
        if lower > 0:
            parts = (*parts, Part("another may have been first", lower))
        start, end = quickest.start, quickest.end
        if end is not None and lower > 0:
            end = (end[0] - lower, end[1])
        details = {**quickest.details, "first": quickest.name}
        return replace(
            quickest, lo=lo, parts=parts, start=start, end=end, details=details, evidence=evidence
        )
    if blind:
        reason = f"{names([one.name for one in blind])} may have noticed: {blind[0].reason}"
        return unknown("", KIND, "ns", reason, evidence)
    lo = min(one.lo or 0 for one in silent)
    reason = f"none of {names([one.name for one in silent])} noticed in {seconds(lo)} after onset"
    return Measurement(
        "", KIND, "ns", "never", lo, start=silent[0].start, evidence=evidence, reason=reason
    )


def _mute(one: Measurement) -> str:
    return f"{one.name}: {one.reason}"


def _row(one: Measurement) -> dict[str, Any]:
    """One detector in a report's table."""
    return {
        "name": one.name, "status": one.status, "lo": one.lo, "hi": one.hi,
        "what": str(one.details.get("what", "")), "reason": one.reason,
    }  # fmt: skip


MEASURE = TimeToDetect()
