# SPDX-License-Identifier: Apache-2.0
"""Faults to leases, and the reasons to refuse them. Pure but for the leases' random names."""

from __future__ import annotations

import ipaddress
import re
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from gameday.clock import NS_PER_S
from gameday.errors import InvalidInput
from gameday.experiment.document import Positions
from gameday.experiment.model import FaultStep
from gameday.experiment.problems import Path_, Problems
from gameday.experiment.tables import Tables
from gameday.faults.base import Fault, Reach
from gameday.plan.estate import Inventory
from gameday.plan.model import PlannedFault, PlannedLease
from gameday.plan.names import add, own_selectors
from gameday.plan.targets import Cut, Window
from gameday.record.types import Lease

EXEMPT = "exempt"
"""The key of a spec under which a kind lists what it leaves alone."""

STAMP = re.compile(r"\b19[67][0-9]-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}\b")
"""Moments in a kind's explanation; the plan explains with a T0 of 1970."""


@dataclass(frozen=True)
class Aimed:
    """A fault with its targets, and what echoes between nodes are meant to show of it."""

    index: int
    planned: PlannedFault
    reach: Reach
    harmless: bool = False

    @property
    def cut(self) -> Cut:
        """The directed pairs it cuts."""
        return self.reach.cut

    @property
    def hit(self) -> Cut:
        """The directed pairs it cuts or shifts."""
        return self.reach.cut | self.reach.shifted

    @property
    def window(self) -> Window:
        """When it is in effect."""
        return Window(self.planned.name, self.planned.at_s, self.planned.at_s + self.planned.for_s)


