# SPDX-License-Identifier: Apache-2.0
"""What a run writes down: events, samples, leases and receipts. Frozen, JSON in and out.

Numbers are integers (nanoseconds and counts), so that signed bytes never hold a float.
This module travels to nodes: standard library only, Python 3.9 syntax.
"""

from __future__ import annotations

from dataclasses import MISSING, dataclass, fields
from typing import Any, Dict, Mapping, Tuple, Type, TypeVar

from gameday.errors import EvidenceError

SCHEMA = "gameday/v1"

T = TypeVar("T")


def to_json(item: Any) -> Dict[str, Any]:
    """A frozen record type as a JSON object, field by field; tuples become lists."""
    found = {}
    for field in fields(item):
        value = getattr(item, field.name)
        found[field.name] = list(value) if isinstance(value, tuple) else value
    return found


def from_json(kind: Type[T], data: Mapping[str, Any]) -> T:
    """The inverse of ``to_json``: ``from_json(type(x), to_json(x)) == x``.

    Raises:
        EvidenceError: where a field without a default is missing, or one is unknown.
    """
    names = {field.name for field in fields(kind)}  # type: ignore[arg-type]
    needed = {f.name for f in fields(kind) if f.default is MISSING}  # type: ignore[arg-type]
    if not needed <= set(data) <= names:
        odd = sorted((set(data) - names) | (needed - set(data)))
        raise EvidenceError(f"{kind.__name__} has missing or unknown fields: {', '.join(odd)}")
    values = {k: tuple(v) if isinstance(v, list) else v for k, v in data.items()}
    return kind(**values)


@dataclass(frozen=True)
class Event:
    """One thing the controller did or learned.

    Attributes:
        seq: position in the journal, from 0, without gaps.
        at_ns: the controller's monotonic clock.
        wall_ns: the controller's wall clock, for people; never used to measure.
        kind: see ``gameday.record.kinds``.
        data: facts of this event; JSON values.
    """

    seq: int
    at_ns: int
    wall_ns: int
    kind: str
    data: Mapping[str, Any]


@dataclass(frozen=True)
class Sample:
    """One look of one probe from one vantage node at one target.

    Attributes:
        probe: the probe's name in the experiment.
        node: vantage node, as the inventory names it.
        target: what was looked at: a node's name, or a URL or address.
        seq: number of this look, from 0, per (probe, node, target), without gaps.
        start_ns, end_ns: the vantage node's monotonic clock just before and after.
        ok: whether a value was obtained; ``False`` means ``reason`` says why not.
        value: what was seen; flat JSON (strings, integers, booleans, lists of strings). Where
            not ``ok``, what was tried, of the few kinds that tell.
        reason: empty where ``ok``; else a short stable word and detail, "timeout: 200 ms".
    """

    probe: str
    node: str
    target: str
    seq: int
    start_ns: int
    end_ns: int
    ok: bool
    value: Mapping[str, Any]
    reason: str


@dataclass(frozen=True)
class Lease:
    """One fault on one node for one window; armed ahead, inert until ``fire_at_ns``.

    Attributes:
        id: eight lower-case hexadecimal digits, unique in the estate's history.
        run: the run that armed it.
        node: the node it is for.
        fault: the fault's name in the experiment.
        kind: key of the fault table.
        spec: what the kind needs on this node; JSON.
        fire_at_ns, expire_at_ns: wall clock of the node, whole seconds in nanoseconds;
            the fault may be in effect in [fire_at, expire_at).
    """

    id: str
    run: str
    node: str
    fault: str
    kind: str
    spec: Mapping[str, Any]
    fire_at_ns: int
    expire_at_ns: int


@dataclass(frozen=True)
class Receipt:
    """What a node had before a lease, and what it did; written before the mutation.

    Attributes:
        lease: the lease in full, as JSON.
        before: what disarming restores or compares with; JSON of the fault kind.
        armed_wall_ns, armed_mono_ns: the node's clocks when the receipt was written.
        boot_id: the node's boot; after a reboot kernel state is gone by itself.
        fire_mono_ns, expire_mono_ns: ``fire_at_ns`` and ``expire_at_ns`` on the node's
            monotonic clock, so that a stepped wall clock cannot prolong the lease.
    """

    lease: Mapping[str, Any]
    before: Mapping[str, Any]
    armed_wall_ns: int
    armed_mono_ns: int
    boot_id: str
    fire_mono_ns: int
    expire_mono_ns: int


@dataclass(frozen=True)
class Observation:
    """What a fault kind finds of a lease on its node.

    Attributes:
        state: "armed" (in place, outside its window), "active" (in place, inside its
            window), "absent" (nothing of the lease is there) or "foreign" (something
            carries the lease's name that the lease did not make, or part is missing).
        left: every remaining piece in words, with the command that removes it by hand.
        counters: kernel counters that show what matched; integers.
        foreign_changed: what others changed since the receipt, in words; never undone.
        guards: which processes or timers live that end the lease; see ``agent.guards``.
        began, gone: where a process keeps the window, the node's monotonic clock just before
            it began (ended) the effect and once it was there (gone); empty where not known.
        said: what people should know of the lease beforehand, such as who may undo it.
        unread: another system did not answer, so that the state is only what must be assumed.
    """

    state: str
    left: Tuple[str, ...]
    counters: Mapping[str, int]
    foreign_changed: Tuple[str, ...]
    guards: Tuple[str, ...] = ()
    began: Tuple[int, ...] = ()
    gone: Tuple[int, ...] = ()
    said: Tuple[str, ...] = ()
    unread: bool = False
