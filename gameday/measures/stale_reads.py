# SPDX-License-Identifier: Apache-2.0
"""``stale-reads``: reads of a value that had been overwritten before they were called."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass

from gameday.measures.base import Measurement, Part, Unit
from gameday.measures.calls import ABSENT, Call
from gameday.measures.common import unknown
from gameday.measures.history import make_history
from gameday.measures.words import count, names, seconds
from gameday.record.record import Record

EVIDENCE_MAX = 5


@dataclass(frozen=True)
class StaleReadsParams:
    """Parameters of ``stale-reads``.

    Attributes:
        probe: a workload probe.
    """

    probe: str


@dataclass(frozen=True)
class Stale:
    """A read, and a write that had replaced what it saw before it was called."""

    read: Call
    newer: Call


class StaleReads:
    """How many reads were called after what they saw had been overwritten."""

    kind = "stale-reads"
    unit: Unit = "count"
    Params: type = StaleReadsParams
    summary = "reads of a value that had been overwritten before they were called"

    def measure(self, name: str, params: StaleReadsParams, record: Record) -> Measurement:
        """Counts reads called after another write was acknowledged, which itself was called
        after what they saw had been acknowledged or read.

        ``lo`` counts those for which the bounds of the clocks leave no doubt, ``hi`` those for
        which they leave any, and calls without a sample.

        Raises:
            EvidenceError: where the plan or the record lacks what is asked for.
        """
        history = make_history(record, params.probe)
        if history.silent:
            reason = f"no usable samples of {names(history.silent)}"
            return unknown(name, self.kind, self.unit, reason)
        reads = [call for call in history.calls if call.op == "read"]
        if not reads:
            return unknown(name, self.kind, self.unit, "no read was answered")
        sure: list[Stale] = []
        doubtful = 0
        for calls in history.by_key().values():
            found = find_stale(calls, doubt=False)
            sure += found
            doubtful += max(0, len(find_stale(calls, doubt=True)) - len(found))
        evidence = [f"{count(len(sure), 'stale read')} of {len(reads)}"]
        worst = sorted(sure, key=_age, reverse=True)
        evidence += [_sentence(one) for one in worst[:EVIDENCE_MAX]]
        parts = (Part("clock bound", doubtful), Part("missing samples", history.missing_count))
        return Measurement(
            name, self.kind, self.unit, "measured", len(sure),
            len(sure) + doubtful + history.missing_count, parts, evidence=tuple(evidence),
            details={
                "reads": len(reads), "missing": history.missing_count,
                "oldest_ns": _age(worst[0]) if worst else 0,
            },
        )  # fmt: skip


def find_stale(calls: Sequence[Call], doubt: bool) -> list[Stale]:
    """The stale reads of one register, each with the last-called write that shows it.

    Args:
        calls: of one key. doubt: take every call as short as the clocks allow, not as long.
    """

    def begin(call: Call) -> int:
        return call.begin.hi if doubt else call.begin.lo

    def end(call: Call) -> int:
        closed = call.end or call.begin
        return closed.lo if doubt else closed.hi

    answered = sorted((call for call in calls if call.end is not None), key=end)
    there: dict[str, int] = {}
    for call in answered:
        for value in (call.sees, call.puts):
            if value is not None:
                there.setdefault(value, end(call))
    ends: list[int] = []
    newest: list[Call] = []
    for call in answered:
        if call.puts is None:
            continue
        ends.append(end(call))
        newest.append(max(newest[-1], call, key=begin) if newest else call)
    found = []
    for read in answered:
        before = bisect_left(ends, begin(read))
        if read.op != "read" or not before:
            continue
        newer = newest[before - 1]
        if read.value == ABSENT or there[read.value] < begin(newer):
            found.append(Stale(read, newer))
    return found


def _age(stale: Stale) -> int:
    """How long the newer value had been acknowledged when the read was called, at least."""
    return stale.read.begin.lo - (stale.newer.end.hi if stale.newer.end else 0)


def _sentence(stale: Stale) -> str:
    return (
        f"{stale.read.key}: {stale.read.process} read {stale.read.value or 'nothing'}, "
        f"{seconds(_age(stale))} after {stale.newer.value} had been acknowledged"
    )


MEASURE = StaleReads()
