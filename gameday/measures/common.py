# SPDX-License-Identifier: Apache-2.0
"""What every measurement needs: the plan's words, durations between intervals, unknowns."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from gameday.clock import Interval
from gameday.errors import EvidenceError
from gameday.measures.base import Measurement, Part, Unit
from gameday.record.looks import Looks
from gameday.record.record import Record, Seen, Window

NS_PER_MS = 1_000_000
NS_PER_S = 1_000_000_000

Stream = tuple[str, str]
"""(vantage node, target) of one sampler."""


def probe_plan(record: Record, probe: str) -> Mapping[str, Any]:
    """The plan's entry of a probe.

    Raises:
        EvidenceError: where the plan has no such probe.
    """
    for entry in record.plan["probes"]:
        if entry["name"] == probe:
            found: Mapping[str, Any] = entry
            return found
    raise EvidenceError(f"the plan has no probe {probe!r}")


def period_ns(record: Record, probe: str) -> int:
    """How often each sampler of a probe was to look, in nanoseconds."""
    return int(probe_plan(record, probe)["period_ns"])


def group_plan(record: Record, group: str) -> Mapping[str, Any]:
    """The plan's entry of a Raft group.

    Raises:
        EvidenceError: where the plan has no such group.
    """
    for entry in record.plan["groups"]:
        if entry["name"] == group:
            found: Mapping[str, Any] = entry
            return found
    raise EvidenceError(f"the plan has no group {group!r}")


def sides(record: Record, group: str, fault: str) -> Sequence[Mapping[str, Any]]:
    """The sides a fault splits a group into: members and whether they have quorum.

    Raises:
        EvidenceError: where the fault does not cut the group.
    """
    for cut in group_plan(record, group)["cuts"]:
        if cut["fault"] == fault:
            found: Sequence[Mapping[str, Any]] = cut["sides"]
            return found
    raise EvidenceError(f"fault {fault!r} does not cut group {group!r}")


def recover_ns(record: Record) -> int:
    """How long the plan watches after the end of the last fault, in nanoseconds."""
    return int(record.plan["timeline"]["recover_s"]) * NS_PER_S


def inside(seen: Seen, window: Window) -> bool:
    """Whether a sample began and ended while the fault was certainly in effect."""
    return seen.start.lo >= window.onset.hi and seen.end.hi <= window.end.lo


def within(samples: Sequence[Seen], window: Window) -> Looks:
    """Those of a stream that are ``inside`` a window."""
    looks = Looks.of(samples)
    return looks.where((looks.start_lo >= window.onset.hi) & (looks.end_hi <= window.end.lo))


def overlaps(seen: Seen, window: Window) -> bool:
    """Whether a sample may have touched the time in which the fault was in effect."""
    return seen.end.hi >= window.onset.lo and seen.start.lo <= window.end.hi


def duration(moment: Interval, origin: Interval) -> Interval:
    """From ``origin`` to ``moment``; what lies before the origin counts as zero."""
    raw = moment.minus(origin)
    return Interval(max(0, raw.lo), max(0, raw.hi))


def unknown(
    name: str, kind: str, unit: Unit, reason: str, evidence: Sequence[str] = ()
) -> Measurement:
    """A measurement that the record does not tell, and why."""
    return Measurement(name, kind, unit, "unknown", reason=reason, evidence=tuple(evidence))


def with_onset(parts: Sequence[Part], origin: Interval, word: str) -> tuple[Part, ...]:
    """``parts`` and the bound of the moment that a duration is counted from."""
    return (*parts, Part(f"{word} bound", origin.width))


def build_params(kind: type, data: Mapping[str, Any]) -> Any:
    """The frozen parameters of a measure from the plan's JSON; lists become tuples.

    Raises:
        EvidenceError: where a key is unknown or a required one is missing.
    """
    values = {k: tuple(v) if isinstance(v, list) else v for k, v in data.items()}
    names = {field.name for field in dataclasses.fields(kind)}
    if set(values) - names:
        odd = ", ".join(sorted(set(values) - names))
        raise EvidenceError(f"unknown parameters of the measure: {odd}")
    try:
        return kind(**values)
    except (TypeError, ValueError) as error:
        raise EvidenceError(f"parameters of the measure: {error}") from error


def missing_between(samples: Sequence[Seen]) -> int:
    """How many numbers are absent between the first and the last of one stream's samples."""
    numbers = Looks.of(samples).seq
    if np.any(np.diff(numbers) <= 0):
        numbers = np.unique(numbers)
    return int(numbers[-1] - numbers[0]) + 1 - len(numbers) if len(numbers) else 0
