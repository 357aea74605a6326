# SPDX-License-Identifier: Apache-2.0
"""``acknowledged-writes-lost``: writes that were acknowledged and are not there at the end."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from gameday.measures.base import Measurement, Part, Unit
from gameday.measures.calls import Call
from gameday.measures.common import unknown
from gameday.measures.history import Final, History, make_history
from gameday.measures.words import count, names
from gameday.record.record import Record

EVIDENCE_MAX = 5


@dataclass(frozen=True)
class AcknowledgedWritesLostParams:
    """Parameters of ``acknowledged-writes-lost``.

    Attributes:
        probe: a workload probe.
        readers: vantages whose last reads count; all of the probe's where it is empty.
    """

    probe: str
    readers: tuple[str, ...] = ()


class AcknowledgedWritesLost:
    """How many acknowledged writes the last reads did not find."""

    kind = "acknowledged-writes-lost"
    unit: Unit = "count"
    Params: type = AcknowledgedWritesLostParams
    summary = "acknowledged writes that the last reads did not find"

    def measure(
        self, name: str, params: AcknowledgedWritesLostParams, record: Record
    ) -> Measurement:
        """Each acknowledged write against every last read that began after it.

        ``lo`` counts writes that none of these reads found. ``hi`` adds writes that only some
        found, writes that were acknowledged after the last reads began, calls without a sample
        that nobody found, and everything where a reader did not get to the end.

        Raises:
            EvidenceError: where the plan or the record lacks what is asked for.
        """
        history = make_history(record, params.probe)
        if history.silent:
            reason = f"no usable samples of {names(history.silent)}"
            return unknown(name, self.kind, self.unit, reason)
        readers = params.readers or history.vantages
        finals = {node: history.finals[node] for node in readers if node in history.finals}
        writes = [c for c in history.calls if c.puts is not None and c.end is not None]
        if not finals or not writes:
            reason = "no write was acknowledged" if finals else "nobody read everything at the end"
            return unknown(name, self.kind, self.unit, reason)
        lost, differ, later = _sorted(writes, finals)
        unseen = _never_found(history, finals)
        blind = sorted(node for node in readers if node not in finals)
        unread = len(writes) - len(lost) - len(differ) - len(later) if blind else 0
        evidence = [
            f"{count(len(writes), 'acknowledged write')}, read at the end by {names(list(finals))}"
        ]
        evidence += [
            f"lost: {call.name}, a {call.op} of {call.key}" for call in lost[:EVIDENCE_MAX]
        ]
        evidence += [
            f"found by some only: {call.name}, a {call.op} of {call.key}"
            for call in differ[:EVIDENCE_MAX]
        ]
        if blind:
            evidence.append(f"{names(blind)} did not read everything at the end")
        parts = (
            Part("last reads that differ", len(differ)),
            Part("acknowledged after the last reads began", len(later)),
            Part("missing samples", unseen), Part("vantages that did not read", unread),
        )  # fmt: skip
        return Measurement(
            name, self.kind, self.unit, "measured", len(lost),
            len(lost) + sum(part.size for part in parts), parts, evidence=tuple(evidence),
            details={"acknowledged": len(writes), "missing": history.missing_count},
        )  # fmt: skip


def _sorted(
    writes: Sequence[Call], finals: Mapping[str, Final]
) -> tuple[list[Call], list[Call], list[Call]]:
    """Writes that no later read found, that some did not find, and that no later read covers."""
    lost, differ, later = [], [], []
    for call in writes:
        end = call.end.hi if call.end else 0
        after = [final for final in finals.values() if final.begin.lo > end]
        number = int(call.name.rpartition("#")[2])
        found = [number in final.found.get(call.process, ()) for final in after]
        if not after:
            later.append(call)
        elif not any(found):
            lost.append(call)
        elif not all(found):
            differ.append(call)
    return lost, differ, later


def _never_found(history: History, finals: Mapping[str, Final]) -> int:
    """Calls without a sample that may have been acknowledged writes, and are nowhere."""
    return sum(
        not any(number in final.found.get(node, ()) for final in finals.values())
        for node, numbers in history.missing.items()
        for number in numbers
    )


MEASURE = AcknowledgedWritesLost()
