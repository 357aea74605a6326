# SPDX-License-Identifier: Apache-2.0
"""What the timeline shows: a lane per probe and target, in spans of equal state. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from gameday.record.record import Record, Seen

State = Literal["ok", "changed", "failed", "mixed", "none"]
"""ok: as before the fault. changed: answered, but otherwise than at first (a dns answer with
other addresses, another leader). failed: no answer, or one that says no. mixed: several of
these within a pixel or among several pairs. none: no data."""

STATE_TEXT: Mapping[State, str] = {
    "ok": "ok",
    "changed": "other answer",
    "failed": "failed",
    "mixed": "mixed",
    "none": "no data",
}

GAP_PERIODS = 2
LANES_MAX = 120
"""A report is a page, not an archive: further lanes are left out, and the page says so."""

LISTENER = "listener"


@dataclass(frozen=True)
class Span:
    """From ``lo`` to ``hi`` (run's time, ns) the lane was in one state."""

    lo: int
    hi: int
    state: State


@dataclass(frozen=True)
class Lane:
    """One row of the timeline: ``group`` is a site, ``label`` who looked at what how."""

    group: str
    label: str
    spans: tuple[Span, ...]


@dataclass(frozen=True)
class Tick:
    """One alert: ``firing`` or resolved, at ``at`` (run's time, ns)."""

    at: int
    name: str
    firing: bool


def lanes(record: Record, lo: int, hi: int, finest: int) -> list[Lane]:
    """Every lane, grouped by site in the plan's order.

    Args:
        record: the run. lo, hi: what is shown, in the run's time. finest: spans shorter
            than this many ns are drawn as one mixed span.
    """
    found: list[Lane] = []
    for probe in record.plan["probes"]:
        streams = record.seen(probe["name"])
        if probe["kind"] == "icmp":
            found += _effect_lanes(record, probe, lo, hi)
            continue
        for sampler in probe["samplers"]:
            key = (sampler["node"], sampler["target"])
            if (sampler["node"], LISTENER) in streams:
                key = (sampler["node"], LISTENER)
            spans = _spans(streams.get(key, ()), probe, lo, hi)
            label = _label(probe, *key)
            found.append(Lane(_site(record, *key), label, tuple(_coarse(spans, finest))))
    order = [*record.plan["sites"], "did the fault hit?"]
    rank = {site: at for at, site in enumerate(order)}
    return sorted(found, key=lambda lane: rank.get(lane.group, len(order)))[:LANES_MAX]


def ticks(record: Record) -> list[Tick]:
    """First firing and first resolving of each alert's name, in order of time."""
    seen: dict[tuple[str, bool], Tick] = {}
    for probe in record.plan["probes"]:
        for (_, target), samples in record.seen(probe["name"]).items():
            for look in samples:
                status = look.sample.value.get("status")
                if status not in ("firing", "resolved") or target == LISTENER:
                    continue
                tick = Tick(look.start.lo, target, status == "firing")
                seen.setdefault((target, tick.firing), tick)
    return sorted(seen.values(), key=lambda tick: tick.at)


def _label(probe: Mapping[str, Any], node: str, target: str) -> str:
    if node == target:
        return f"{node} {probe['name']}"
    if target == LISTENER:
        return f"{node} {probe['name']}, listening"
    return f"{probe['name']} {node} → {target}"


def _site(record: Record, node: str, target: str) -> str:
    nodes = record.plan["nodes"]
    return str(nodes[target if target in nodes else node]["site"])


def _state(probe: Mapping[str, Any], seen: Seen, first: Mapping[str, Any] | None) -> State:
    sample = seen.sample
    if not sample.ok:
        return "failed"
    if probe["kind"] == "dns" and first is not None:
        same = set(sample.value["addresses"]) == set(first["addresses"])
        return "ok" if same else "changed"
    if probe["kind"] == "etcd-status":
        if sample.value["leader"] == "0":
            return "failed"
        changed = first is not None and sample.value["term"] != first["term"]
        return "changed" if changed else "ok"
    return "ok"


def _spans(samples: Sequence[Seen], probe: Mapping[str, Any], lo: int, hi: int) -> list[Span]:
    """Spans without holes from lo to hi; a state holds until the next look."""
    period = int(probe["period_ns"])
    samples = [s for s in samples if s.end.hi >= lo and s.start.lo < hi]
    first = next((s.sample.value for s in samples if s.sample.ok), None)
    found: list[Span] = []
    at = lo
    for place, seen in enumerate(samples):
        start = max(seen.start.lo, lo)
        following = samples[place + 1].start.lo if place + 1 < len(samples) else None
        end = seen.end.hi if following is None else following
        if following is None or following - seen.start.lo > GAP_PERIODS * period:
            end = min(end, seen.start.lo + period)
        if start - at > period:
            _add(found, Span(at, start, "none"))
        end = min(max(end, start), hi)
        _add(found, Span(start, end, _state(probe, seen, first)))
        at = max(at, end)
    if hi - at > GAP_PERIODS * period:
        _add(found, Span(at, hi, "none"))
    return found


def _add(found: list[Span], span: Span) -> None:
    """Append, and merge with the last span where that has the same state."""
    if span.hi <= span.lo:
        return
    if found and found[-1].state == span.state:
        found[-1] = Span(found[-1].lo, span.hi, span.state)
    else:
        found.append(span)


def _coarse(spans: Sequence[Span], finest: int) -> list[Span]:
    """Neighbours that are each too short to be seen become one mixed span."""
    found: list[Span] = []
    for span in spans:
        short = span.hi - span.lo < finest
        if short and found and (found[-1].state == "mixed" or found[-1].hi - found[-1].lo < finest):
            found[-1] = Span(found[-1].lo, span.hi, "mixed")
        else:
            found.append(span)
    return found


def _effect_lanes(record: Record, probe: Mapping[str, Any], lo: int, hi: int) -> list[Lane]:
    """Pairs that were to be cut, and pairs that were not, each as one lane."""
    planned = next(
        (e for e in record.plan.get("effect", {}).values() if e["probe"] == probe["name"]), None
    )
    if planned is None:
        return []
    streams = record.seen(probe["name"])
    found = []
    for word in ("cut", "shifted", "control"):
        pairs = planned.get(word, ())
        each = [_spans(streams.get((node, target), ()), probe, lo, hi) for node, target in pairs]
        if each:
            label = f"{len(each)} {word} pairs, ping"
            found.append(Lane("did the fault hit?", label, tuple(_together(each, probe, lo, hi))))
    return found


def _together(
    each: Sequence[Sequence[Span]], probe: Mapping[str, Any], lo: int, hi: int
) -> list[Span]:
    """Several lanes as one, period by period: their common state, or mixed."""
    period = int(probe["period_ns"])
    found: list[Span] = []
    places = [0] * len(each)
    for start in range(lo, hi - period // 2, period):
        states: set[State] = set()
        for at, spans in enumerate(each):
            while places[at] < len(spans) and spans[places[at]].hi <= start:
                places[at] += 1
            covering = places[at] < len(spans) and spans[places[at]].lo <= start
            states.add(spans[places[at]].state if covering else "none")
        if min(start - lo, hi - start) < GAP_PERIODS * period:
            # Samplers start and stop a moment apart; that is no missing data.
            states.discard("none")
        if not states:
            continue
        state = states.pop() if len(states) == 1 else "mixed"
        _add(found, Span(start, start + period, state))
    return found
