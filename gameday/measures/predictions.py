# SPDX-License-Identifier: Apache-2.0
"""The plan's predictions beside what the write probes saw."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from gameday.errors import GamedayError
from gameday.measures.common import NS_PER_S, period_ns, within
from gameday.measures.words import count, names, seconds
from gameday.measures.writes_on_side import MEASURE as WRITES
from gameday.measures.writes_on_side import WritesOnSideParams
from gameday.record.record import Record, Seen, Window

WRITE_KIND = "etcd-write"
TAIL_PERIODS = 4
"""A side goes on writing if it still acknowledges in this many last periods of the fault."""

Observed = Literal["as-predicted", "contradicted", "unknown"]
"""as-predicted: samples show it. contradicted: samples show the opposite, a finding even
where every objective was met. unknown: the samples do not tell."""


@dataclass(frozen=True)
class Prediction:
    """One prediction of the plan and what became of it.

    Attributes:
        id, text, expect, members: from the plan.
        observed: see ``Observed``.
        seen: one sentence that says what was observed.
        evidence: sentences naming the samples it rests on.
    """

    id: str
    text: str
    expect: str
    members: tuple[str, ...]
    observed: Observed
    seen: str
    evidence: tuple[str, ...] = ()


def check_predictions(record: Record) -> list[Prediction]:
    """Every prediction of the plan, in its order; unknown where it cannot be checked."""
    found = []
    for planned in record.plan.get("predictions", ()):
        try:
            observed, seen, evidence = _check(record, planned)
        except GamedayError as error:
            observed, seen, evidence = "unknown", error.message, ()
        found.append(
            Prediction(
                id=planned["id"],
                text=planned["text"],
                expect=planned["expect"],
                members=tuple(planned["members"]),
                observed=observed,
                seen=seen,
                evidence=tuple(evidence),
            )
        )
    return found


def _check(record: Record, planned: Mapping[str, Any]) -> tuple[Observed, str, Sequence[str]]:
    window = record.window(planned["fault"])
    probe = _write_probe(record, planned["members"])
    if probe is None:
        return "unknown", "no probe writes on these members", ()
    if planned["expect"] == "writes-stop":
        return _stop(record, probe, planned)
    if planned["expect"] == "writes-continue":
        return _continue(record, probe, planned["members"], window)
    return "unknown", f"this version cannot check {planned['expect']!r}", ()


def _write_probe(record: Record, members: Sequence[str]) -> str | None:
    """The first probe of the plan that writes on every one of the members."""
    for entry in record.plan["probes"]:
        if entry["kind"] == WRITE_KIND:
            at = {s["node"] for s in entry["samplers"]}
            if at.issuperset(members):
                return str(entry["name"])
    return None


def _stop(
    record: Record, probe: str, planned: Mapping[str, Any]
) -> tuple[Observed, str, Sequence[str]]:
    """A side must not acknowledge any write that began after onset and ended before the end."""
    members = planned["members"]
    params = WritesOnSideParams(probe, tuple(members), planned["fault"])
    writes = WRITES.measure(planned["id"], params, record)
    if writes.lo:
        text = f"{names(members)} acknowledged {count(writes.lo, 'write')} during the fault"
        return "contradicted", text, writes.evidence
    if writes.status == "unknown":
        return "unknown", writes.reason, writes.evidence
    missing = int(writes.details["missing"])
    if missing:
        text = f"no acknowledged write was seen, but {count(missing, 'sample')} are missing"
        return "unknown", text, writes.evidence
    text = f"{names(members)} acknowledged no write during the fault"
    return "as-predicted", text, writes.evidence


def _continue(
    record: Record, probe: str, members: Sequence[str], window: Window
) -> tuple[Observed, str, Sequence[str]]:
    """A side must acknowledge writes again before the fault ends, and still at its end."""
    streams = record.seen(probe)
    tried = [within(streams.get((m, m), ()), window) for m in members]
    good = [looks.end_hi[looks.ok].min() for looks in tried if looks.ok.any()]
    tail_from = window.end.lo - TAIL_PERIODS * period_ns(record, probe)
    tail = [ok for looks in tried for ok in looks.ok[looks.start_lo >= tail_from].tolist()]
    evidence = [_sentence(m, streams.get((m, m), ()), window) for m in sorted(members)]
    if not tail:
        return "unknown", "no write lies in the last moments of the fault", evidence
    if any(tail):
        first = seconds(max(0, int(min(good)) - window.onset.lo), up=True)
        text = f"{names(members)} acknowledged writes again by {first} after onset"
        return "as-predicted", text, evidence
    if _cut_short(record, window):
        text = "no write was acknowledged at the end, but the fault was ended early"
        return "unknown", text, evidence
    if good:
        text = f"{names(members)} acknowledged writes, and stopped again before the fault ended"
    else:
        text = f"{names(members)} acknowledged no write during the fault"
    return "contradicted", text, evidence


def _sentence(member: str, samples: Sequence[Seen], window: Window) -> str:
    tried = within(samples, window)
    good = tried.where(tried.ok)
    text = f"{member}: {count(len(good), 'acknowledged write')} of {len(tried)} tried"
    if len(good):
        text += f", the first begun {seconds(good[0].start.lo - window.onset.hi)} after onset"
    return text


def _cut_short(record: Record, window: Window) -> bool:
    """Whether the fault ended more than a second before the plan's end of it."""
    planned = next(f for f in record.plan["faults"] if f["name"] == window.fault)
    return window.end.hi - window.onset.lo < (int(planned["for_s"]) - 1) * NS_PER_S