class Aim:
    """Turns each fault into leases; collects mistakes and reasons to refuse."""

    def __init__(
        self, inventory: Inventory, tables: Tables, positions: Positions,
        new_id: Callable[[], str],
    ) -> None:  # fmt: skip
        self._inventory, self._tables, self._positions = inventory, tables, positions
        self._new_id = new_id
        self._ids: set[str] = set()
        self.mistakes = Problems(positions.file)
        self.refusals = Problems(positions.file)

    def fault(self, index: int, step: FaultStep) -> Aimed | None:
        """The fault with its leases; ``None`` where there is a mistake in it."""
        kind, path = self._tables.faults[step.kind], ("faults", index, "params")
        try:
            specs = kind.spread(step.params, self._inventory)
            reach = kind.reach(step.params, self._inventory)
        except InvalidInput as error:
            here = self._blamed(path, step.params, error.message)
            add(self.mistakes, self._positions, here, error.message, error.hint)
            return None
        if not specs:
            what = "selects no node that a fault may be put on"
            todo = "select nodes that are not gameday_vantage_only"
            add(self.mistakes, self._positions, path, what, todo)
            return None
        self._check_addresses(path, reach.cut | reach.shifted)
        self._check_management(path, specs)
        leases = tuple(
            self._lease(kind, step, node, spec) for node, spec in sorted(specs.items())
        )  # fmt: skip
        sides = {n: self._inventory.select(s) for n, s in own_selectors(step.params)}
        planned = PlannedFault(step.name, step.kind, step.at_s, step.for_s, sides, leases)
        return Aimed(index, planned, reach, bool(getattr(kind, "harmless", False)))

    def check_claims(self, aimed: list[Aimed]) -> None:
        """Refuse two leases that would own the same thing on a node at the same time."""
        for number, later in enumerate(aimed):
            for earlier in aimed[:number]:
                if later.window.overlaps(earlier.window):
                    self._check_pair(earlier, later)

    def _check_pair(self, earlier: Aimed, later: Aimed) -> None:
        theirs = {lease.node: set(lease.claims) for lease in earlier.planned.leases}
        shared = {
            lease.node: sorted(set(lease.claims) & theirs.get(lease.node, set()))
            for lease in later.planned.leases
        }
        nodes = [node for node, claims in shared.items() if claims]
        if not nodes:
            return
        name = earlier.planned.name
        line, _ = self._positions.of(("faults", earlier.index))
        more = f" and {len(nodes) - 1} more nodes" if len(nodes) > 1 else ""
        what = (
            f"overlaps {name} (line {line}): while both last, both would own "
            f"'{shared[nodes[0]][0]}' on {nodes[0]}{more}"
        )
        path: Path_ = ("faults", later.index)
        add(self.refusals, self._positions, path, what, "move one in time, or aim it elsewhere")

    def _blamed(self, path: Path_, params: Any, message: str) -> Path_:
        """The parameter that a kind's message begins with, else all of them."""
        word = message.split(" ", maxsplit=1)[0]
        return (*path, word) if hasattr(params, word) else path

    def _check_addresses(self, path: Path_, cut: Cut) -> None:
        nodes = {node for pair in cut for node in pair}
        bare = sorted(node for node in nodes if not self._inventory.addresses(node))
        if bare:
            what = f"cannot cut what has no gameday_addresses: {', '.join(bare[:8])}"
            todo = "list their data addresses in the inventory"
            add(self.mistakes, self._positions, path, what, todo)

    def _check_management(self, path: Path_, specs: Mapping[str, Mapping[str, Any]]) -> None:
        networks = [ipaddress.ip_network(cidr) for cidr in self._inventory.management()]
        hosts = {
            ipaddress.ip_network(address): who
            for address, who in self._inventory.management_hosts().items()
        }
        hit: dict[str, str] = {}
        for address in sorted({a for spec in specs.values() for a in _addresses(spec)}):
            found = ipaddress.ip_network(address, strict=False)
            for network in networks:
                if network.version == found.version and network.overlaps(found):
                    hit[address] = f"in the management network {network}"
            for host, who in hosts.items():
                if host.version == found.version and host.overlaps(found):
                    hit[address] = f"how {who} is reached"
        if hit:
            address, why = next(iter(hit.items()))
            more = f", and {len(hit) - 1} more" if len(hit) > 1 else ""
            what = f"would cut our own way to the nodes: {address} is {why}{more}"
            todo = "aim it at data addresses only, so that gameday can always end it"
            add(self.refusals, self._positions, path, what, todo)

    def _lease(self, kind: Fault, step: FaultStep, node: str, spec: dict[str, Any]) -> PlannedLease:
        lease_id = self._new_id()
        while lease_id in self._ids:
            lease_id = self._new_id()
        self._ids.add(lease_id)
        lease = Lease(
            lease_id, "plan", node, step.name, step.kind, spec,
            step.at_s * NS_PER_S, step.end_s * NS_PER_S,
        )  # fmt: skip
        rules, undo = kind.explain(lease)
        return PlannedLease(
            node, lease_id, spec, tuple(kind.claims(spec)),
            tuple(from_t0(line) for line in rules), tuple(from_t0(line) for line in undo),
        )  # fmt: skip


def from_t0(line: str) -> str:
    """A line with its moments written as seconds after T0: ``T0+30s``."""

    def shown(found: re.Match[str]) -> str:
        moment = time.strptime(found[0], "%Y-%m-%dT%H:%M:%S")
        return f"T0{_seconds(moment):+d}s"

    return STAMP.sub(shown, line)


def _seconds(moment: time.struct_time) -> int:
    import calendar

    return calendar.timegm(moment)


def _addresses(item: Any) -> Iterator[str]:
    """Every address and network in a spec but for what it exempts."""
    if isinstance(item, Mapping):
        for name, value in item.items():
            if name != EXEMPT:
                yield from _addresses(value)
    elif isinstance(item, (list, tuple)):
        for value in item:
            yield from _addresses(value)
    elif isinstance(item, str) and ("." in item or ":" in item):
        try:
            ipaddress.ip_network(item, strict=False)
        except ValueError:
            return
        yield item
