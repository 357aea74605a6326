# SPDX-License-Identifier: Apache-2.0
"""``writes-on-side``: writes that some members acknowledged while the fault was in effect."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from gameday.measures.base import Measurement, Part, Unit
from gameday.measures.common import missing_between, unknown, within
from gameday.measures.words import count, names, seconds
from gameday.record.columns import Flags
from gameday.record.looks import Looks
from gameday.record.record import Record, Window


@dataclass(frozen=True)
class WritesOnSideParams:
    """Parameters of ``writes-on-side``.

    Attributes:
        probe: an etcd-write probe on the members.
        members: the members of the side.
        fault: which fault's window counts; the first of the experiment where it is empty.
    """

    probe: str
    members: tuple[str, ...]
    fault: str = ""


class WritesOnSide:
    """How many writes a side acknowledged between onset and the end of the fault."""

    kind = "writes-on-side"
    unit: Unit = "count"
    Params: type = WritesOnSideParams
    summary = "acknowledged writes on some members while the fault was in effect"

    def measure(self, name: str, params: WritesOnSideParams, record: Record) -> Measurement:
        """Counts writes that began after onset and ended before the end of the fault.

        A write at the border may have been acknowledged outside; a missing sample may
        have been acknowledged: both raise the upper bound only.

        Raises:
            EvidenceError: where the plan or the record lacks what is asked for.
        """
        window = record.window(params.fault or None)
        streams = record.seen(params.probe)
        acknowledged, border, missing = 0, 0, 0
        evidence: list[str] = []
        silent: list[str] = []
        for member in sorted(params.members):
            samples = Looks.of(streams.get((member, member), ()))
            tried = within(samples, window)
            if not len(tried):
                silent.append(member)
                continue
            good = tried.where(tried.ok)
            acknowledged += len(good)
            border += int(np.count_nonzero(samples.ok & _overlap(samples, window))) - len(good)
            missing += missing_between(tried)
            text = f"{member}: {count(len(good), 'acknowledged write')} of {len(tried)} tried"
            if len(good):
                last = good[-1].start.lo - window.onset.hi
                text += f", the last begun {seconds(max(0, last))} after onset"
            evidence.append(text)
        if silent:
            reason = f"no write of {names(silent)} lies inside the fault"
            return unknown(name, self.kind, self.unit, reason, evidence)
        parts = (Part("window border", border), Part("missing samples", missing))
        return Measurement(
            name, self.kind, self.unit, "measured", acknowledged,
            acknowledged + border + missing, parts, evidence=tuple(evidence),
            start=(window.onset.lo, window.onset.hi), end=(window.end.lo, window.end.hi),
            details={"border": border, "missing": missing},
        )  # fmt: skip


def _overlap(looks: Looks, window: Window) -> Flags:
    """Which looks may have touched the time in which the fault was in effect."""
    return (looks.end_hi >= window.onset.lo) & (looks.start_lo <= window.end.hi)


MEASURE = WritesOnSide()
