# SPDX-License-Identifier: Apache-2.0
"""The part of ``FakeHost`` that stands for ``gameday.faults.hosts.traffic``: one device."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from gameday.errors import NodeError

DEVICE = "eth0"


class FakeTraffic:
    """In memory; ``mutate`` is called before every change and may crash."""

    def __init__(self, mutate: Callable[[], None]) -> None:
        self._mutate = mutate
        self.original: dict[str, Any] = {"kind": "fq_codel", "handle": 0x10000, "options": "00"}
        self.now: dict[str, Any] | None = self.original
        self.leaves: dict[int, dict[str, Any]] = {}
        self.mirrors: dict[str, list[str]] = {}
        self.tables: dict[int, list[str]] = {}
        self.sent: dict[str, int] = {}

    def state(self) -> object:
        """All that a lease may change, as plain data."""
        return self.now, self.leaves, self.mirrors, self.tables, self.sent

    def devices_to(self, addresses: Sequence[str]) -> dict[str, list[str]]:
        return {DEVICE: list(addresses)}

    def root(self, device: str) -> dict[str, Any]:
        return self.original

    def bands(self, device: str) -> dict[int, dict[str, Any]]:
        zero = {"packets": 0, "drops": 0, "waiting": 0, "backlog": 0, "requeues": 0}
        return {band: {**zero, **leaf} for band, leaf in self.leaves.items()}

    def add_band(self, device: str, root: Any, slot: tuple[int, int], leaf: Any) -> None:
        if self.now is not None:
            self._mutate()
            self.now = None
        self._mutate()
        self.leaves[slot[0]] = {"kind": leaf["kind"], "mark": slot[1]}

    def change_leaf(self, device: str, slot: tuple[int, int], leaf: Mapping[str, Any]) -> None:
        if self.leaves[slot[0]]["mark"] != slot[1]:
            raise NodeError("not this lease's leaf")

    def drop_band(self, device: str, root: Any, slot: tuple[int, int]) -> bool:
        if self.now is not None:
            return False
        found = self.leaves.get(slot[0], {}).get("mark") == slot[1]
        if found:
            del self.leaves[slot[0]]
        if not self.leaves:
            self.now = dict(root)
        return found or not self.leaves

    def has_own_root(self, device: str) -> bool:
        return self.now is None

    def root_changes(self, device: str, root: Any) -> list[str]:
        return [] if self.now in (None, root) else ["changed"]

    def redirect(
        self, device: str, mirror: str, sources: Sequence[str], leaf: Any, pref: int
    ) -> None:
        self._mutate()
        self.mirrors.setdefault(mirror, [])
        for source in sources:
            if source not in self.mirrors[mirror]:
                self._mutate()
                self.mirrors[mirror].append(source)

    def undo_redirect(self, device: str, mirror: str, pref: int) -> bool:
        return self.mirrors.pop(mirror, None) is not None

    def redirected(self, device: str, mirror: str, pref: int) -> tuple[int, int]:
        return (len(self.mirrors[mirror]) + 1, 0) if mirror in self.mirrors else (0, 0)

    def blackhole(self, table: int, networks: Sequence[str]) -> None:
        self.tables.setdefault(table, [])
        for network in [*networks, "rule"]:
            if network not in self.tables[table]:
                self._mutate()
                long = "rule" if network == "rule" else network + ("/128" if ":" in network
                                                                   else "/32")  # fmt: skip
                self.tables[table].append(long)

    def undo_blackhole(self, table: int) -> bool:
        return self.tables.pop(table, None) is not None

    def blackholed(self, table: int) -> tuple[str, ...]:
        return tuple(self.tables.get(table, ()))

    def send_udp(self, lease_id: str, address: str, port: int, size: int, count: int) -> None:
        self._mutate()
        self.sent[lease_id] = self.sent.get(lease_id, 0) + count

    def udp_sent(self, lease_id: str) -> int | None:
        return self.sent.get(lease_id)

    def end_udp(self, lease_id: str) -> bool:
        return self.sent.pop(lease_id, None) is not None
