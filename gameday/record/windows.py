# SPDX-License-Identifier: Apache-2.0
"""When a fault was in effect, from what the journal says about its leases.

A kernel begins and ends a window at a tick after the planned second. A process may be late: it
says when it began and ended, and where it could not say, the bound is as wide as what is known.
Controller only.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from gameday.clock import Interval, NodeClock
from gameday.errors import EvidenceError
from gameday.record import kinds
from gameday.record.types import Event

TICK_NS = 10_000_000
"""The longest timer tick of a kernel (CONFIG_HZ=100). A rule's second begins at a tick."""


LATE_NS = 2_000_000_000
"""A process that ends an effect is on time within this (tests/guarantee/matrix.py)."""


@dataclass(frozen=True)
class Window:
    """When one fault of the experiment was in effect, in the run's time.

    ``onset`` and ``end`` are hulls over all nodes that held a lease of it. ``end`` is
    where the fault ended by itself or was ended early by an abort, whichever came first.
    ``planned`` is when the nodes were to begin; profiles count from it.
    """

    fault: str
    onset: Interval
    end: Interval
    planned: Interval


def find_window(fault: str, events: Sequence[Event], clocks: Mapping[str, NodeClock]) -> Window:
    """The window of a fault.

    Raises:
        EvidenceError: where it was never armed on a node whose clock is known.
    """
    armed = [
        (event, clocks[event.data["node"]])
        for event in events
        if event.kind == kinds.ARMED
        and event.data["lease"]["fault"] == fault
        and event.data["node"] in clocks
    ]
    if not armed:
        raise EvidenceError(f"fault {fault!r} was not armed on any node whose clock is known")
    planned = [_late(clock.wall_to_run(e.data["lease"]["fire_at_ns"])) for e, clock in armed]
    ends = [_end(e, clock, events) for e, clock in armed]
    onsets = [
        _onset(e, clock, events, fire, end)
        for (e, clock), fire, end in zip(armed, planned, ends, strict=True)
    ]
    return Window(fault, _hull(onsets), _hull(ends), _hull(planned))


def lateness(
    events: Sequence[Event], clocks: Mapping[str, NodeClock]
) -> dict[str, tuple[str, Interval]]:
    """Lease to (its fault, how much later than planned it ended), of those that certainly did.

    In ns; only leases that a process kept: the kernel is never late.
    """
    found = {}
    for event in events:
        if event.kind != kinds.ARMED or _kept(event) == "kernel":
            continue
        lease, clock = event.data["lease"], clocks.get(event.data["node"])
        if clock is None:
            continue
        planned = _late(clock.wall_to_run(lease["expire_at_ns"]))
        end = _end(event, clock, events)
        late = Interval(end.lo - planned.hi, max(end.lo - planned.hi, end.hi - planned.lo))
        if late.lo > LATE_NS:
            found[str(lease["id"])] = (str(lease["fault"]), late)
    return found


def _onset(
    event: Event, clock: NodeClock, events: Sequence[Event], fire: Interval, end: Interval
) -> Interval:
    """When the effect began: by the kernel at ``fire``, by a process when it says."""
    if _kept(event) == "kernel":
        return fire
    seen = list(_observed(event, events))
    for one in seen:
        if began := one.data["observation"].get("began"):
            return _between(clock, began)
    active = [e.at_ns for e in seen if e.data["observation"]["state"] == "active"]
    return Interval(fire.lo, max(fire.hi, min(active, default=end.hi)))


def _end(event: Event, clock: NodeClock, events: Sequence[Event]) -> Interval:
    lease = event.data["lease"]
    planned = _late(clock.wall_to_run(lease["expire_at_ns"]))
    tries = [one for one in _tries(lease["id"], events) if one.sent_ns < planned.lo]
    early = [one for one in tries if not one.in_vain]
    if _kept(event) == "kernel":
        if not early:
            return planned
        # Where no answer says sooner that nothing is left, the kernel ends the rest by itself.
        gone = (one.gone_ns for one in early if one.gone_ns is not None)
        return Interval(early[0].sent_ns, min([*gone, planned.hi]))
    seen = list(_observed(event, events))
    for one in seen:
        if gone := one.data["observation"].get("gone"):
            return _between(clock, gone)
    begin = early[0].sent_ns if early else planned.lo
    absent = [
        e.at_ns
        for e in seen
        if e.data["when"] == "ended" and e.data["observation"]["state"] == "absent"
    ]
    return Interval(begin, max(begin, min(absent, default=events[-1].at_ns)))


@dataclass(frozen=True)
class _Try:
    """One time that a node was asked to end a lease.

    Attributes:
        sent_ns: when. gone_ns: when its answer was there that nothing is left; ``None`` where it
            was another answer, or none. in_vain: whether it certainly changed nothing.
    """

    sent_ns: int
    gone_ns: int | None
    in_vain: bool


def _tries(lease: str, events: Sequence[Event]) -> list[_Try]:
    """In their order. One without an answer may have ended the lease all the same."""
    own = [e for e in events if e.data.get("lease") == lease]
    answers = {e.data["sent_ns"]: e for e in own if e.kind == kinds.DISARMED}
    found = []
    for sent in (e.at_ns for e in own if e.kind == kinds.DISARM_INTENT):
        answer = answers.get(sent)
        if answer is None:
            found.append(_Try(sent, None, in_vain=False))
            continue
        states = [e.data["observation"]["state"] for e in own if e.kind == kinds.OBSERVED
                  and e.data["when"] == "ended" and e.seq > answer.seq]  # fmt: skip
        absent = states[:1] == ["absent"]
        in_vain = bool(states) and not absent and not answer.data["done"]
        found.append(_Try(sent, answer.at_ns if absent else None, in_vain))
    return found


def _kept(armed: Event) -> str:
    return str(armed.data.get("kept", "kernel"))


def _observed(armed: Event, events: Sequence[Event]) -> Iterable[Event]:
    lease = armed.data["lease"]["id"]
    return (e for e in events if e.kind == kinds.OBSERVED and e.data["lease"] == lease)


def _between(clock: NodeClock, stamps: Sequence[Any]) -> Interval:
    before, after = (clock.to_run(int(stamp)) for stamp in stamps)
    return Interval(before.lo, max(before.lo, after.hi))


def _late(moment: Interval) -> Interval:
    """What a kernel does at a whole second, it does there or by its next timer tick."""
    return Interval(moment.lo, moment.hi + TICK_NS)


def _hull(found: Sequence[Interval]) -> Interval:
    return Interval(min(i.lo for i in found), max(i.hi for i in found))
