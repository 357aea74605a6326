# SPDX-License-Identifier: Apache-2.0
"""``report.json``: everything that is said about a run, in integers and strings. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

import numpy as np

from gameday import __version__
from gameday.clock import Interval
from gameday.errors import EvidenceError
from gameday.measures.base import Measurement
from gameday.measures.coverage import Covered, check_coverage
from gameday.measures.effect import Effect, check_effects
from gameday.measures.predictions import Prediction, check_predictions
from gameday.measures.runner import measure_all
from gameday.measures.words import seconds_between
from gameday.record import kinds
from gameday.record.journal import dump_line
from gameday.record.looks import to_run
from gameday.record.record import Record
from gameday.report.clients import client_rows
from gameday.report.files import SCHEMA
from gameday.report.leases import clean_state, lease_table, unclean
from gameday.report.verdict import Objective, judge, judge_run, limit_of

EVIDENCE_MAX = 40
"""Sentences kept per list; a report is read by people, the record has the rest."""

INCIDENT = ("id", "evidence", "sha256", "path", "window", "fixed_by")
"""What a report repeats of the incident that its experiment reproduces; the plan has the rest."""


def canonical(report: Mapping[str, Any]) -> bytes:
    """The one byte form of a report: sorted keys, compact, UTF-8, no floats, a newline.

    Raises:
        RequirementFailed: where a float is inside.
    """
    return dump_line(report).encode()


def build_report(record: Record, version: str = __version__) -> dict[str, Any]:
    """The whole report of a run.

    Args:
        record: the run. version: of the code that judges, named in the report.

    Raises:
        EvidenceError: where the record has no beginning.
    """
    measurements = measure_all(record)
    objectives = [
        judge(measurement, limit_of(planned))
        for planned, measurement in zip(
            record.plan["experiment"]["objectives"], measurements, strict=True
        )
    ]
    effects, coverage = check_effects(record), check_coverage(record)
    predictions, clean = check_predictions(record), clean_state(record)
    aborted = _abort(record)
    verdict = judge_run(
        objectives,
        unclean=unclean(clean),
        aborted=f"aborted by {aborted['by']}: {aborted['why']}" if aborted else "",
        invalid=_invalid(record, effects, coverage),
        ended=any(True for _ in record.of_kind(kinds.RUN_ENDED)),
    )
    return {
        "schema": SCHEMA,
        "judged_by": f"gameday {version}",
        "run": _run(record),
        "experiment": _experiment(record),
        "approvals": _approvals(record),
        "verdict": {
            "verdict": verdict.verdict,
            "outcome": verdict.outcome,
            "objectives": verdict.objectives,
            "exit_code": verdict.exit_code,
            "reasons": list(verdict.reasons),
        },
        "objectives": [_objective(o, m) for o, m in zip(objectives, measurements, strict=True)],
        "clients": client_rows(record, measurements),
        "predictions": [_plain(asdict(prediction)) for prediction in predictions],
        "findings": [*_findings(predictions, clean), *_drift(record), *_late(record)],
        "faults": _faults(record),
        "groups": _plain(record.plan["groups"]),
        "effect": [_effect(effect) for effect in effects],
        "steady_state": [_plain(event.data) for event in record.of_kind(kinds.STEADY)],
        "coverage": [_plain(asdict(covered)) for covered in coverage],
        "clocks": _clocks(record),
        "leases": lease_table(record),
        "clean": clean,
        "abort": aborted,
        "lost": [_plain(event.data) for event in record.of_kind(kinds.NODE_LOST)],
    }


def _run(record: Record) -> dict[str, Any]:
    started = next(iter(record.of_kind(kinds.RUN_STARTED)), None)
    if started is None:
        raise EvidenceError("the run has no beginning: events.jsonl lacks run.started")
    last = record.events[-1]
    return {
        "id": started.data["run"],
        "operator": started.data["operator"],
        "version": started.data["version"],
        "argv": list(started.data["argv"]),
        "nodes": list(started.data["nodes"]),
        "started_wall_ns": started.wall_ns,
        "ended_wall_ns": last.wall_ns,
        "started_ns": started.at_ns,
        "ended_ns": last.at_ns,
        "events": len(record.events),
        "samples": len(record.samples),
    }


def _approvals(record: Record) -> list[dict[str, Any]]:
    """Who had allowed the run; the envelopes themselves stay in the journal."""
    kept = ("principals", "fingerprint", "signed_wall_ns", "digest")
    return [{key: event.data[key] for key in kept} for event in record.of_kind(kinds.APPROVED)]


def _experiment(record: Record) -> dict[str, Any]:
    metadata = record.plan["experiment"]["metadata"]
    incident = metadata.get("incident") or {}
    named = {key: incident[key] for key in INCIDENT if incident.get(key) is not None}
    return {
        **({"incident": _plain(named)} if named else {}),
        "name": metadata["name"],
        "title": metadata.get("title") or metadata["name"],
        "why": metadata.get("why") or "",
        "owner": metadata.get("owner") or "",
        "links": _plain(metadata.get("links") or {}),
        "timeline": _plain(record.plan["timeline"]),
    }


def _faults(record: Record) -> list[dict[str, Any]]:
    rows = []
    for fault in record.plan["faults"]:
        row = {
            "name": fault["name"],
            "kind": fault["kind"],
            "at_s": fault["at_s"],
            "for_s": fault["for_s"],
            "sides": _plain(fault.get("sides") or {}),
            "leases": len(fault["leases"]),
            "onset": None,
            "end": None,
            "fault_reason": "",
        }
        try:
            window = record.window(fault["name"])
            row["onset"], row["end"] = _pair(window.onset), _pair(window.end)
        except EvidenceError as error:
            row["fault_reason"] = error.message
        rows.append(row)
    return rows


def _objective(objective: Objective, measurement: Measurement) -> dict[str, Any]:
    limit = objective.limit
    return {
        "name": objective.name,
        "judgement": objective.judgement,
        "why": objective.why,
        "limit": None if limit is None else {"at_most": limit.at_most, "text": limit.text},
        "measurement": {
            "kind": measurement.kind,
            "unit": measurement.unit,
            "status": measurement.status,
            "lo": measurement.lo,
            "hi": measurement.hi,
            "parts": [{"name": part.name, "size": part.size} for part in measurement.parts],
            "start": None if measurement.start is None else list(measurement.start),
            "end": None if measurement.end is None else list(measurement.end),
            "details": _plain(measurement.details),
            "evidence": list(measurement.evidence[:EVIDENCE_MAX]),
            "reason": measurement.reason,
        },
    }


def _effect(effect: Effect) -> dict[str, Any]:
    return {
        "fault": effect.fault,
        "held": effect.held,
        "cut_pairs": sum(pair.role == "cut" for pair in effect.pairs),
        "shifted_pairs": sum(pair.role == "shifted" for pair in effect.pairs),
        "control_pairs": sum(pair.role == "control" for pair in effect.pairs),
        "onset": None if effect.onset is None else _pair(effect.onset),
        "evidence": list(effect.evidence[:EVIDENCE_MAX]),
        "details": _plain(effect.details),
    }


def _invalid(
    record: Record, effects: Sequence[Effect], coverage: Sequence[Covered]
) -> tuple[str, ...]:
    """Why the numbers of this run do not count; empty where they do."""
    reasons = []
    for event in record.of_kind(kinds.STEADY):
        if not event.data["held"]:
            reasons.append(f"steady state: {event.data['check']}: {event.data['reason']}")
    for effect in effects:
        if effect.held is not True:
            word = "did not hold" if effect.held is False else "could not be checked"
            why = effect.evidence[0] if effect.evidence else "no samples"
            reasons.append(f"effect of {effect.fault} {word}: {why}")
    for covered in coverage:
        if not covered.held:
            reasons.append(
                f"coverage: {covered.probe} at {covered.node} → {covered.target} delivered "
                f"{covered.delivered} of {covered.due} samples"
            )
    return tuple(reasons)


def _findings(predictions: Sequence[Prediction], clean: Mapping[str, Any]) -> list[str]:
    """What somebody must look at even where every objective was met."""
    found = [f"contradicted: {p.seen}" for p in predictions if p.observed == "contradicted"]
    for node, pieces in clean["left"].items():
        found += [f"{node} is not clean: {piece}" for piece in pieces or ["no details"]]
    found += [f"{node} was not read back" for node in clean["not_read_back"]]
    for node, changes in clean["foreign_changed"].items():
        found += [f"{node}: changed by others during the run: {change}" for change in changes]
    return found


def _drift(record: Record) -> list[str]:
    """Where inventory and clusters differed before the run, or could not be compared."""
    return [
        f"inventory: {one['where']}: {one['what']}; {one['todo']}"
        for event in record.of_kind(kinds.COMPARED)
        for one in event.data["findings"]
    ]


def _late(record: Record) -> list[str]:
    """Leases that ended late, which only happens where another system had to answer."""
    return [
        f"{fault}: lease {lease} ended {seconds_between(late.lo, late.hi)} after its time"
        for lease, (fault, late) in sorted(record.late().items())
    ]


def _abort(record: Record) -> dict[str, Any] | None:
    for event in record.of_kind(kinds.ABORT):
        return {"by": event.data["by"], "why": event.data["why"], "at_ns": event.at_ns}
    return None


def _clocks(record: Record) -> list[dict[str, Any]]:
    """Per node, how exactly its clock was known: widest and narrowest, at its own exchanges."""
    rows = []
    for node, exchanges in sorted(record.exchanges.items()):
        moments = np.array([exchange.node_mono_ns for exchange in exchanges], np.int64)
        between = (moments[1:] + moments[:-1]) // 2 if len(moments) > 1 else moments
        lo, hi = to_run(between, exchanges)
        widths = hi - lo
        rows.append(
            {"node": node, "exchanges": len(moments), "bound_ns_min": int(widths.min()),
             "bound_ns_max": int(widths.max())}
        )  # fmt: skip
    return rows


def _pair(interval: Interval) -> list[int]:
    return [interval.lo, interval.hi]


def _plain(value: Any) -> Any:
    """JSON values only: tuples and frozen mappings become lists and dictionaries."""
    if isinstance(value, Mapping):
        return {str(key): _plain(inner) for key, inner in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(inner) for inner in value]
    return value
