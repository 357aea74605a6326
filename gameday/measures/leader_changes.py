# SPDX-License-Identifier: Apache-2.0
"""``leader-changes``: how many leaders a group elected between onset and the end of recovery.

A term has at most one leader, a leader is elected by a majority, who then have its term, and a
member's term never falls. So terms count elections, from both sides: a term in which somebody
followed a leader is one; and no more were won than there are terms between the highest that a
majority may have had at first and the highest that a majority can have had at last.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from gameday.clock import Interval
from gameday.measures.base import Measurement, Part, Unit
from gameday.measures.common import group_plan, period_ns, recover_ns, unknown
from gameday.measures.transitions import TAIL_PERIODS
from gameday.measures.words import count, names
from gameday.record.columns import Ints
from gameday.record.looks import Looks
from gameday.record.record import Record

NO_LEADER = "0"


@dataclass(frozen=True)
class LeaderChangesParams:
    """Parameters of ``leader-changes``.

    Attributes:
        probe: an etcd-status probe on the group's members.
        group: the Raft group.
        metrics: an etcd-metrics probe on the members; what they counted themselves.
        fault: which fault's window counts; the first of the experiment where it is empty.
    """

    probe: str
    group: str
    metrics: str = ""
    fault: str = ""


@dataclass(frozen=True)
class Member:
    """One member's statuses that were answered: when, in which term, following whom."""

    start_lo: Ints
    end_hi: Ints
    terms: Ints
    led: Sequence[tuple[int, str]]
    """(term, leader) of every look; the leader is "0" where there was none."""

    def lowest_after(self, moment: int) -> int | None:
        """The first term that it showed in a look begun after a moment: at most that before."""
        later = self.terms[self.start_lo >= moment]
        return int(later[0]) if len(later) else None

    def highest_before(self, moment: int) -> int | None:
        """The last term that it showed in a look ended by a moment: at least that after."""
        earlier = self.terms[self.end_hi <= moment]
        return int(earlier[-1]) if len(earlier) else None


class LeaderChanges:
    """Elections that were won, between bounds."""

    kind = "leader-changes"
    unit: Unit = "count"
    Params: type = LeaderChangesParams
    summary = "how many leaders were elected between onset and the end of recovery"

    def measure(self, name: str, params: LeaderChangesParams, record: Record) -> Measurement:
        """At least the terms that had a leader, at most the terms that can have had one.

        Raises:
            EvidenceError: where the plan or the record lacks what is asked for.
        """
        fault = record.window(params.fault or None)
        until = fault.end.shift(recover_ns(record))
        nodes = sorted(group_plan(record, params.group)["members"])
        majority = len(nodes) // 2 + 1
        period = period_ns(record, params.probe)
        streams = record.seen(params.probe)
        members = {n: _member(Looks.of(streams.get((n, n), ()))) for n in nodes}
        first = _least([m.highest_before(fault.onset.lo) for m in members.values()], majority)
        last = _most(_ends(members, until, TAIL_PERIODS * period), majority)
        silent = [n for n, m in members.items() if not len(m.terms)]
        evidence = [f"no status of {names(silent)}"] if silent else []
        if first is None or last is None:
            when = "before onset" if first is None else "at the end of recovery"
            reason = f"too few members told their term {when}"
            return unknown(name, self.kind, self.unit, reason, evidence)
        won = _won(members, first, Interval(fault.onset.hi, until.lo), majority)
        lo, hi = len(won), max(len(won), last - first)
        evidence += [f"term {term}: {leader} led" for term, leader in won]
        evidence.append(f"a majority was in term {first} before onset, and in {last} at the end")
        parts = [Part("terms that may have had a leader", hi - lo)]
        if params.metrics:
            counted, told = _counted(record, params.metrics, nodes, fault.onset, until)
            evidence += told
            if counted is not None and lo <= counted < hi:
                evidence.append(f"the members counted {counted} in all, so there were no more")
                hi = counted
        return Measurement(
            name, self.kind, self.unit, "measured", lo, hi, tuple(parts),
            (fault.onset.lo, fault.onset.hi), (until.lo, until.hi),
            {"first_term": first, "last_term": last}, tuple(evidence),
        )  # fmt: skip


