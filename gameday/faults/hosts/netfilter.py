# SPDX-License-Identifier: Apache-2.0
"""Packet filter rules and address sets of a node, as fault kinds see them."""

from __future__ import annotations

from typing import Mapping, Protocol, Sequence, Tuple


class Netfilter(Protocol):
    """iptables (nft or legacy, whichever the node uses) and ipsets."""

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
