# SPDX-License-Identifier: Apache-2.0
"""``promotion``: from onset until a standby said that it is the primary, and took a write."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from gameday.clock import Interval
from gameday.measures.base import Measurement, Unit
from gameday.measures.common import (
    duration,
    period_ns,
    probe_plan,
    recover_ns,
    unknown,
    with_onset,
)
from gameday.measures.replication import PRIMARY, STANDBY, standbys
from gameday.measures.transitions import ByContent, Transition, first
from gameday.measures.words import names, seconds
from gameday.record.looks import Looks
from gameday.record.record import Record
from gameday.record.types import Sample


@dataclass(frozen=True)
class PromotionParams:
    """Parameters of ``promotion``.

    Attributes:
        probe: a postgresql probe with a heartbeat on the servers.
        standbys: those that may take over; where it is empty, all that were standbys before the
            onset.
        fault: which fault's onset counts; the first of the experiment where it is empty.
    """

    probe: str
    standbys: tuple[str, ...] = ()
    fault: str = ""


class Promotion:
    """How long it took until another server was the primary and could be written to."""

    kind = "promotion"
    unit: Unit = "ns"
    Params: type = PromotionParams
    summary = "from onset until a standby said that it is the primary, and took a write"

    def measure(self, name: str, params: PromotionParams, record: Record) -> Measurement:
        """The earliest of the standbys; every one of them must have been watched.

        Raises:
            EvidenceError: where the plan or the record lacks what is asked for.
        """
        if not probe_plan(record, params.probe)["params"].get("heartbeat"):
            reason = f"probe {params.probe} has no heartbeat, so nobody knows who takes writes"
            return unknown(name, self.kind, self.unit, reason)
        window = record.window(params.fault or None)
        until = window.end.shift(recover_ns(record))
        period, streams = period_ns(record, params.probe), record.seen(params.probe)
        chosen = list(params.standbys) or standbys(streams, window.onset)
        if not chosen:
            reason = "no server said before the onset that it was a standby"
            return unknown(name, self.kind, self.unit, reason)
        found = {
            target: first(looks, TOOK_OVER, period, window.onset, until)
            for (_, target), looks in sorted(streams.items())
            if target in chosen and _was_standby(looks, window.onset)
        }
        blind = sorted(set(chosen) - set(found))
        blind += [target for target, one in found.items() if one.status == "unknown"]
        evidence = [_sentence(target, one, window.onset) for target, one in found.items()]
        if blind:
            reason = f"{names(blind)} may have taken over unseen"
            reason += f": {found[blind[0]].reason}" if blind[0] in found else ": not watched"
            return unknown(name, self.kind, self.unit, reason, evidence)
        seen = {target: one for target, one in found.items() if one.status == "measured"}
        if not seen:
            lo = min(max(0, (one.lo or 0) - window.onset.hi) for one in found.values())
            return Measurement(
                name, self.kind, self.unit, "never", lo,
                start=(window.onset.lo, window.onset.hi), evidence=tuple(evidence),
                reason=f"{names(sorted(found))} did not take over while it was watched",
            )  # fmt: skip
        return self._first(name, seen, window.onset, evidence)

    def _first(
        self, name: str, seen: Mapping[str, Transition], onset: Interval, evidence: list[str]
    ) -> Measurement:
        earliest = min(sorted(seen), key=lambda target: seen[target].moment.lo)
        quickest = min(sorted(seen), key=lambda target: seen[target].moment.hi)
        moment = Interval(seen[earliest].moment.lo, seen[quickest].moment.hi)
        span = duration(moment, onset)
        new = seen[quickest].new
        details = {"promoted": quickest, "took_over": len(seen)}
        if new is not None:
            details["timeline"] = int(new.sample.value["beat_timeline"])
        return Measurement(
            name, self.kind, self.unit, "measured", span.lo, span.hi,
            with_onset(seen[earliest].parts, onset, "onset"),
            (onset.lo, onset.hi), (moment.lo, moment.hi), details, tuple(evidence),
        )  # fmt: skip


def _took_over(sample: Sample) -> bool | None:
    """A primary that takes no write has not taken over yet."""
    role = sample.value.get("role")
    if role == PRIMARY:
        return sample.ok and "beat" in sample.value
    return False if role == STANDBY else None


TOOK_OVER = ByContent(_took_over)


def _was_standby(looks: Looks, onset: Interval) -> bool:
    before = looks.where(looks.ok & (looks.end_hi < onset.lo))
    return bool(len(before)) and before[-1].sample.value.get("role") == STANDBY


def _sentence(target: str, change: Transition, onset: Interval) -> str:
    if change.status != "measured":
        return f"{target}: {change.reason}"
    span = duration(change.moment, onset)
    return (
        f"{target}: last seen as a standby, or taking no write, {seconds(span.lo)} after onset; "
        f"took a write as the primary by {seconds(span.hi, up=True)}"
    )


MEASURE = Promotion()
