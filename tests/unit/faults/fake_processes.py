# SPDX-License-Identifier: Apache-2.0
"""The part of ``FakeHost`` that stands for ``gameday.faults.hosts.processes``."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from gameday.errors import NodeError
from gameday.faults.hosts.processes import Process, Unit

POD = "/kubepods/pod1"


@dataclass
class Service:
    """What a supervisor would know of a program."""

    name: str
    unit: str = ""
    container: str = ""
    workers: int = 0


@dataclass
class FakeProcesses:
    """In memory; ``mutate`` is called before every change and may crash."""

    mutate: Callable[[], None]
    living: dict[int, Process] = field(default_factory=dict)
    belongs: dict[int, Service] = field(default_factory=dict)
    units: dict[str, Unit] = field(default_factory=dict)
    freezers: dict[str, str] = field(default_factory=dict)
    notes: dict[str, dict[str, Any]] = field(default_factory=dict)
    own: dict[int, str] = field(default_factory=dict)
    next_pid: int = 100

    def __post_init__(self) -> None:
        self.run(Service("etcd", unit="etcd.service", workers=1))
        self.units["etcd.service"] = Unit("active", "enabled", "/lib/systemd/system/etcd.service")
        self.run(Service("sh", container="c" * 64))

    def run(self, service: Service) -> int:
        """Start a service's processes; returns the master's number."""
        first = self.next_pid
        for pid in range(first, first + 1 + service.workers):
            parent = 1 if pid == first else first
            self.living[pid] = Process(pid, pid * 10, parent, "S", service.name)
            self.belongs[pid] = service
        self.next_pid += 50
        return first

    def state(self) -> object:
        """All that a lease may change, as plain data; numbers of processes say nothing."""
        shown = sorted((p.name, p.state, self.belongs[p.pid].unit) for p in self.living.values())
        return copy.deepcopy((shown, self.units, self.freezers))

    def find(self, by: str, what: str) -> tuple[Process, ...]:
        def fits(one: Process) -> bool:
            service = self.belongs[one.pid]
            if by == "container":
                return bool(service.container) and service.container.startswith(what)
            return what == (service.unit if by == "unit" else service.name)

        return tuple(one for one in self.living.values() if fits(one))

    def protected(self) -> Mapping[Process, str]:
        return {self.living[pid]: why for pid, why in self.own.items()}

    def look(self, pid: int, start: int) -> Process | None:
        one = self.living.get(pid)
        return one if one and one.start == start else None

    def signal(self, pid: int, start: int, name: str) -> bool:
        self.mutate()
        one = self.look(pid, start)
        if one is None:
            return False
        if name == "KILL":
            service = self.belongs[pid]
            del self.living[pid]
            if service.unit and one.parent == 1:
                # As systemd does it: the rest of a service ends with its main process.
                for worker in self.find("unit", service.unit):
                    del self.living[worker.pid]
                self.units[service.unit] = replace(self.units[service.unit], active="failed")
        else:
            self.living[pid] = replace(one, state="T" if name == "STOP" else "S")
        return True

    def freezer(self, by: str, what: str) -> str:
        return next((path for path in self.freezers if by != "name" and what in path), "")

    def frozen(self, path: str) -> str:
        return self.freezers.get(path, "gone")

    def freeze(self, path: str, on: bool) -> None:
        self.mutate()
        self.freezers[path] = "frozen" if on else "thawed"

    def pod(self, container: str) -> str:
        return POD

    def containers(self, pod: str) -> int:
        return len({self.belongs[pid].container for pid in self.living} - {""})

    def unit(self, unit: str) -> Unit | None:
        return self.units.get(unit)

    def systemctl(self, verb: str, unit: str) -> None:
        self.mutate()
        was = self.units[unit]
        if verb == "start":
            if was.file_state.startswith("masked"):
                raise NodeError(f"{unit} is masked")
            self.run(Service(unit.removesuffix(".service"), unit=unit, workers=1))
            self.units[unit] = replace(was, active="active")
        elif verb == "stop":
            for one in self.find("unit", unit):
                del self.living[one.pid]
            self.units[unit] = replace(was, active="inactive")
        else:
            state = "masked-runtime" if verb == "mask" else "enabled"
            self.units[unit] = replace(was, file_state=state)

    def keep(self, lease_id: str, note: Mapping[str, Any]) -> None:
        self.mutate()
        self.notes[lease_id] = copy.deepcopy(dict(note))

    def noted(self) -> tuple[str, ...]:
        return tuple(self.notes)

    def kept(self, lease_id: str, across_boots: bool = False) -> dict[str, Any] | None:
        return copy.deepcopy(self.notes.get(lease_id))
