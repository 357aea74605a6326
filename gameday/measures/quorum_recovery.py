# SPDX-License-Identifier: Apache-2.0
"""``quorum-recovery``: from the end of the fault until the whole group is one again."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from gameday.clock import Interval
from gameday.measures.base import Measurement, Part, Unit
from gameday.measures.common import (
    duration,
    group_plan,
    period_ns,
    recover_ns,
    unknown,
    with_onset,
)
from gameday.measures.transitions import BLIND, NEW, OLD, ByLooks, Transition, settled
from gameday.measures.words import names, seconds
from gameday.record.columns import Ints
from gameday.record.looks import Looks
from gameday.record.record import Record
from gameday.record.types import Sample

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
        seen = {m: Looks.of(record.seen(params.probe).get((m, m), ())) for m in members}
        streams = {m: looks.where(looks.start_lo <= until.lo) for m, looks in seen.items()}
        absent = [m for m, s in streams.items() if not np.any(s.ok & (s.start_lo >= window.end.hi))]
        if absent:
            reason = f"no answer of {names(absent)} after the end of the fault"
            return unknown(name, self.kind, self.unit, reason)
        final, split = _final(streams)
        if final is None:
            # Every member still answers, and they do not agree: that is known, not unknown.
            lo = max(0, min(int(s.start_lo[-1]) for s in streams.values()) - window.end.hi)
            return Measurement(
                name, self.kind, self.unit, "never", lo, evidence=tuple(split),
                start=(window.end.lo, window.end.hi),
                reason="the members did not agree on one leader and term by the end of the run",
            )  # fmt: skip
        state = _recovered(final, _reached(streams), params.index_lag_max)
        found = {
            member: _member(samples, state, period, window.end, until)
            for member, samples in streams.items()
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


def _final(streams: Mapping[str, Looks]) -> tuple[tuple[str, int] | None, list[str]]:
    """The leader and term that every member's last answer shows, or who shows what."""
    last = {
        member: looks[int(np.flatnonzero(looks.ok)[-1])].sample.value
        for member, looks in streams.items()
    }
    shown = {(value["leader"], value["term"]) for value in last.values()}
    if len(shown) == 1 and next(iter(shown))[0] != NO_LEADER:
        return next(iter(shown)), []
    return None, [f"{m}: leader {v['leader']}, term {v['term']}" for m, v in sorted(last.items())]


def _index(looks: Looks) -> Ints:
    """The index of every look; -1 where it failed."""
    return looks.codes(lambda s: int(s.value["index"]) if s.ok else -1)


def _reached(streams: Mapping[str, Looks]) -> tuple[Ints, Ints]:
    """Moments, and the highest index that any member had certainly reached by each of them."""
    moments = np.concatenate([looks.end_hi[looks.ok] for looks in streams.values()])
    indexes = np.concatenate([_index(looks)[looks.ok] for looks in streams.values()])
    order = np.argsort(moments, kind="stable")
    return moments[order], np.maximum.accumulate(indexes[order])


def _recovered(final: tuple[str, int], reached: tuple[Ints, Ints], lag_max: int) -> ByLooks:
    """New: with the final leader, in the final term, and behind by less than ``lag_max``."""
    moments, highest = reached

    def follows(sample: Sample) -> int:
        if not sample.ok:
            return BLIND
        return NEW if (sample.value["leader"], sample.value["term"]) == final else OLD

    def tell(looks: Looks) -> Ints:
        states = looks.codes(follows)
        at = np.searchsorted(moments, looks.start_lo, side="right")
        known = np.where(at > 0, highest[np.maximum(at, 1) - 1], 0)
        behind = known - _index(looks) >= lag_max
        return np.where((states == NEW) & behind, OLD, states)

    return ByLooks(tell)


def _member(
    samples: Looks, state: ByLooks, period: int, end: Interval, until: Interval
) -> Transition:
    """One member's last change; a member that never differed was recovered from the start.

    One that did not answer around the end of the fault, as a process that hangs, may have been
    anything until its first answer after it.
    """
    if np.any(state.tell(samples) == OLD):
        change = settled(samples, state, period, until)
    else:
        start = samples[0].start.lo
        change = Transition("measured", start, start, None, samples[0])
    if change.status != "measured" or change.moment.hi > end.lo:
        return change
    states = state.tell(samples)
    later = np.flatnonzero((states == NEW) & (samples.start_lo >= end.hi))
    before = np.flatnonzero((states == NEW) & (samples.end_hi <= end.lo))
    first = int(later[0]) if len(later) else len(samples)
    last = int(before[-1]) if len(before) else -1
    if not np.any(states[last + 1 : first] == BLIND):
        return change
    if first == len(samples):
        return Transition("unknown", reason="no answer that tells after the end of the fault")
    new = samples[first]
    return Transition(
        "measured", change.lo, new.end.hi, change.old, new,
        (Part("no answer around the end", max(0, new.end.hi - end.lo)),),
    )  # fmt: skip


def _sentence(member: str, change: Transition, end: Interval) -> str:
    if change.status != "measured":
        return f"{member}: {change.reason}"
    span = duration(change.moment, end)
    if span.hi == 0:
        return f"{member}: was there before the fault ended"
    return f"{member}: there between {seconds(span.lo)} and {seconds(span.hi, up=True)} after it"


MEASURE = QuorumRecovery()
