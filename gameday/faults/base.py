# SPDX-License-Identifier: Apache-2.0
"""What a fault kind is, and what it may ask of the estate.

A kind is a module with one object of the shape ``Fault``. Two halves:

- ``spread`` runs on the controller and is pure: parameters and estate to one spec per node;
- ``before``, ``arm``, ``drive``, ``observe``, ``disarm`` run on the node, through the narrow
  ``Host`` of ``gameday.faults.hosts``.

This module travels to nodes: standard library only, Python 3.9 syntax.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Dict, FrozenSet, List, Mapping, Optional, Protocol, Tuple

from gameday.faults.elsewhere import Elsewhere
from gameday.faults.hosts import Host
from gameday.record.types import Lease, Observation

Pair = Tuple[str, str]

CONTROLLER = "controller"
"""Stands for a node's name in leases that the controller's own host holds."""


@dataclass(frozen=True)
class Selector:
    """Which nodes: those that match every field that is given; a field matches any of its values.

    Attributes:
        site, rack, role, node, group: names from the inventory.
    """

    site: Tuple[str, ...] = ()
    rack: Tuple[str, ...] = ()
    role: Tuple[str, ...] = ()
    node: Tuple[str, ...] = ()
    group: Tuple[str, ...] = ()


class Estate(Protocol):
    """What a fault kind may ask about the inventory; pure."""

    def select(self, selector: Selector) -> Tuple[str, ...]:
        """Names of matching nodes, sorted."""

    def addresses(self, node: str) -> Tuple[str, ...]:
        """The node's own data addresses (not its management ones), v4 and v6."""

    def networks(self, node: str) -> Tuple[str, ...]:
        """CIDRs that are behind the node: its pods'; empty where the inventory names none."""

    def bypasses_netfilter(self, node: str) -> bool:
        """Whether the inventory says that packets pass this node outside netfilter."""

    def bmc(self, node: str) -> Optional[Mapping[str, str]]:
        """How the node's BMC is reached, credentials by reference: see ``hosts.power``."""

    def cluster(self, site: str) -> Optional[Mapping[str, Any]]:
        """How the site's Kubernetes API is reached, see ``probes.kube_client``; ``None`` where
        the inventory names none."""

    def can_arm(self, node: str) -> bool:
        """Whether gameday may put a fault on this node (it is not an outside vantage)."""

    def management(self) -> Tuple[str, ...]:
        """CIDRs that no fault may touch."""


@dataclass(frozen=True)
class Facts:
    """What the agent found out about its node before anything is armed.

    Attributes:
        python: "3.11.2". kernel: uname release. root: whether it runs as root.
        iptables: "nft", "legacy" or "" where there is none.
        missing: capability name to the reason it is missing and what helps; a capability
            that is not a key is there. Names are those of the ``CHECKS`` of the modules in
            ``gameday.agent.system``, and "ledger".
        links: interface names.
        boot_id: the kernel's identity of this boot.
    """

    python: str
    kernel: str
    root: bool
    iptables: str
    missing: Mapping[str, str]
    links: Tuple[str, ...]
    boot_id: str


@dataclass(frozen=True)
class Reach:
    """Which directed pairs of nodes a fault hits; all others it must leave alone.

    Attributes:
        cut: pairs (a, b): nothing that a sends reaches b.
        shifted: pairs whose echoes are slower or lossy meanwhile.
        profile: by how much, over time; see ``gameday.faults.profiles``.
        spread_us: how far a single echo may be from that, by the fault's own jitter.
    """

    cut: FrozenSet[Pair] = frozenset()
    shifted: FrozenSet[Pair] = frozenset()
    profile: Mapping[str, Any] = field(default_factory=dict)
    spread_us: int = 0


