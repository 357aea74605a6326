# SPDX-License-Identifier: Apache-2.0
"""``acknowledged-on-both-sides``: writes that a second side of a cut acknowledged during it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from gameday.errors import EvidenceError
from gameday.measures.base import Measurement, Part, Unit
from gameday.measures.common import sides, unknown
from gameday.measures.history import make_history
from gameday.measures.words import count, names
from gameday.record.record import Record


@dataclass(frozen=True)
class AcknowledgedOnBothSidesParams:
    """Parameters of ``acknowledged-on-both-sides``.

    Attributes:
        probe: a workload probe.
        group: the Raft group whose sides the plan knows.
        side_a: vantages on one side, where no Raft group is cut.
        side_b: vantages on the other.
        fault: which fault's window counts; the first of the experiment where it is empty.
    """

    probe: str
    group: str = ""
    side_a: tuple[str, ...] = ()
    side_b: tuple[str, ...] = ()
    fault: str = ""

    def __post_init__(self) -> None:
        if bool(self.group) == bool(self.side_a and self.side_b):
            raise ValueError("give group, or both side_a and side_b")


@dataclass(frozen=True)
class _Side:
    """Writes that one side acknowledged: certainly during the cut, perhaps, and unknown."""

    members: tuple[str, ...]
    inside: int
    border: int
    missing: int


class AcknowledgedOnBothSides:
    """How many writes the sides acknowledged beyond the one that acknowledged most."""

    kind = "acknowledged-on-both-sides"
    unit: Unit = "count"
    Params: type = AcknowledgedOnBothSidesParams
    summary = "writes that a second side of a cut acknowledged during it"

    def measure(
        self, name: str, params: AcknowledgedOnBothSidesParams, record: Record
    ) -> Measurement:
        """Writes called after onset and acknowledged before the end, of all sides but the one
        with the most.

        Writes at the border of the window and calls without a sample raise the upper bound only.

        Raises:
            EvidenceError: where the plan or the record lacks what is asked for.
        """
        window = record.window(params.fault or None)
        history = make_history(record, params.probe)
        groups = [params.side_a, params.side_b]
        if params.group:
            groups = [tuple(s["members"]) for s in sides(record, params.group, window.fault)]
        if len(groups) < 2:
            raise EvidenceError(f"fault {window.fault!r} leaves the members on one side")
        found: list[_Side] = []
        evidence: list[str] = []
        for members in groups:
            there = tuple(sorted(set(members) & set(history.vantages)))
            own = [c for c in history.calls if c.process in there and c.puts and c.end]
            inside = sum(
                c.begin.lo >= window.onset.hi and c.end.hi <= window.end.lo for c in own if c.end
            )
            touching = sum(
                c.end.hi >= window.onset.lo and c.begin.lo <= window.end.hi for c in own if c.end
            )
            missing = sum(len(history.missing[node]) for node in there)
            found.append(_Side(tuple(members), inside, touching - inside, missing))
            evidence.append(f"{names(there) or 'nobody'}: {count(inside, 'acknowledged write')}")
            if not there or set(there) & set(history.silent):
                reason = f"nobody called, or no samples are usable, among {names(sorted(members))}"
                return unknown(name, self.kind, self.unit, reason, evidence)
        lo = _beyond([side.inside for side in found])
        near = _beyond([side.inside + side.border for side in found])
        hi = _beyond([side.inside + side.border + side.missing for side in found])
        parts = (Part("window border", near - lo), Part("missing samples", hi - near))
        return Measurement(
            name, self.kind, self.unit, "measured", lo, hi, parts, evidence=tuple(evidence),
            start=(window.onset.lo, window.onset.hi), end=(window.end.lo, window.end.hi),
            details={"missing": sum(side.missing for side in found)},
        )  # fmt: skip


def _beyond(counts: Sequence[int]) -> int:
    """All but the most. It never falls when a count grows, so bounds in give bounds out."""
    return sum(counts) - max(counts)


MEASURE = AcknowledgedOnBothSides()
