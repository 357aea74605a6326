# SPDX-License-Identifier: Apache-2.0
"""``quorum-recovery``: from the end of the fault until the whole group is one again."""

from __future__ import annotations

import bisect
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from gameday.clock import Interval
from gameday.measures.base import Measurement, Unit
from gameday.measures.common import (
    duration,
    group_plan,
    period_ns,
    recover_ns,
    unknown,
    with_onset,
)
from gameday.measures.transitions import State, Transition, settled
from gameday.measures.words import names, seconds
from gameday.record.record import Record, Seen

NO_LEADER = "0"


@dataclass(frozen=True)
class QuorumRecoveryParams:
    """Parameters of ``quorum-recovery``.

    Attributes:
        probe: an etcd-status probe on the group's members.
        group: the Raft group.
        index_lag_max: entries a member may be behind and still count as recovered.
        fault: which fault's end counts; the first of the experiment where it is empty.
    """

    probe: str
    group: str
    index_lag_max: int = 100
    fault: str = ""


class QuorumRecovery:
    """From end of fault until all members share one term and leader, and have caught up."""

    kind = "quorum-recovery"
    unit: Unit = "ns"
    Params: type = QuorumRecoveryParams
    summary = (
        "from the end of the fault until all members are in one term, follow one leader and "
        "lag by less than the bound"
    )

    def measure(self, name: str, params: QuorumRecoveryParams, record: Record) -> Measurement:
        """Maximum over members of each one's last change to the final leader and term.

        Raises:
            EvidenceError: where the plan or the record lacks what is asked for.
        """
        window = record.window(params.fault or None)
        members = sorted(group_plan(record, params.group)["members"])
        period = period_ns(record, params.probe)
        until = window.end.shift(recover_ns(record))
        streams = {
            m: [s for s in record.seen(params.probe).get((m, m), []) if s.start.lo <= until.lo]
            for m in members
        }
        absent = [m for m, s in streams.items() if not _answers_after(s, window.end)]
        if absent:
            reason = f"no answer of {names(absent)} after the end of the fault"
            return unknown(name, self.kind, self.unit, reason)
        final, split = _final(streams)
        if final is None:
            # Every member still answers, and they do not agree: that is known, not unknown.
            lo = max(0, min(s[-1].start.lo for s in streams.values()) - window.end.hi)
            return Measurement(
                name, self.kind, self.unit, "never", lo, evidence=tuple(split),
                start=(window.end.lo, window.end.hi),
                reason="the members did not agree on one leader and term by the end of the run",
            )  # fmt: skip
        state = _recovered(final, _indexes(streams), params.index_lag_max)
        found = {
            member: _member(samples, state, period, until) for member, samples in streams.items()
        }
        return self._slowest(name, found, window.end, final)

    def _slowest(
        self,
        name: str,
        found: Mapping[str, Transition],
        end: Interval,
        final: tuple[str, int],
    ) -> Measurement:
        leader, term = final
        evidence = [f"all members ended in term {term} with leader {leader}"]
        evidence += [_sentence(m, c, end) for m, c in sorted(found.items())]
        never = {m: c for m, c in found.items() if c.status == "never"}
        if never:
            lo = max(max(0, (c.lo or 0) - end.hi) for c in never.values())
            reason = f"{names(sorted(never))} had not caught up by the end of the run"
            return Measurement(
                name, self.kind, self.unit, "never", lo, start=(end.lo, end.hi),
                evidence=tuple(evidence), reason=reason,
            )  # fmt: skip
        for member, change in sorted(found.items()):
            if change.status == "unknown":
                reason = f"{member}: {change.reason}"
                return unknown(name, self.kind, self.unit, reason, evidence)
        slowest = max(sorted(found), key=lambda m: found[m].moment.hi)
        moment = Interval(max(c.moment.lo for c in found.values()), found[slowest].moment.hi)
        span = duration(moment, end)
        return Measurement(
            name, self.kind, self.unit, "measured", span.lo, span.hi,
            with_onset(found[slowest].parts, end, "end of fault"), (end.lo, end.hi),
            (moment.lo, moment.hi),
            {"last_member": slowest, "leader": leader, "term": term}, tuple(evidence),
        )  # fmt: skip


def _answers_after(samples: Sequence[Seen], end: Interval) -> bool:
    return any(s.sample.ok and s.start.lo >= end.hi for s in samples)


def _final(streams: Mapping[str, Sequence[Seen]]) -> tuple[tuple[str, int] | None, list[str]]:
    """The leader and term that every member's last answer shows, or who shows what."""
    last = {
        member: next(s.sample.value for s in reversed(samples) if s.sample.ok)
        for member, samples in streams.items()
    }
    shown = {(value["leader"], value["term"]) for value in last.values()}
    if len(shown) == 1 and next(iter(shown))[0] != NO_LEADER:
        return next(iter(shown)), []
    return None, [f"{m}: leader {v['leader']}, term {v['term']}" for m, v in sorted(last.items())]


def _indexes(streams: Mapping[str, Sequence[Seen]]) -> tuple[list[int], list[int]]:
    """Moments and the highest index that any member had certainly reached by each of them."""
    reached = sorted(
        (s.end.hi, int(s.sample.value["index"]))
        for samples in streams.values()
        for s in samples
        if s.sample.ok
    )
    moments: list[int] = []
    highest: list[int] = []
    for moment, index in reached:
        moments.append(moment)
        highest.append(max(index, highest[-1] if highest else 0))
    return moments, highest


def _recovered(final: tuple[str, int], indexes: tuple[list[int], list[int]], lag_max: int) -> State:
    moments, highest = indexes

    def state(seen: Seen) -> bool | None:
        sample = seen.sample
        if not sample.ok:
            return None
        if (sample.value["leader"], sample.value["term"]) != final:
            return False
        at = bisect.bisect_right(moments, seen.start.lo)
        known = highest[at - 1] if at else 0
        return known - int(sample.value["index"]) < lag_max

    return state


def _member(samples: Sequence[Seen], state: State, period: int, until: Interval) -> Transition:
    """One member's last change; a member that never differed was recovered from the start."""
    if any(state(seen) is False for seen in samples):
        return settled(samples, state, period, until)
    start = samples[0].start.lo
    return Transition("measured", start, start, None, samples[0])


def _sentence(member: str, change: Transition, end: Interval) -> str:
    if change.status != "measured":
        return f"{member}: {change.reason}"
    span = duration(change.moment, end)
    if span.hi == 0:
        return f"{member}: was there before the fault ended"
    return f"{member}: there between {seconds(span.lo)} and {seconds(span.hi, up=True)} after it"


MEASURE = QuorumRecovery()
