# SPDX-License-Identifier: Apache-2.0
"""``galera-non-primary``: for how long no member of a side was in the Primary component."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from gameday.clock import Interval
from gameday.measures.base import Measurement, Unit
from gameday.measures.common import probe_plan, unknown
from gameday.measures.healthy import certain_window, looks_of, told, whole_window
from gameday.measures.spans import Label, Stretch, clock_ns, sweep, total
from gameday.measures.words import names, seconds
from gameday.record.record import Record
from gameday.record.types import Sample

PRIMARY, OTHER = "Primary", "other"


@dataclass(frozen=True)
class GaleraNonPrimaryParams:
    """Parameters of ``galera-non-primary``.

    Attributes:
        probe: a galera probe.
        members: a side, by the names of its nodes; all that the probe looks at where it is empty.
        fault: which fault's window counts; the first of the experiment where it is empty.
    """

    probe: str
    members: tuple[str, ...] = ()
    fault: str = ""


class GaleraNonPrimary:
    """A side whose members all answer, and none of them takes writes."""

    kind = "galera-non-primary"
    unit: Unit = "ns"
    Params: type = GaleraNonPrimaryParams
    summary = "time in which no member of a side was in the Primary component and ready"

    def measure(self, name: str, params: GaleraNonPrimaryParams, record: Record) -> Measurement:
        """All such times between onset and the end of recovery, added up.

        Raises:
            EvidenceError: where the plan or the record lacks what is asked for.
        """
        fault = record.window(params.fault or None)
        window, certain = whole_window(record, fault), certain_window(record, fault)
        planned = {s["target"] for s in probe_plan(record, params.probe)["samplers"]}
        members = set(params.members) or planned
        if members - planned:
            reason = f"probe {params.probe} does not look at {names(sorted(members - planned))}"
            return unknown(name, self.kind, self.unit, reason)
        shown = {
            key: found
            for key, found in told(record, params.probe, window, _component).items()
            if key[1] in members
        }
        silent = sorted(members - {target for (_, target), found in shown.items() if found})
        evidence = [f"no usable samples of {target}" for target in silent]
        if len(silent) == len(members):
            reason = f"no usable samples of {names(silent)}"
            return unknown(name, self.kind, self.unit, reason)
        found = sweep(list(shown.values()), _none_primary, window)
        whole = total(found, certain, clock_ns(list(looks_of(record, params.probe))))
        evidence += [_sentence(one, fault.onset) for one in found]
        sure = sum(bool(one.sure) for one in found)
        details = {"certain": sure, "possible": len(found) - sure}
        if any(one.open for one in found):
            reason = f"{names(sorted(members))} had no Primary component when the watch ended"
            return Measurement(
                name, self.kind, self.unit, "never", whole.lo, details=details,
                start=(found[-1].begin.lo, found[-1].begin.hi), evidence=tuple(evidence),
                reason=reason,
            )  # fmt: skip
        longest = max(found, key=lambda one: one.hi - one.lo, default=None)
        return Measurement(
            name, self.kind, self.unit, "measured", whole.lo, whole.hi, whole.parts,
            None if longest is None else (longest.begin.lo, longest.begin.hi),
            None if longest is None else (longest.end.lo, longest.end.hi),
            details, tuple(evidence),
        )  # fmt: skip


def _component(sample: Sample) -> Label:
    """A member that does not answer tells nothing: it may take writes of others."""
    if not sample.ok:
        return None
    primary = sample.value["cluster_status"] == PRIMARY and sample.value["ready"]
    return PRIMARY if primary else OTHER


def _none_primary(shown: Sequence[Label]) -> bool | None:
    if PRIMARY in shown:
        return False
    return None if None in shown else True


def _sentence(one: Stretch, onset: Interval) -> str:
    sure = sum(part.hi - part.lo for part in one.sure)
    word = f"certainly for {seconds(sure)}" if one.sure else "if at all"
    return (
        f"from {seconds(max(0, one.lo - onset.hi))} to {seconds(one.hi - onset.lo, up=True)} "
        f"after onset at most, {word}"
    )


MEASURE = GaleraNonPrimary()
