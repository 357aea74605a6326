# SPDX-License-Identifier: Apache-2.0
"""Arm and disarm a partition on bench nodes with the code that a run uses."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Literal

from gameday import clock
from gameday.clock import NS_PER_S
from gameday.conduct.collect import Recorder
from gameday.conduct.fleet import fleet_of
from gameday.conduct.leases import Leases, by_node
from gameday.conduct.limits import CLOCK_EXCHANGES
from gameday.errors import CannotRun, GamedayError
from gameday.faults import TABLE
from gameday.faults.base import Selector
from gameday.faults.partition import PartitionParams
from gameday.plan import load_inventory
from gameday.record import kinds
from gameday.record.journal import read_events
from gameday.record.types import Lease
from gameday.transport.agent import Agent
from tests.bench.estate import Estate

Mechanism = Literal["netfilter", "blackhole"]

LEAD_S, LEAD_S_PER_NODE = 3.0, 0.12
"""From the first node asked to the window: more than arming takes with all nodes on two cores."""


@dataclass(frozen=True)
class Armed:
    """A partition that is armed on some nodes.

    Attributes:
        fire_ns, expire_ns: its window, wall clock. arm_ns: first request to last "armed".
    """

    leases: list[Lease]
    fire_ns: int
    expire_ns: int
    arm_ns: int


class Session:
    """Connections to the first ``count`` nodes of an estate, and a run's record."""

    def __init__(self, estate: Estate, count: int, directory: Path) -> None:
        self.names = estate.names[:count]
        self._inventory = load_inventory(estate.inventory)
        self.fleet = fleet_of(self._inventory.to_json(), self.names)
        self._directory = directory
        self._recorder = Recorder(directory)
        self._leases = Leases(self.fleet, self._recorder)
        self._number = 0

    def open(self) -> int:
        """Connect to all nodes, and push the agent where it is not; returns how long it took."""
        begin = clock.mono_ns()
        require(self.fleet.each(self.names, lambda _, agent: agent.open())[1])
        return clock.mono_ns() - begin

    def preflight(self) -> None:
        """What a run asks of a node before it arms."""
        for call in (*("clock",) * CLOCK_EXCHANGES, "facts", "audit"):
            require(self.fleet.each(self.names, partial(_ask, call))[1])

    def arm(self, for_s: int = 1, mechanism: Mechanism = "netfilter") -> Armed:
        """Arm a partition between the nodes and the sender, on all nodes."""
        lead = LEAD_S + LEAD_S_PER_NODE * len(self.names)
        fire = (clock.wall_ns() // NS_PER_S + 1) * NS_PER_S + int(lead * NS_PER_S)
        fire -= fire % NS_PER_S
        leases = self._make(fire, fire + for_s * NS_PER_S, mechanism)
        self._leases.arm(leases)
        own = {lease.id for lease in leases}
        events = [
            e
            for e in read_events(self._directory / "events.jsonl")
            if e.kind in (kinds.ARM_INTENT, kinds.ARMED) and e.data["lease"]["id"] in own
        ]
        first = min(e.at_ns for e in events if e.kind == kinds.ARM_INTENT)
        last = max(e.at_ns for e in events if e.kind == kinds.ARMED)
        return Armed(leases, fire, fire + for_s * NS_PER_S, last - first)

    def disarm(self, armed: Armed) -> None:
        """End it, and insist that nothing is left on any node."""
        failed = self._leases.disarm(armed.leases, "bench")
        states = self._leases.prove_clean(by_node(armed.leases), {})
        left = [f"{s.node}: {piece}" for s in states for piece in s.left]
        if failed or left:
            raise CannotRun(f"nodes are not clean: {failed or left[:3]}")

    def close(self) -> None:
        """Close connections and files."""
        self.fleet.close()
        self._recorder.close()

    def _make(self, fire_ns: int, expire_ns: int, mechanism: Mechanism) -> list[Lease]:
        sides = Selector(node=tuple(self.names)), Selector(site=("far",))
        params = PartitionParams(*sides, mechanism=mechanism)
        specs = TABLE["partition"].spread(params, self._inventory)
        found = []
        for node, spec in sorted(specs.items()):
            self._number += 1
            found.append(Lease(f"{self._number:08x}", "bench", node, "cut", "partition", spec,
                               fire_ns, expire_ns))  # fmt: skip
        return found


def _ask(call: str, _: str, agent: Agent) -> object:
    return agent.call(call)


@contextmanager
def session(estate: Estate, count: int) -> Iterator[Session]:
    """A session whose record is thrown away afterwards."""
    with tempfile.TemporaryDirectory(prefix="gameday-bench-") as directory:
        one = Session(estate, count, Path(directory))
        try:
            yield one
        finally:
            one.close()


def require(errors: dict[str, GamedayError]) -> None:
    """Give up where a node answered with an error.

    Raises:
        CannotRun: with what the nodes said.
    """
    if errors:
        raise CannotRun("nodes failed", problems=[e.message for e in errors.values()])


def quantile(values: Sequence[float], share: float) -> float:
    """The smallest value that at least ``share`` of all values do not exceed."""
    ordered = sorted(values)
    return ordered[max(0, -(-int(share * len(ordered) * 1000) // 1000) - 1)]
