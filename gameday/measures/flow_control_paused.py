# SPDX-License-Identifier: Apache-2.0
"""``flow-control-paused``: how long Galera's flow control stopped a member's replication."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from gameday.clock import Interval
from gameday.measures.base import Measurement, Part, Unit
from gameday.measures.common import probe_plan, unknown
from gameday.measures.healthy import certain_window, whole_window
from gameday.measures.words import names, seconds
from gameday.record.looks import Looks
from gameday.record.record import Record

NONE = -1


@dataclass(frozen=True)
class FlowControlPausedParams:
    """Parameters of ``flow-control-paused``.

    Attributes:
        probe: a galera probe.
        members: those that count, by the names of their nodes; all of the probe's where empty.
        fault: which fault's window counts; the first of the experiment where it is empty.
    """

    probe: str
    members: tuple[str, ...] = ()
    fault: str = ""


@dataclass(frozen=True)
class Paused:
    """One member's pauses added up, in ns: by its counter, and what nobody counted."""

    lo: int
    hi: int
    resets: int
    sent: int


class FlowControlPaused:
    """The growth of the member's own counter of pauses, in the window."""

    kind = "flow-control-paused"
    unit: Unit = "ns"
    Params: type = FlowControlPausedParams
    summary = "how long flow control stopped replication, from onset to the end of recovery"

    def measure(self, name: str, params: FlowControlPausedParams, record: Record) -> Measurement:
        """Of each member the growth between looks; the member that was paused longest counts.

        Raises:
            EvidenceError: where the plan or the record lacks what is asked for.
        """
        fault = record.window(params.fault or None)
        window, certain = whole_window(record, fault), certain_window(record, fault)
        planned = [(s["node"], s["target"]) for s in probe_plan(record, params.probe)["samplers"]]
        keys = [key for key in planned if not params.members or key[1] in params.members]
        absent = sorted(set(params.members) - {target for _, target in planned})
        if absent or not keys:
            reason = f"probe {params.probe} does not look at {names(absent) or 'anybody'}"
            return unknown(name, self.kind, self.unit, reason)
        streams = record.seen(params.probe)
        found: dict[str, Paused] = {}
        for key in keys:
            looks = _telling(Looks.of(streams.get(key, ())))
            if not (looks.end_hi < window.lo).any() or not (looks.start_lo > window.lo).any():
                reason = f"{key[1]}: no counter before the onset, or none after it"
                return unknown(name, self.kind, self.unit, reason)
            own = _paused(looks, window, certain)
            # Of several vantages of one member the one that knows it best.
            best = found.get(key[1])
            found[key[1]] = own if best is None or own.hi - own.lo < best.hi - best.lo else best
        worst = max(sorted(found), key=lambda target: found[target].hi)
        lo, hi = max(one.lo for one in found.values()), found[worst].hi
        senders = sorted(target for target, one in found.items() if one.sent > 0)
        return Measurement(
            name, self.kind, self.unit, "measured", lo, hi,
            (Part("looks at both ends, and what nobody counted", hi - lo),),
            (fault.onset.lo, fault.onset.hi), (certain.hi, window.hi),
            {"longest_paused": worst, "senders": senders},
            tuple(_sentence(target, one) for target, one in sorted(found.items())),
        )  # fmt: skip


def _telling(looks: Looks) -> Looks:
    return looks.where(looks.ok & (looks.codes(lambda s: int("paused_ns" in s.value)) == 1))


def _paused(looks: Looks, window: Interval, certain: Interval) -> Paused:
    """A counter read somewhere between each look's start and end; it falls where it was reset."""
    counter = looks.codes(lambda sample: int(sample.value["paused_ns"]))
    sent = looks.codes(lambda sample: int(sample.value.get("flow_control_sent", 0)))
    begin, end = looks.start_lo[:-1], looks.end_hi[1:]
    grown = np.diff(counter)
    fell = grown < 0
    # Since the reset it counted what it shows now; before that, nobody knows.
    least = np.where(fell, counter[1:], grown)
    overlap = np.maximum(0, np.minimum(end, window.hi) - np.maximum(begin, window.lo))
    most = np.minimum(np.where(fell, overlap, grown), overlap)
    inside = (begin >= certain.lo) & (end <= certain.hi)
    lo = int(least[inside].sum())
    untold = max(0, window.hi - int(looks.start_lo[-1]))
    near = overlap > 0
    return Paused(
        lo, max(lo, int(most.sum()) + untold), int(fell[near].sum()),
        int(np.maximum(0, np.diff(sent))[near].sum()),
    )  # fmt: skip


def _sentence(target: str, one: Paused) -> str:
    line = (
        f"{target}: paused for {seconds(one.lo)} certainly, for {seconds(one.hi, up=True)} at most"
    )
    if one.sent:
        line += f"; it asked for it {one.sent} times itself"
    return line + ("; its counter was reset" if one.resets else "")


MEASURE = FlowControlPaused()
