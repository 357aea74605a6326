# SPDX-License-Identifier: Apache-2.0
"""A host in memory for unit tests of fault kinds: rules and sets as plain data.

It understands just the lines that ``iptables-restore --noflush`` batches of ours hold; the
real thing is used in tests/lab.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence

from gameday.clock import NS_PER_S
from gameday.errors import NodeError
from tests.unit.faults.fake_disks import FakeDisks
from tests.unit.faults.fake_kube import FakeKube
from tests.unit.faults.fake_power import FakePower
from tests.unit.faults.fake_processes import FakeProcesses
from tests.unit.faults.fake_traffic import FakeTraffic


class FakeHost:
    """Implements ``gameday.faults.hosts.Host``; ``fail_at`` makes the nth mutation crash."""

    def __init__(self, foreign: Sequence[str] = ()) -> None:
        self.tables: dict[int, dict[str, list[str]]] = {4: {}, 6: {}}
        if foreign:
            self.tables[4]["filter"] = list(foreign)
        self.sets: dict[str, tuple[int, list[str], int]] = {}
        self.now = 1_000 * NS_PER_S
        self.mutations = 0
        self.fail_at: int | None = None
        self.traffic = FakeTraffic(self.mutate)
        self.disks = FakeDisks(self.mutate)
        self.processes = FakeProcesses(self.mutate)
        self.power = FakePower(self.mutate)
        self.kube = FakeKube(self.mutate)

    def state(self) -> object:
        """All that a lease may change, for comparison."""
        own = (self.tables, self.sets)
        parts = (
            self.traffic.state(),
            self.disks.state(),
            self.processes.state(),
            self.power.state(),
            self.kube.state(),
        )
        return copy.deepcopy((own, parts))

    def mutate(self) -> None:
        """Count one change; crashes at the one that the test chose."""
        self.mutations += 1
        if self.fail_at is not None and self.mutations >= self.fail_at:
            raise NodeError("the host crashed here")

    def ipset_create(self, name: str, family: int, entries: Sequence[str], timeout_s: int) -> None:
        self.mutate()
        if name in self.sets:
            raise NodeError(f"set {name} exists")
        self.sets[name] = (family, list(entries), timeout_s)

    def ipset_destroy(self, name: str) -> bool:
        if any(name in line for tables in self.tables.values() for lines in tables.values()
               for line in lines):  # fmt: skip
            raise NodeError(f"set {name} is in use")
        return self.sets.pop(name, None) is not None

    def ipset_names(self) -> tuple[str, ...]:
        return tuple(sorted(self.sets))

    def rules(self, family: int) -> Mapping[str, tuple[str, ...]]:
        return {table: tuple(lines) for table, lines in self.tables[family].items()}

    def restore(self, family: int, batch: str) -> None:
        self.mutate()
        table: list[str] = []
        for line in batch.splitlines():
            if line.startswith("*"):
                table = self.tables[family].setdefault(line[1:], [])
            elif line.startswith(":"):
                table.append(line.rsplit(" [", 1)[0])
            elif line.startswith("-A "):
                table.append(line)
            elif line.startswith("-I "):
                words = line.split(" ", 3)
                if f":{words[1]} ACCEPT" not in table:
                    table.insert(0, f":{words[1]} ACCEPT")
                table.append(f"-A {words[1]} {words[3]}")
            elif line.startswith("-D "):
                table.remove("-A" + line[2:])
            elif line.startswith("-F "):
                table[:] = [x for x in table if not x.startswith(f"-A {line[3:]} ")]
            elif line.startswith("-X "):
                table.remove(f":{line[3:]} -")

    def rule_counters(self, family: int, lease_id: str) -> Mapping[str, int]:
        return {}

    def drop_empty_chains(self, family: int, table: str, chains: Sequence[str]) -> None:
        lines = self.tables[family].get(table, [])
        used = {line.split()[1] for line in lines if line.startswith("-A")}
        for chain in chains:
            if chain not in used and f":{chain} ACCEPT" in lines:
                lines.remove(f":{chain} ACCEPT")
        if not lines:
            self.tables[family].pop(table, None)

    def controller(self) -> tuple[str, int]:
        return "198.19.0.1", 22

    def wall_ns(self) -> int:
        return self.now

    def mono_ns(self) -> int:
        return self.now
