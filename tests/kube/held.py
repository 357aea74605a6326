# SPDX-License-Identifier: Apache-2.0
"""A lease on a real API server in this process: its host is in memory, its cluster is not."""

from __future__ import annotations

import os
from typing import Any

from gameday.agent.system.kube import RealKube
from gameday.clock import NS_PER_S
from gameday.faults import TABLE
from gameday.faults.kube_kept import KubeKept
from gameday.record.types import Lease, from_json
from tests.unit.faults.fake_host import FakeHost


class Here(FakeHost):
    """A host in memory with a real way to clusters."""

    def __init__(self) -> None:
        super().__init__()
        self.kube: Any = RealKube()


def name() -> str:
    return f"t-{os.urandom(3).hex()}"


class Held:
    """A lease in its window, in this process."""

    def __init__(self, data: dict[str, Any]) -> None:
        self.one, self.host = from_json(Lease, data), Here()
        fault = TABLE[self.one.kind]
        assert isinstance(fault, KubeKept)
        self.fault = fault
        self.host.now = self.one.fire_at_ns - NS_PER_S
        self.before = fault.before(self.one, self.host)

    def begin(self) -> int | None:
        self.host.now = self.one.fire_at_ns
        return self.fault.drive(self.one, self.before, self.host, 0)

    def end(self) -> tuple[str, tuple[str, ...]]:
        """The state that is read back, and what others changed."""
        self.host.now = self.one.expire_at_ns
        self.fault.disarm(self.one, self.before, self.host)
        found = self.fault.observe(self.one, self.before, self.host)
        return found.state, found.foreign_changed

    def state(self) -> str:
        return self.fault.observe(self.one, self.before, self.host).state
