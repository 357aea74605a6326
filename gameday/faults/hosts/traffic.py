# SPDX-License-Identifier: Apache-2.0
"""Queueing disciplines and routes of a node, as fault kinds see them.

A *band* is one class of gameday's own root qdisc on a device: a ``prio`` with handle 9ad0:,
whose first bands carry all traffic as before and whose others carry only what a rule sends
there. A *leaf* is what is done to a band's packets, as JSON: its "kind" is "netem" or "tbf".
"""

from __future__ import annotations

from typing import Any, Dict, List, Mapping, Optional, Protocol, Sequence, Tuple

ROOT_MAJOR = 0x9AD0
"""Major number of gameday's root qdisc; tc prints the handle as 9ad0:."""

FIRST_BAND, LAST_BAND = 4, 16
"""Bands that leases may take: prio has sixteen, and the first three carry what is not ours."""


Slot = Tuple[int, int]
"""(band, mark): the mark is the major number of the leaf's handle, and tells whose it is."""


class Traffic(Protocol):
    """tc and routes."""

    def devices_to(self, addresses: Sequence[str]) -> Dict[str, List[str]]:
        """Interface to those addresses or networks that are routed over it.

        Raises NodeError where one has no route.
        """

    def root(self, device: str) -> Dict[str, Any]:
        """The device's root qdisc as it was before gameday; JSON for ``add_band``.

        Raises NodeError where it is one that could not be restored exactly.
        """

    def bands(self, device: str) -> Dict[int, Dict[str, Any]]:
        """Bands that leases hold: leaf's "kind" and "mark", and its counters "packets", "drops",
        "waiting" (packets), "backlog" (bytes) and "requeues"."""

    def add_band(
        self, device: str, root: Mapping[str, Any], slot: Slot, leaf: Mapping[str, Any]
    ) -> None:
        """Make gameday's root qdisc if it is not there, and put a leaf on a band."""

    def change_leaf(self, device: str, slot: Slot, leaf: Mapping[str, Any]) -> None:
        """Change the parameters of a band's leaf; packets that wait in it stay there."""

    def drop_band(self, device: str, root: Mapping[str, Any], slot: Slot) -> bool:
        """Remove a leaf, and with the last one put the root back; ``False`` if it was gone."""

    def has_own_root(self, device: str) -> bool:
        """Whether the device is there and its root qdisc is gameday's."""

    def root_changes(self, device: str, root: Mapping[str, Any]) -> List[str]:
        """How the root differs from what it was, if gameday's own is not there; in words."""

    def redirect(
        self, device: str, mirror: str, sources: Sequence[str], leaf: Mapping[str, Any], pref: int
    ) -> None:
        """Send what arrives from ``sources`` through a leaf on an IFB device named ``mirror``."""

    def undo_redirect(self, device: str, mirror: str, pref: int) -> bool:
        """Remove what ``redirect`` made; ``False`` if nothing was there."""

    def redirected(self, device: str, mirror: str, pref: int) -> Tuple[int, int]:
        """(how many of a redirection's pieces are there: filters and device, its packets)."""

    def blackhole(self, table: int, networks: Sequence[str]) -> None:
        """Blackhole routes to networks in a table of their own, asked before all others."""

    def undo_blackhole(self, table: int) -> bool:
        """Remove such a table and the rules to it; ``False`` if there was none."""

    def blackholed(self, table: int) -> Tuple[str, ...]:
        """Networks that a table of ours sends nowhere, and "rule" per rule that leads there."""

    def send_udp(self, lease_id: str, address: str, port: int, size: int, count: int) -> None:
        """Send ``count`` UDP packets of ``size`` bytes now, and keep count for the lease."""

    def udp_sent(self, lease_id: str) -> Optional[int]:
        """Packets sent for a lease; ``None`` where it has no count."""

    def end_udp(self, lease_id: str) -> bool:
        """Drop the lease's count; ``False`` where there was none."""
