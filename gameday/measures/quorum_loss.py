# SPDX-License-Identifier: Apache-2.0
"""``quorum-loss``: for how long a group of members had no quorum, all losses added up."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from gameday.clock import Interval
from gameday.measures.base import Measurement, Unit
from gameday.measures.common import group_plan, period_ns, probe_plan, recover_ns, unknown
from gameday.measures.spans import (
    GAP_PERIODS,
    Ask,
    ByOk,
    Label,
    Span,
    Stretch,
    Total,
    clock_ns,
    spans,
    sweep,
    total,
)
from gameday.measures.words import count, names, seconds
from gameday.record.looks import Looks
from gameday.record.record import Record, Seen
from gameday.record.types import Sample

STATUS_KIND = "etcd-status"
NO_LEADER = "0"
ACKNOWLEDGED = "acknowledged"
WRITES = ByOk(ACKNOWLEDGED, "refused")
NEAR_PERIODS = 8
"""Looks this far outside of the window still bound what happened at its edges."""

LOSSES_MAX = 10
"""Losses that the evidence tells one by one."""


@dataclass(frozen=True)
class QuorumLossParams:
    """Parameters of ``quorum-loss``.

    Attributes:
        probe: an etcd-write probe on the members, or an etcd-status one.
        group: the Raft group.
        members: only these of the group, a side of a cut; all of them where it is empty.
        fault: which fault's window counts; the first of the experiment where it is empty.
    """

    probe: str
    group: str
    members: tuple[str, ...] = ()
    fault: str = ""


class QuorumLoss:
    """How long no member acknowledged a write, or no majority followed one leader."""

    kind = "quorum-loss"
    unit: Unit = "ns"
    Params: type = QuorumLossParams
    summary = "time without a quorum between onset and the end of recovery"

    def measure(self, name: str, params: QuorumLossParams, record: Record) -> Measurement:
        """All losses between onset and the end of recovery, added up.

        A write that any member acknowledges shows a quorum; the loss is certain only while
        every member's writes fail. Of statuses, it is certain only while no leader and term
        can have had a majority of followers.

        Raises:
            EvidenceError: where the plan or the record lacks what is asked for.
        """
        fault = record.window(params.fault or None)
        window = Interval(fault.onset.lo, fault.end.hi + recover_ns(record))
        certain = Interval(fault.onset.hi, max(fault.onset.hi, fault.end.lo + recover_ns(record)))
        group = group_plan(record, params.group)
        members = sorted(params.members or group["members"])
        odd = sorted(set(members) - set(group["members"]))
        if odd:
            reason = f"{names(odd)}: not in group {params.group}"
            return unknown(name, self.kind, self.unit, reason)
        period = period_ns(record, params.probe)
        streams = record.seen(params.probe)
        looks = {m: _near(streams.get((m, m), ()), window, period) for m in members}
        if not any(len(one) for one in looks.values()):
            reason = f"no samples of {names(members)} between onset and the end"
            return unknown(name, self.kind, self.unit, reason)
        by_status = probe_plan(record, params.probe)["kind"] == STATUS_KIND
        patience = {m: _patience(streams.get((m, m), ()), fault.onset, period) for m in members}
        shown = {m: _shown(one, by_status, period, patience[m]) for m, one in looks.items()}
        ask = _followed(len(group["members"]) // 2 + 1) if by_status else _written
        found = [
            replace(one, open=False) if not by_status and _ended(one, looks) else one
            for one in sweep([shown[m] for m in members], ask, window)
        ]
        whole = total(found, certain, clock_ns(list(looks.values())))
        unseen = max(_farthest(one) + (0 if by_status else patience[m]) for m, one in looks.items())
        evidence = _evidence(found, looks, fault.onset, by_status)
        if not found:
            evidence.append(f"a loss under {seconds(unseen, up=True)} could go unseen")
        return self._sum(name, found, whole, evidence, {"shorter_unseen_ns": unseen})

    def _sum(
        self,
        name: str,
        found: Sequence[Stretch],
        whole: Total,
        evidence: Sequence[str],
        details: Mapping[str, int],
    ) -> Measurement:
        sure = sum(bool(one.sure) for one in found)
        details = {"losses_certain": sure, "losses_possible": len(found) - sure, **details}
        longest = max(found, key=lambda one: one.hi - one.lo, default=None)
        start = None if longest is None else (longest.begin.lo, longest.begin.hi)
        if any(one.open for one in found):
            return Measurement(
                name, self.kind, self.unit, "never", whole.lo, details=details, start=start,
                evidence=tuple(evidence), reason="there was no quorum when the watch ended",
            )  # fmt: skip
        return Measurement(
            name, self.kind, self.unit, "measured", whole.lo, whole.hi, whole.parts, start,
            None if longest is None else (longest.end.lo, longest.end.hi), details,
            tuple(evidence),
        )  # fmt: skip


def _near(samples: Sequence[Seen], window: Interval, period: int) -> Looks:
    """Looks that say something of the window, with a few before and after it."""
    looks = Looks.of(samples)
    room = NEAR_PERIODS * period
    return looks.where((looks.end_hi >= window.lo - room) & (looks.start_lo <= window.hi + room))


def _farthest(looks: Looks) -> int:
    """The longest time between two looks that a member made."""
    return int(np.diff(looks.start_ns).max()) if len(looks) > 1 else 0


def _patience(samples: Sequence[Seen], onset: Interval, period: int) -> int:
    """How long a write may take, in ns, and still say that there was a quorum all the time.

    Twice what the median one took before onset, and a period at least: one that waited longer
    may have outlasted a loss.
    """
    looks = Looks.of(samples)
    before = looks.where(looks.ok & (looks.end_hi < onset.lo))
    if not len(before):
        return period
    return max(period, 2 * int(np.median(before.end_ns - before.start_ns)))


def _ended(stretch: Stretch, looks: Mapping[str, Looks]) -> bool:
    """Whether any write was acknowledged, however late, after the loss was last certain."""
    if not stretch.sure:
        return False
    last = stretch.sure[-1].hi
    return any(
        bool(np.any(one.ok & (one.end_lo > last) & (one.start_hi <= stretch.hi)))
        for one in looks.values()
    )


def _shown(looks: Looks, by_status: bool, period: int, patience: int) -> list[Span]:
    if by_status:
        return spans(looks, _leader, GAP_PERIODS * period)
    prompt = looks.where(~looks.ok | (looks.end_ns - looks.start_ns <= patience))
    return spans(prompt, WRITES, GAP_PERIODS * period)


def _leader(sample: Sample) -> Label:
    """Whom the member follows; nothing where it does not answer."""
    return (sample.value["leader"], sample.value["term"]) if sample.ok else None


def _written(shown: Sequence[Label]) -> bool | None:
    """Whether there was no quorum: nobody acknowledged."""
    if ACKNOWLEDGED in shown:
        return False
    return None if None in shown else True


def _followed(majority: int) -> Ask:
    """Whether there was no quorum: no leader of one term with a majority of followers."""

    def ask(shown: Sequence[Label]) -> bool | None:
        perhaps = sum(label is None for label in shown)
        sure = Counter(x for x in shown if isinstance(x, tuple) and x[0] != NO_LEADER)
        most = max(sure.values(), default=0)
        if most >= majority:
            return False
        return None if most + perhaps >= majority else True

    return ask


def _evidence(
    found: Sequence[Stretch], looks: Mapping[str, Looks], onset: Interval, by_status: bool
) -> list[str]:
    what = "no majority followed one leader" if by_status else "nobody acknowledged a write"
    lines = []
    for one in found[:LOSSES_MAX]:
        sure = sum(part.hi - part.lo for part in one.sure)
        word = f"certainly for {seconds(sure)}" if one.sure else "if at all"
        lines.append(
            f"{what} from {seconds(max(0, one.lo - onset.hi))} to "
            f"{seconds(one.hi - onset.lo, up=True)} after onset at most, {word}"
        )
    if len(found) > LOSSES_MAX:
        lines.append(f"and {len(found) - LOSSES_MAX} more")
    for member, one_looks in sorted(looks.items()):
        if not len(one_looks):
            lines.append(f"no samples of {member}: it may have had a quorum")
            continue
        failed = int(np.count_nonzero(~one_looks.ok))
        noun = "look" if by_status else "write"
        lines.append(f"{member}: {count(failed, noun)} of {len(one_looks)} failed")
    return lines


MEASURE = QuorumLoss()
