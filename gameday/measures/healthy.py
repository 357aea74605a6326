# SPDX-License-Identifier: Apache-2.0
"""Who said what of a site's health, as spans. Shared by the kinds that compare words with deeds."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from gameday.clock import Interval
from gameday.measures.base import Measurement, Unit
from gameday.measures.common import Stream, period_ns, probe_plan, recover_ns
from gameday.measures.spans import GAP_PERIODS, ByOk, Label, Span, Stretch, spans, total
from gameday.record.looks import Looks
from gameday.record.record import Record, Window
from gameday.record.types import Sample

GOOD, BAD = "good", "bad"
"""What a look showed of whatever it is about."""

UNSEEN = "unseen"
"""A look that told nothing, where nothing may be concluded from those beside it."""

STATES = ("kube-nodes", "kube-pods", "kube-gslb", "kube-delivery")
"""Kinds of probes whose value says whether what they watch is ``healthy``. Of a look that failed
nobody knows: what was seen before may have changed, and changed back."""

IN, OUT = "in", "out"
"""Whether an answer holds an address of the site."""

LISTENER = "listener"
FAR = 1 << 62

GOOD_OR_BAD = ByOk(GOOD, BAD)

NEAR_PERIODS = 8
"""Looks this far outside of the window still bound what happened at its edges."""


def whole_window(record: Record, fault: Window) -> Interval:
    """From onset to the end of recovery, at the widest."""
    return Interval(fault.onset.lo, fault.end.hi + recover_ns(record))


def certain_window(record: Record, fault: Window) -> Interval:
    """From onset to the end of recovery, at the narrowest."""
    return Interval(fault.onset.hi, max(fault.onset.hi, fault.end.lo + recover_ns(record)))


def added_up(
    what: tuple[str, str, Unit], found: Sequence[Stretch], bounds: tuple[Interval, int],
    evidence: Sequence[str], open_: str,
) -> Measurement:  # fmt: skip
    """All stretches of a run as one measurement, with the longest one's place.

    Args:
        what: name, kind and unit. found: as ``sweep`` finds them. bounds: the window in which they
            surely count, and how exactly any look's moment is known, in ns.
        open_: the reason to give where one was still there when the watch ended.
    """
    whole = total(found, *bounds)
    longest = max(found, key=lambda one: one.hi - one.lo, default=None)
    start = None if longest is None else (longest.begin.lo, longest.begin.hi)
    if any(one.open for one in found):
        return Measurement(
            *what, "never", whole.lo, start=start, evidence=tuple(evidence), reason=open_
        )
    return Measurement(
        *what, "measured", whole.lo, whole.hi, whole.parts, start,
        None if longest is None else (longest.end.lo, longest.end.hi),
        {"times_certain": sum(bool(one.sure) for one in found)}, tuple(evidence),
    )  # fmt: skip


def says_healthy(
    probe: Mapping[str, Any], site: str, addresses: frozenset[str]
) -> Callable[[Sample], bool | None]:
    """What one of ``STATES`` says of a site's health; nothing where it does not answer.

    k8gb in another site's cluster says it by the addresses that it serves: the health in its status
    is that of its own cluster.

    Args:
        probe: its entry in the plan. addresses: that stand for the site.
    """
    elsewhere = probe["kind"] == "kube-gslb" and probe["params"]["site"] != site

    def tell(sample: Sample) -> bool | None:
        if not sample.ok:
            return None
        if elsewhere:
            return bool(addresses.intersection(sample.value["addresses"]))
        return bool(sample.value["healthy"])

    return tell


def healthy_label(tell: Callable[[Sample], bool | None]) -> Callable[[Sample], Label]:
    """What ``says_healthy`` tells, as a label of spans."""
    return lambda sample: {True: GOOD, False: BAD, None: UNSEEN}[tell(sample)]


def unseen(looks: Looks) -> str:
    """How often a watcher was not answered, and why the last time; empty where it always was."""
    failed = looks.where(~looks.ok)
    if not len(failed):
        return ""
    return f"not answered {len(failed)} times, the last: {failed[-1].sample.reason}"


def near(samples: Sequence[Any], window: Interval, period: int) -> Looks:
    """Looks that say something of the window."""
    looks = Looks.of(samples)
    room = NEAR_PERIODS * period
    return looks.where((looks.end_hi >= window.lo - room) & (looks.start_lo <= window.hi + room))


def told(
    record: Record, probe: str, window: Interval, tell: Callable[[Sample], Label], reach: int = 0
) -> dict[Stream, list[Span]]:
    """Every planned sampler's spans; those without samples have none.

    Args:
        tell: what a look shows. reach: how many periods apart looks that tell may lie.

    Raises:
        EvidenceError: where the plan has no such probe.
    """
    period, streams = period_ns(record, probe), record.seen(probe)
    keys = [(s["node"], s["target"]) for s in probe_plan(record, probe)["samplers"]]
    apart = (reach or GAP_PERIODS) * period
    return {key: spans(near(streams.get(key, ()), window, period), tell, apart) for key in keys}


def answers(
    record: Record, probe: str, window: Interval, addresses: frozenset[str]
) -> dict[Stream, list[Span]]:
    """Per server, from when to when it handed the site out, and when it did not.

    A server that is silent for about three looks or more hands nothing out as seen from there;
    a packet or two that are lost tell nothing.
    """
    period, streams = period_ns(record, probe), record.seen(probe)
    found = {}
    for sampler in probe_plan(record, probe)["samplers"]:
        key = (sampler["node"], sampler["target"])
        looks = near(streams.get(key, ()), window, period)
        known = spans(looks, _holds(addresses), GAP_PERIODS * period)
        found[key] = _with_silence(known, looks, period)
    return found


def _holds(addresses: frozenset[str]) -> Callable[[Sample], Label]:
    def tell(sample: Sample) -> Label:
        if not sample.ok:
            return None
        return IN if addresses.intersection(sample.value.get("addresses", ())) else OUT

    return tell


def _with_silence(known: Sequence[Span], looks: Looks, period: int) -> list[Span]:
    """The spans of a server with those added in which it was silent."""
    every = spans(looks, GOOD_OR_BAD, GAP_PERIODS * period)
    silent = [s for s in every if s.label == BAD and s.hi - s.lo >= period // 2]
    return sorted([*known, *(Span(s.lo, s.hi, OUT) for s in silent)], key=lambda s: s.lo)


def site_nodes(record: Record, site: str) -> frozenset[str]:
    """Names of a site's nodes; empty where the plan has no such site."""
    nodes: Mapping[str, Mapping[str, Any]] = record.plan["nodes"]
    return frozenset(name for name, node in nodes.items() if node["site"] == site)


