# SPDX-License-Identifier: Apache-2.0
"""The plan: everything a run is going to do, decided before anything is touched.

``plan.json`` is ``Plan.to_json()``; ``plan_from_json`` reads it back.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any, Literal

from gameday.errors import EvidenceError

if TYPE_CHECKING:
    from pydantic import TypeAdapter

SCHEMA = "gameday/v1"
Pair = tuple[str, str]
Expect = Literal["writes-stop", "writes-continue"]
"""writes-stop: no write may be acknowledged while the fault is in effect. writes-continue:
writes are acknowledged again before it ends."""


@dataclass(frozen=True)
class PlannedNode:
    """What the record needs to know about a node."""

    site: str
    racks: tuple[str, ...]
    roles: tuple[str, ...]
    addresses: tuple[str, ...]
    vantage_only: bool


@dataclass(frozen=True)
class PlannedLease:
    """A lease but for its window, which is only known when the run sets T0.

    Attributes:
        id: eight hexadecimal digits. spec: JSON of the fault kind.
        claims: what it will own on its node.
        rules, undo: exact lines for people; moments are written ``T0+30s``.
    """

    node: str
    id: str
    spec: dict[str, Any]
    claims: tuple[str, ...]
    rules: tuple[str, ...]
    undo: tuple[str, ...]

    @property
    def hits(self) -> tuple[str, ...]:
        """Whom it takes down: its node, or machines that the controller's host takes down by
        their BMCs or their cluster's API server."""
        others = self.spec.get("systems") or self.spec.get("nodes")
        return tuple(one["node"] for one in others) if others else (self.node,)


@dataclass(frozen=True)
class PlannedFault:
    """A fault with its targets. at_s, for_s: seconds after T0, and length.

    Attributes:
        sides: parameter name to the nodes that its selector selects.
    """

    name: str
    kind: str
    at_s: int
    for_s: int
    sides: dict[str, tuple[str, ...]]
    leases: tuple[PlannedLease, ...]


@dataclass(frozen=True)
class Sampler:
    """Who looks (node) at what. peers: (name, address) of all targets, for fan-out "all"."""

    node: str
    target: str
    addresses: tuple[str, ...]
    peers: tuple[Pair, ...]


@dataclass(frozen=True)
class PlannedProbe:
    """A probe with its samplers; durations in nanoseconds."""

    name: str
    kind: str
    period_ns: int
    timeout_ns: int
    params: dict[str, Any]
    samplers: tuple[Sampler, ...]


@dataclass(frozen=True)
class EffectCheck:
    """How a fault is shown to have hit, and only its target.

    Attributes:
        probe: whose echoes show it; empty where the nodes' own kernels are asked instead.
        cut: pairs that must fall silent. control: pairs that must go on as before.
        shifted: pairs that must become slower or lossy.
        profile: by how much; see ``gameday.faults.profiles``. Empty where nothing is shifted.
        spread_us: how far one echo may be from that by the fault's own jitter.
    """

    probe: str
    cut: tuple[Pair, ...] = ()
    control: tuple[Pair, ...] = ()
    shifted: tuple[Pair, ...] = ()
    profile: dict[str, Any] = dataclasses.field(default_factory=dict)
    spread_us: int = 0


@dataclass(frozen=True)
class PlannedSide:
    """Members of a group on one side, and whether they can have a leader."""

    members: tuple[str, ...]
    quorum: bool


@dataclass(frozen=True)
class GroupCut:
    """How one fault splits a group."""

    fault: str
    sides: tuple[PlannedSide, ...]


@dataclass(frozen=True)
class PlannedGroup:
    """A Raft group, its majority, and what each fault does to it."""

    name: str
    kind: str
    members: tuple[str, ...]
    majority: int
    heartbeat_ms: int
    election_ms: int
    cuts: tuple[GroupCut, ...]


@dataclass(frozen=True)
class Prediction:
    """What the quorum arithmetic says will happen; the report shows it beside what did."""

    id: str
    fault: str
    group: str
    members: tuple[str, ...]
    expect: Expect
    text: str


@dataclass(frozen=True)
class Timeline:
    """Seconds: of steady state before T0, from T0 to the last fault's end, of recovery."""

    steady_s: int
    faults_end_s: int
    recover_s: int


@dataclass(frozen=True)
class Plan:
    """A whole run, before it.

    Attributes:
        experiment: its JSON, keys as in YAML, defaults filled in.
        effect: by fault; a fault that cuts nothing has none.
        widths: expected width of a change as each probe sees it, in nanoseconds.
        limits: what this plan does not know or cannot promise, as sentences.
    """

    schema: str
    experiment: dict[str, Any]
    sites: dict[str, tuple[str, ...]]
    nodes: dict[str, PlannedNode]
    faults: tuple[PlannedFault, ...]
    probes: tuple[PlannedProbe, ...]
    effect: dict[str, EffectCheck]
    groups: tuple[PlannedGroup, ...]
    predictions: tuple[Prediction, ...]
    timeline: Timeline
    widths: dict[str, int]
    limits: tuple[str, ...]

    @property
    def asked(self) -> frozenset[str]:
        """Who gets a lease or looks at something: nobody else is reached, or has to be."""
        holders = {lease.node for fault in self.faults for lease in fault.leases}
        return frozenset(holders | {s.node for probe in self.probes for s in probe.samplers})

    def to_json(self) -> dict[str, Any]:
        """JSON of the plan: integers, strings, lists and mappings only."""
        found = as_json(self)
        return dict(found)


def as_json(item: Any) -> Any:
    """Dataclasses to mappings and tuples to lists, all the way down."""
    if dataclasses.is_dataclass(item) and not isinstance(item, type):
        return {f.name: as_json(getattr(item, f.name)) for f in dataclasses.fields(item)}
    if isinstance(item, Mapping):
        return {str(name): as_json(value) for name, value in item.items()}
    if isinstance(item, (list, tuple)):
        return [as_json(value) for value in item]
    return item


def plan_from_json(data: Mapping[str, Any]) -> Plan:
    """The inverse of ``Plan.to_json``.

    Raises:
        EvidenceError: where ``data`` is not a plan.
    """
    from pydantic import ValidationError

    try:
        found: Plan = _adapter().validate_json(json.dumps(data), strict=True)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        where = ".".join(str(part) for part in first["loc"])
        raise EvidenceError(f"not a plan: {where or 'it'} is missing, unknown or wrong") from error
    if found.to_json() != dict(data):
        raise EvidenceError("not a plan of this version: it has fields that are not known")
    return found


@cache
def _adapter() -> TypeAdapter[Plan]:
    from pydantic import TypeAdapter

    return TypeAdapter(Plan)
