# SPDX-License-Identifier: Apache-2.0
"""``re-election``: from onset to the first acknowledged write on the majority side."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from gameday.clock import Interval
from gameday.measures.base import Measurement, Unit
from gameday.measures.common import duration, period_ns, recover_ns, sides, unknown, with_onset
from gameday.measures.transitions import ACKNOWLEDGED, Transition, first
from gameday.measures.words import names, seconds
from gameday.record.looks import Looks
from gameday.record.record import Record


@dataclass(frozen=True)
class ReElectionParams:
    """Parameters of ``re-election``.

    Attributes:
        probe: an etcd-write probe on the group's members.
        group: the Raft group.
        fault: which fault's onset counts; the first of the experiment where it is empty.
    """

    probe: str
    group: str
    fault: str = ""


class ReElection:
    """From onset to the first linearizable write that the majority side acknowledged."""

    kind = "re-election"
    unit: Unit = "ns"
    Params: type = ReElectionParams
    summary = "from onset to the first acknowledged linearizable write on the majority side"

    def measure(self, name: str, params: ReElectionParams, record: Record) -> Measurement:
        """Minimum over the majority side's members of each one's first acknowledged write.

        Only writes that began after onset count, since an earlier one may have been
        committed by the old leader. A member's lower bound is the start of its last failed
        write before that; where none failed, the leader stayed and the bound is zero.

        Raises:
            EvidenceError: where the plan or the record lacks what is asked for.
        """
        window = record.window(params.fault or None)
        members = [
            member
            for side in sides(record, params.group, window.fault)
            if side["quorum"]
            for member in side["members"]
        ]
        if not members:
            return unknown(name, self.kind, self.unit, "no side of the cut has a majority")
        period = period_ns(record, params.probe)
        until = window.end.shift(recover_ns(record))
        streams = record.seen(params.probe)
        found: dict[str, Transition] = {}
        evidence: list[str] = []
        for member in sorted(members):
            samples = Looks.of(streams.get((member, member), ()))
            if not (samples.ok & (samples.end_hi < window.onset.lo)).any():
                change = Transition("unknown", reason="no acknowledged write before the onset")
            else:
                change = first(samples, ACKNOWLEDGED, period, window.onset, until)
            found[member] = change
            evidence.append(_sentence(member, change, window.onset))
        seen = {m: c for m, c in found.items() if c.status == "measured"}
        if not seen:
            return self._none(name, found, window.onset, evidence)
        blind = sorted(m for m, c in found.items() if c.status == "unknown")
        return self._first(name, seen, blind, window.onset, evidence)

    def _first(
        self,
        name: str,
        seen: dict[str, Transition],
        blind: list[str],
        onset: Interval,
        evidence: list[str],
    ) -> Measurement:
        if blind:
            # A member that nobody watched may have acknowledged earlier than the others.
            reason = f"no usable samples of {names(blind)}"
            return unknown(name, self.kind, self.unit, reason, evidence)
        earliest = min(sorted(seen), key=lambda m: seen[m].lo or 0)
        quickest = min(sorted(seen), key=lambda m: seen[m].hi or 0)
        moment = Interval(seen[earliest].moment.lo, seen[quickest].moment.hi)
        span = duration(moment, onset)
        stayed = all(change.old is None for change in seen.values())
        details: dict[str, Any] = {
            "first_member": quickest,
            "leader_stayed": "yes" if stayed else "no",
        }
        if stayed:
            evidence.append("no write failed: the leader stayed with the majority")
        return Measurement(
            name, self.kind, self.unit, "measured", span.lo, span.hi,
            with_onset(seen[earliest].parts, onset, "onset"),
            (onset.lo, onset.hi), (moment.lo, moment.hi), details, tuple(evidence),
        )  # fmt: skip

    def _none(
        self, name: str, found: dict[str, Transition], onset: Interval, evidence: list[str]
    ) -> Measurement:
        for member, change in sorted(found.items()):
            if change.status == "unknown":
                reason = f"{member}: {change.reason}"
                return unknown(name, self.kind, self.unit, reason, evidence)
        lo = min(max(0, (change.lo or 0) - onset.hi) for change in found.values())
        reason = f"no write was acknowledged on {names(sorted(found))} while it was watched"
        return Measurement(
            name, self.kind, self.unit, "never", lo, start=(onset.lo, onset.hi),
            evidence=tuple(evidence), reason=reason,
        )  # fmt: skip


def _sentence(member: str, change: Transition, onset: Interval) -> str:
    if change.status != "measured":
        return f"{member}: {change.reason}"
    span = duration(change.moment, onset)
    if change.old is None:
        return f"{member}: no write failed; acknowledged by {seconds(span.hi, up=True)}"
    return (
        f"{member}: last write to fail began {seconds(span.lo)} after onset "
        f"({change.old.sample.reason}), first to be acknowledged ended by "
        f"{seconds(span.hi, up=True)}"
    )


MEASURE = ReElection()