class Fault(Protocol):
    """A kind of fault; see ``docs/adding-a-fault.md`` for the obligations in words.

    Attributes:
        kind: its name in experiments. Params: frozen dataclass of its parameters.
        summary: one line for people.
        only_changes: ``drive`` only changes what ``arm`` made; it can bring nothing back that
            was disarmed meanwhile.
        imports: heavy modules that ``drive`` and ``disarm`` import on a node; where a process
            keeps the window it imports them before it is due.
        apart: what it changes is in another system, which may not answer for long: it takes a
            lock of its own, so that it holds up no other lease, and its end is tried for ever.
    """

    kind: str
    Params: type
    summary: str
    only_changes: bool
    imports: Tuple[str, ...]
    apart: bool

    def kept_by(self, spec: Mapping[str, Any]) -> str:
        """ "kernel" where the node's kernel ends the window by itself; "process" where a
        process of ours does, watched by others."""

    def drives(self, spec: Mapping[str, Any]) -> bool:
        """Whether ``drive`` has anything to do inside the window."""

    def elsewhere(self, spec: Mapping[str, Any]) -> Optional[Elsewhere]:
        """Where it acts, if the controller's host holds the lease; ``None`` on nodes. Pure."""

    def spread(self, params: Any, estate: Estate) -> Dict[str, Dict[str, Any]]:
        """Node to spec (JSON) for every node that gets a lease. Pure; raises InvalidInput."""

    def reach(self, params: Any, estate: Estate) -> Reach:
        """What packets between nodes are meant to suffer; empty for faults of one node."""

    def available(self, facts: Facts) -> Optional[str]:
        """Why this kind cannot be armed on a node, and what helps; ``None`` where it can."""

    def able(self, spec: Mapping[str, Any], host: Host) -> List[str]:
        """Why the other system of a kind that is ``apart`` would not do it; all at once."""

    def claims(self, spec: Mapping[str, Any]) -> Tuple[str, ...]:
        """What the lease will own on its node; two leases with one claim at a time are refused."""

    def explain(self, lease: Lease) -> Tuple[List[str], List[str]]:
        """The exact rules that will be set, and the exact undo, as lines for people."""

    def before(self, lease: Lease, host: Host) -> Dict[str, Any]:
        """What is there now; becomes ``Receipt.before``. Changes nothing.

        Raises NodeError where this node cannot have the lease, with what helps.
        """

    def arm(self, lease: Lease, before: Mapping[str, Any], host: Host) -> None:
        """Put the lease in place, inert until its window; the receipt is on disk by now."""

    def drive(
        self, lease: Lease, before: Mapping[str, Any], host: Host, since_ns: int
    ) -> Optional[int]:
        """Start or change the effect. Called by the keeper only inside the window.

        First with ``since_ns`` 0 at its start, then whenever ``since_ns`` (nanoseconds since
        the start) has reached what the last call returned; ``None`` ends the calls. Must be
        idempotent: a keeper that died is started again and begins anew, late.
        """

    def observe(self, lease: Lease, before: Mapping[str, Any], host: Host) -> Observation:
        """What is there of the lease. Changes nothing."""

    def disarm(self, lease: Lease, before: Mapping[str, Any], host: Host) -> List[str]:
        """Remove what the lease made, restore what was there; says what it did. Idempotent.

        Must be right at any moment: never armed, half armed, armed, driven, ended by a
        reboot. Restores only what still holds the lease's own value.
        """


class OnNode:
    """For kinds whose effect is on the node that holds the lease, or answers within seconds."""

    apart = False

    def able(self, spec: Mapping[str, Any], host: Host) -> List[str]:
        """No other system is asked."""
        return []

    def elsewhere(self, spec: Mapping[str, Any]) -> Optional[Elsewhere]:
        """The node that holds it is where it acts."""
        return None


class KernelKept(OnNode):
    """For kinds whose window the node's kernel keeps; nothing is driven."""

    only_changes = False
    imports: Tuple[str, ...] = ()

    def kept_by(self, spec: Mapping[str, Any]) -> str:
        """The kernel, whatever the spec."""
        return "kernel"

    def drives(self, spec: Mapping[str, Any]) -> bool:
        """Nothing to do."""
        return False

    def drive(
        self, lease: Lease, before: Mapping[str, Any], host: Host, since_ns: int
    ) -> Optional[int]:
        """The kernel does it."""
        return None


class ProcessKept(OnNode):
    """For kinds of one node whose effect a process starts and ends."""

    only_changes = False
    imports: Tuple[str, ...] = ()

    def kept_by(self, spec: Mapping[str, Any]) -> str:
        """A process, whatever the spec."""
        return "process"

    def drives(self, spec: Mapping[str, Any]) -> bool:
        """At least at the window's start."""
        return True

    def reach(self, params: Any, estate: Estate) -> Reach:
        """Touches no packet."""
        return Reach()

    def arm(self, lease: Lease, before: Mapping[str, Any], host: Host) -> None:
        """Nothing is in place before the window: the keeper starts the effect at its start."""