def _member(looks: Looks) -> Member:
    good = looks.where(looks.ok)
    led: list[tuple[int, str]] = []
    places: dict[tuple[int, str], int] = {}

    def code(value: Mapping[str, object]) -> int:
        key = (int(str(value["term"])), str(value["leader"]))
        if key not in places:
            places[key] = len(led)
            led.append(key)
        return places[key]

    codes = good.codes(lambda sample: code(sample.value)) if len(good) else np.zeros(0, np.int64)
    terms = np.array([term for term, _ in led], np.int64)[codes] if led else codes
    return Member(good.start_lo, good.end_hi, terms, [led[at] for at in codes.tolist()])


def _least(terms: Sequence[int | None], majority: int) -> int | None:
    """The highest term that a majority may have had at most: no leader of it or below was new.

    Who says nothing may have had any term, so it is counted among the lowest.
    """
    known = sorted(term for term in terms if term is not None)
    place = majority - 1 - (len(terms) - len(known))
    return known[place] if place >= 0 else None


def _most(terms: Sequence[int | None], majority: int) -> int | None:
    """The highest term that a majority can have had; who says nothing may have had any."""
    known = sorted((term for term in terms if term is not None), reverse=True)
    place = majority - 1 - (len(terms) - len(known))
    return known[place] if place >= 0 else None


def _ends(members: Mapping[str, Member], until: Interval, room: int) -> list[int | None]:
    """Each member's term at the end of the watch: of the first look after it, or of a last one
    that is near enough."""
    found = []
    for member in members.values():
        term = member.lowest_after(until.hi)
        if term is None and len(member.terms) and member.start_lo[-1] >= until.lo - room:
            term = int(member.terms[-1])
        found.append(term)
    return found


def _won(
    members: Mapping[str, Member], first: int, window: Interval, majority: int
) -> list[tuple[int, str]]:
    """Terms with their leaders that were certainly won inside the window."""
    minority = len(members) - majority
    found: dict[int, str] = {}
    for member in members.values():
        ended = member.end_hi <= window.hi
        for at in np.flatnonzero(ended & (member.terms > first)).tolist():
            term, leader = member.led[at]
            if leader != NO_LEADER:
                found[term] = leader
    lowest = [m.lowest_after(window.lo) for m in members.values()]
    return [
        (term, leader)
        for term, leader in sorted(found.items())
        # So few members can have had the term at onset that nobody had won it by then.
        if sum(low is not None and low < term for low in lowest) > minority
    ]


def _counted(
    record: Record, probe: str, nodes: Sequence[str], onset: Interval, until: Interval
) -> tuple[int | None, list[str]]:
    """How often the members counted a new leader, all of them added up; None where unknown.

    A leader counts itself, so there were no more than that. A member that hears of the same
    leader anew counts too, so there may have been fewer.
    """
    period, streams = period_ns(record, probe), record.seen(probe)
    whole: int | None = 0
    told = []
    for node in nodes:
        looks = Looks.of(streams.get((node, node), ()))
        looks = looks.where(looks.ok)
        before = looks.where(looks.end_hi <= onset.lo)
        room = until.lo - TAIL_PERIODS * period
        if not len(before) or not len(looks) or looks[-1].start.lo < room:
            whole = None
            told.append(f"{node}: its counter is not known at both ends")
            continue
        after = looks.where(looks.start_lo >= until.hi)
        stop = after[0] if len(after) else looks[-1]
        between = looks.where(
            (looks.start_ns >= before[-1].sample.start_ns)
            & (looks.start_ns <= stop.sample.start_ns)
        )
        values = [int(look.sample.value["leader_changes"]) for look in between]
        if any(b < a for a, b in pairwise(values)):
            whole = None
            told.append(f"{node}: was started again, which set its counter back")
            continue
        grown = values[-1] - values[0]
        whole = None if whole is None else whole + grown
        told.append(f"{node}: counted {count(grown, 'new leader')}")
    return whole, told


MEASURE = LeaderChanges()