def looks_of(record: Record, probe: str) -> list[Looks]:
    """All streams of a probe."""
    return list(record.seen(probe).values())


def listened(
    record: Record, probe: str, window: Interval, names_it: Callable[[Sample], bool]
) -> dict[Stream, list[Span]]:
    """Per listener, from when to when no alert that ``names_it`` was firing (GOOD), or one was.

    Only while somebody listened is silence a word; an alert that is not resolved goes on.
    """
    streams = record.seen(probe)
    found = {}
    for node in sorted({node for node, _ in streams}):
        heard = told(record, probe, window, GOOD_OR_BAD).get((node, LISTENER), [])
        found[(node, LISTENER)] = _cut(heard, _alarms(streams, node, names_it))
    return found


@dataclass(frozen=True)
class Alarm:
    """An alert that was firing from ``begin`` to ``end``, as the listener was told."""

    begin: Interval
    end: Interval


def _alarms(
    streams: Mapping[Stream, Looks], node: str, names_it: Callable[[Sample], bool]
) -> list[Alarm]:
    """Every alert that counts; one that was not resolved has no end."""
    moments: list[tuple[Interval, bool, str]] = []
    for (where, target), looks in streams.items():
        if where != node or target == LISTENER:
            continue
        for look in looks:
            status = look.sample.value.get("status")
            if look.sample.ok and status in ("firing", "resolved") and names_it(look.sample):
                moment = Interval(look.start.lo, look.end.hi)
                moments.append((moment, status == "firing", _which(look.sample)))
    found: list[Alarm] = []
    firing: dict[str, Interval] = {}
    for moment, begins, which in sorted(moments, key=lambda item: item[0].lo):
        if begins:
            firing.setdefault(which, moment)
        elif which in firing:
            found.append(Alarm(firing.pop(which), moment))
    return found + [Alarm(since, Interval(FAR, FAR)) for since in firing.values()]


def _which(sample: Sample) -> str:
    return "\n".join(sorted(sample.value.get("labels", ())))


def _cut(heard: Sequence[Span], alarms: Sequence[Alarm]) -> list[Span]:
    """Silence while somebody listened, with what was firing taken out of it."""
    edges = {m for s in heard for m in (s.lo, s.hi)}
    edges |= {m for a in alarms for m in (a.begin.lo, a.begin.hi, a.end.lo, a.end.hi)}
    found: list[Span] = []
    for lo, hi in pairwise(sorted(edges)):
        if any(a.begin.hi <= lo and hi <= a.end.lo for a in alarms):
            label: Label = BAD
        elif any(a.begin.lo <= lo and hi <= a.end.hi for a in alarms):
            continue
        elif any(s.label == GOOD and s.lo <= lo and hi <= s.hi for s in heard):
            label = GOOD
        else:
            continue
        if found and found[-1].hi == lo and found[-1].label == label:
            found[-1] = Span(found[-1].lo, hi, label)
        else:
            found.append(Span(lo, hi, label))
    return found
