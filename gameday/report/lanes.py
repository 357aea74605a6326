# SPDX-License-Identifier: Apache-2.0
"""What the timeline shows: a lane per probe and target, in spans of equal state. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from gameday.measures.healthy import STATES as WATCHED
from gameday.record import kinds
from gameday.record.columns import Ints
from gameday.record.looks import Looks, Seen
from gameday.record.record import Record
from gameday.record.types import Sample

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

TOLD = ("", "firing", "resolved", "line", "shown", "event")
TOLD_NOTHING = (
    "etcd-write",
    "etcd-workload",
    "etcd-status",
    "dns",
    "http",
    "icmp",
    "rtt-mesh",
    "tcp-connect",
    "udp-echo",
    "bgp",
    "gslb-state",
    "tcp-session",
    "postgresql",
    "galera",
    "postgresql-workload",
    "galera-workload",
    "cockroachdb",
    "yugabytedb",
    "kube-nodes",
    "kube-pods",
    "kube-gslb",
    "kube-delivery",
    "kube-api",
)
"""Probes whose samples never hold an alert; many, and each of another value."""

COMPARED = {
    "dns": "addresses",
    "etcd-status": "term",
    "bgp": "paths",
    "gslb-state": "up",
    "tcp-session": "session",
    "postgresql": "role",
    "galera": "cluster_status",
    "kube-nodes": "cordoned",
    "kube-pods": "ready",
    "kube-gslb": "addresses",
    "kube-delivery": "paused",
}
"""By the kind of probe: what of its value is another answer once it differs from the first."""


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
    """One alert, line or word: ``firing`` or resolved, at ``at`` (run's time, ns)."""

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
            found.append(Lane(_site(record, probe, *key), label, tuple(_coarse(spans, finest))))
    order = [*record.plan["sites"], "did the fault hit?"]
    rank = {site: at for at, site in enumerate(order)}
    return sorted(found, key=lambda lane: rank.get(lane.group, len(order)))[:LANES_MAX]


def ticks(record: Record) -> list[Tick]:
    """First firing and first resolving of each alert's name, in order of time."""
    seen: dict[tuple[str, bool], Tick] = {}
    for probe in record.plan["probes"]:
        for (_, target), looks in record.seen(probe["name"]).items():
            if target == LISTENER or probe["kind"] in TOLD_NOTHING:
                continue
            for told in range(1, len(TOLD)):
                heard = looks.where(looks.codes(_told) == told)
                if len(heard):
                    tick = _tick(probe, heard[0], TOLD[told])
                    seen.setdefault((tick.name, tick.firing), tick)
    for event in record.of_kind(kinds.HUMAN_ACK):
        tick = Tick(event.at_ns, f"{event.data['said_by'] or event.data['user']} said", True)
        seen.setdefault((tick.name, True), tick)
    return sorted(seen.values(), key=lambda tick: tick.at)


def _told(sample: Sample) -> int:
    """What one says, as its place in ``TOLD``: a webhook's alert, a log's line, Prometheus, an
    Event."""
    if not sample.ok:
        return 0
    if "line" in sample.value:
        return TOLD.index("line")
    if "message" in sample.value:
        return TOLD.index("event")
    if sample.value.get("state") == "firing":
        return TOLD.index("shown")
    status = sample.value.get("status")
    return TOLD.index(status) if status in ("firing", "resolved") else 0


def _tick(probe: Mapping[str, Any], look: Seen, told: str) -> Tick:
    if told == "line":
        return Tick(look.start.lo, f"{probe['name']} {look.sample.node}", True)
    if told == "event":
        about = [text for text in look.sample.value["labels"] if text.startswith("object=")]
        name = " ".join([look.sample.target, *(text.partition("=")[2] for text in about)])
        return Tick(look.end.hi, name, True)
    if told == "shown":
        # It was so at some time before; that it was seen is as late as this.
        return Tick(look.end.hi, f"{probe['name']} {look.sample.node}", True)
    return Tick(look.start.lo, look.sample.target, told == "firing")


def _label(probe: Mapping[str, Any], node: str, target: str) -> str:
    if node == target:
        return f"{node} {probe['name']}"
    if target == LISTENER:
        return f"{node} {probe['name']}, listening"
    return f"{probe['name']} {node} → {target}"


def _site(record: Record, probe: Mapping[str, Any], node: str, target: str) -> str:
    nodes = record.plan["nodes"]
    if probe["kind"].startswith("kube-"):
        return str(probe["params"]["site"])
    place = nodes.get(target) or nodes.get(node)
    # The controller's own host is of no site.
    return str(place["site"]) if place else node


STATES: tuple[State, ...] = ("ok", "changed", "failed", "none")


def _state(probe: Mapping[str, Any], sample: Sample, first: Mapping[str, Any] | None) -> State:
    kind, value = probe["kind"], sample.value
    if kind in WATCHED and not sample.ok:
        return "none"
    if value.get("healthy") is False:
        return "failed"
    if not sample.ok or (kind == "etcd-status" and value["leader"] == "0"):
        return "failed"
    if kind == "prometheus":
        return "changed" if value["state"] == "firing" else "ok"
    if kind not in COMPARED or first is None:
        return "ok"
    now, then = value[COMPARED[kind]], first[COMPARED[kind]]
    # The order of an answer's addresses means nothing.
    same = sorted(now) == sorted(then) if kind == "dns" else now == then
    return "ok" if same else "changed"


def _states(probe: Mapping[str, Any], looks: Looks) -> Ints:
    """Each look's state, as its place in ``STATES``."""
    if probe["kind"] not in ("prometheus", *COMPARED):
        return np.where(looks.ok, STATES.index("ok"), STATES.index("failed"))
    good = looks.where(looks.ok)
    first = good[0].sample.value if len(good) else None
    return looks.codes(lambda sample: STATES.index(_state(probe, sample, first)))


def _spans(samples: Sequence[Seen], probe: Mapping[str, Any], lo: int, hi: int) -> list[Span]:
    """Spans without holes from lo to hi; a state holds until the next look."""
    period = int(probe["period_ns"])
    looks = Looks.of(samples)
    looks = looks.where((looks.end_hi >= lo) & (looks.start_lo < hi))
    if not len(looks):
        return [Span(lo, hi, "none")] if hi - lo > GAP_PERIODS * period else []
    # A watch's look begins with the one before it: what it tells is drawn from when it was told.
    shown = looks.end_hi if probe["kind"] in WATCHED else looks.start_lo
    start = np.maximum(shown, lo)
    end = np.append(shown[1:], looks.end_hi[-1])
    alone = np.append(np.diff(shown) > GAP_PERIODS * period, True)
    end = np.where(alone, np.minimum(end, shown + period), end)
    end = np.minimum(np.maximum(end, start), hi)
    until = np.append(lo, np.maximum.accumulate(np.maximum(end, lo)))
    before, at = until[:-1], int(until[-1])
    holes = start - before > period
    states = _states(probe, looks)
    # Only where a lane begins anew, after a hole or in another state, is there anything to add.
    anew = holes.copy()
    anew[0] = True
    anew[1:] |= np.diff(states) != 0
    places = np.flatnonzero(anew)
    found: list[Span] = []
    for place, following in zip(places, np.append(places[1:], len(looks)), strict=True):
        if holes[place]:
            _add(found, Span(int(before[place]), int(start[place]), "none"))
        upto = int(end[place:following].max())
        _add(found, Span(int(start[place]), upto, STATES[states[place]]))
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
