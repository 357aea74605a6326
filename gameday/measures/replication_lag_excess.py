# SPDX-License-Identifier: Apache-2.0
"""``replication-lag-excess``: how long a standby was further behind than a bound."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from gameday.clock import Interval
from gameday.measures import replication as r
from gameday.measures.base import Measurement, Part, Unit
from gameday.measures.common import NS_PER_MS, Stream, period_ns, probe_plan, unknown
from gameday.measures.healthy import certain_window, whole_window
from gameday.measures.transitions import TAIL_PERIODS
from gameday.measures.words import names, seconds
from gameday.record.looks import Looks
from gameday.record.record import Record


@dataclass(frozen=True)
class ReplicationLagExcessParams:
    """Parameters of ``replication-lag-excess``.

    Attributes:
        probe: a postgresql probe on the primary and the standbys; for above_ms with a heartbeat.
        above_ms: how old what a standby lacks may be.
        above_bytes: instead, how much of the primary's log it may lack.
        standbys: those that count; where it is empty, all that were standbys before the onset.
        fault: which fault's window counts; the first of the experiment where it is empty.
    """

    probe: str
    above_ms: int = 0
    above_bytes: int = field(default=0, metadata={"le": 2**50})
    standbys: tuple[str, ...] = ()
    fault: str = ""

    def __post_init__(self) -> None:
        if bool(self.above_ms) == bool(self.above_bytes):
            raise ValueError("give either above_ms or above_bytes, more than 0")


class ReplicationLagExcess:
    """How long the standby that was furthest behind was too far behind."""

    kind = "replication-lag-excess"
    unit: Unit = "ns"
    Params: type = ReplicationLagExcessParams
    summary = "how long a standby was further behind than a bound, from onset to recovery's end"

    def measure(self, name: str, params: ReplicationLagExcessParams, record: Record) -> Measurement:
        """Of each standby all such times; the worst standby counts.

        Raises:
            EvidenceError: where the plan or the record lacks what is asked for.
        """
        fault = record.window(params.fault or None)
        window, certain = whole_window(record, fault), certain_window(record, fault)
        heartbeat = probe_plan(record, params.probe)["params"].get("heartbeat")
        if params.above_ms and not heartbeat:
            reason = f"probe {params.probe} has no heartbeat; ask for above_bytes, or give it one"
            return unknown(name, self.kind, self.unit, reason)
        streams = record.seen(params.probe)
        chosen = list(params.standbys) or r.standbys(streams, fault.onset)
        if not chosen:
            reason = "no server said before the onset that it was a standby"
            return unknown(name, self.kind, self.unit, reason)
        found: dict[str, r.Excess] = {}
        for target in chosen:
            excess = _of(streams, target, params, window, certain)
            if isinstance(excess, str):
                return unknown(name, self.kind, self.unit, excess)
            found[target] = excess
        evidence = [_sentence(target, one, params) for target, one in sorted(found.items())]
        start = (fault.onset.lo, fault.onset.hi)
        worst = max(found, key=lambda target: found[target].hi)
        details = {
            "worst_standby": worst,
            "certainly_behind": max(one.worst for one in found.values()),
        }
        lo, hi = max(one.lo for one in found.values()), found[worst].hi
        tail = certain.hi - TAIL_PERIODS * period_ns(record, params.probe)
        open_ = [target for target, one in found.items() if one.still and one.last >= tail]
        if open_:
            reason = f"{names(sorted(open_))} was still too far behind when the watch ended"
            return Measurement(
                name, self.kind, self.unit, "never", lo, start=start, details=details,
                evidence=tuple(evidence), reason=reason,
            )  # fmt: skip
        return Measurement(
            name, self.kind, self.unit, "measured", lo, hi,
            (Part("looks, their distance and the clock bound", hi - lo),),
            start, (certain.hi, window.hi), details, tuple(evidence),
        )  # fmt: skip


def _of(
    streams: Mapping[Stream, Looks],
    target: str,
    params: ReplicationLagExcessParams,
    window: Interval,
    certain: Interval,
) -> r.Excess | str:
    """One standby's, or why it is not known."""
    own = [looks for (_, each), looks in streams.items() if each == target]
    standby = r.Marks.of(own, r.beat if params.above_ms else r.position)
    log = r.Marks.of(list(streams.values()), r.written if params.above_ms else r.log_end)
    if not len(standby.numbers):
        return f"no usable samples of {target}"
    if not len(log.numbers):
        return "no look found a primary" + (" that took a beat" if params.above_ms else "")
    if standby.went_back():
        return f"{target} had less than before: it was made anew, or set back"
    if params.above_ms:
        return r.late(log, standby, params.above_ms * NS_PER_MS, window, certain)
    if log.went_back() or r.primaries(streams) > 1:
        return "several servers were primary, so bytes cannot be compared; ask for above_ms"
    return r.behind(log, standby, params.above_bytes, window, certain)


def _sentence(target: str, one: r.Excess, params: ReplicationLagExcessParams) -> str:
    bound = f"{params.above_ms} ms" if params.above_ms else f"{params.above_bytes} bytes"
    worst = f"by {seconds(one.worst)}" if params.above_ms else f"by {one.worst} bytes"
    at_worst = f"; certainly behind {worst} at worst" if one.worst else ""
    return (
        f"{target}: more than {bound} behind for {seconds(one.lo)} certainly, for "
        f"{seconds(one.hi, up=True)} at most{at_worst}"
    )


MEASURE = ReplicationLagExcess()
