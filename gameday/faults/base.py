# SPDX-License-Identifier: Apache-2.0
"""What a fault kind is, what it may ask of the estate, and what it may touch on a node.

A kind is a module with one object of the shape ``Fault``. Two halves:

- ``spread`` runs on the controller and is pure: parameters and estate to one spec per node;
- ``arm``, ``observe``, ``disarm`` run on the node, through the narrow ``host`` object.

This module travels to nodes: standard library only, Python 3.9 syntax.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Dict, FrozenSet, List, Mapping, Optional, Protocol, Sequence, Tuple

from gameday.record.types import Lease, Observation


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
            that is not a key is there. Names: iptables, iptables-time, iptables-set,
            ip6tables, ipset, ledger.
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
    """Which directed pairs of nodes a fault is meant to cut, and which it must leave alone."""

    cut: FrozenSet[Tuple[str, str]]


class Host(Protocol):
    """All that a fault kind may touch on a node. Real in ``agent/system``, faked in unit tests."""

    def ipset_create(self, name: str, family: int, entries: Sequence[str], timeout_s: int) -> None:
        """Make a ``hash:net`` set (family 4 or 6); entries live ``timeout_s`` (0: for ever)."""

    def ipset_destroy(self, name: str) -> bool:
        """Remove a set; ``False`` where it was not there."""

    def ipset_names(self) -> Tuple[str, ...]:
        """Names of all sets."""

    def rules(self, family: int) -> Mapping[str, Tuple[str, ...]]:
        """Chains (``:NAME POLICY``) and rules (``-A ...``) per table, without counters."""

    def restore(self, family: int, batch: str) -> None:
        """Apply one ``iptables-restore --noflush`` batch, all of it or nothing."""

    def rule_counters(self, family: int, lease_id: str) -> Mapping[str, int]:
        """Packets per word of the lease's ``gameday:<id>:<word>`` comments, summed."""

    def drop_empty_chains(self, family: int, table: str, chains: Sequence[str]) -> None:
        """Remove base chains that are empty; the kernel refuses where they are not."""

    def controller(self) -> Tuple[str, int]:
        """Address of the controller as this node sees it, and our own SSH port."""

    def wall_ns(self) -> int:
        """The node's wall clock."""

    def mono_ns(self) -> int:
        """The node's monotonic clock."""


class Fault(Protocol):
    """A kind of fault; see ``docs/adding-a-fault.md`` for the obligations in words."""

    kind: str
    Params: type
    summary: str

    def spread(self, params: Any, estate: Estate) -> Dict[str, Dict[str, Any]]:
        """Node to spec (JSON) for every node that gets a lease. Pure; raises InvalidInput."""

    def reach(self, params: Any, estate: Estate) -> Reach:
        """Directed pairs of nodes that this fault cuts; empty for faults that cut nothing."""

    def available(self, facts: Facts) -> Optional[str]:
        """Why this kind cannot be armed on a node, and what helps; ``None`` where it can."""

    def claims(self, spec: Mapping[str, Any]) -> Tuple[str, ...]:
        """What the lease will own on its node; two leases with one claim at a time are refused."""

    def explain(self, lease: Lease) -> Tuple[List[str], List[str]]:
        """The exact rules that will be set, and the exact undo, as lines for people."""

    def before(self, lease: Lease, host: Host) -> Dict[str, Any]:
        """What is there now; becomes ``Receipt.before``. Changes nothing."""

    def arm(self, lease: Lease, before: Mapping[str, Any], host: Host) -> None:
        """Put the lease in place, inert until its window; the receipt is on disk by now."""

    def observe(self, lease: Lease, before: Mapping[str, Any], host: Host) -> Observation:
        """What is there of the lease. Changes nothing."""

    def disarm(self, lease: Lease, before: Mapping[str, Any], host: Host) -> List[str]:
        """Remove what the lease made, restore what was there; says what it did. Idempotent."""
