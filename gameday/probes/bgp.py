# SPDX-License-Identifier: Apache-2.0
"""``bgp``: whether a collector has a route, from whom, and which sessions it has.

Nodes: Python 3.9 syntax.
"""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass
from typing import Any, Callable, Dict, Literal

from gameday.probes import bgp_bird, bgp_exabgp, bgp_frr
from gameday.probes.base import Failed, Outcome, Schedule, Target, Value
from gameday.probes.bgp_table import Table
from gameday.probes.deadline import Deadline, failure_word


@dataclass(frozen=True)
class BgpParams:
    """Parameters of ``bgp``.

    Attributes:
        prefix: the route that is looked for, exactly: "203.0.113.53/32".
        source: whom the collector's table is read from.
        socket: bird's control socket. vtysh: FRR's program.
        file: where a process of ExaBGP's writes its JSON lines.
        quiet_ms: a file without a new line for longer than this tells nothing.
    """

    prefix: str
    source: Literal["bird", "frr", "exabgp"] = "bird"
    socket: str = "/run/bird/bird.ctl"
    vtysh: str = "vtysh"
    file: str = ""
    quiet_ms: int = 10_000

    def __post_init__(self) -> None:
        try:
            ipaddress.ip_network(self.prefix)
        except ValueError as error:
            raise ValueError(f"prefix: {error}") from error
        if self.source == "exabgp" and not self.file:
            raise ValueError("source exabgp wants a file: where its JSON lines are written")


Read = Callable[[Deadline], Table]


def _source(params: BgpParams) -> Read:
    prefix = str(ipaddress.ip_network(params.prefix))
    if params.source == "frr":
        return lambda deadline: bgp_frr.read(params.vtysh, prefix, deadline)
    if params.source == "exabgp":
        return bgp_exabgp.Follower(params.file, prefix, params.quiet_ms).read
    return lambda deadline: bgp_bird.read(params.socket, prefix, deadline)


class Bgp:
    """One collector's route and sessions."""

    kind = "bgp"
    Params: type = BgpParams
    summary = "whether the local BGP collector has a route, through whom, and its sessions"
    fan_out = "self"
    listens = False

    def sampler(
        self, params: BgpParams, node: str, target: Target, schedule: Schedule
    ) -> Callable[[], Outcome]:
        """Each look reads the table anew; of ExaBGP, what it wrote since the last look."""
        read = _source(params)

        def look() -> Outcome:
            deadline = Deadline(schedule.timeout_ns)
            try:
                return Value(value_of(read(deadline)))
            except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
                return Failed(failure_word(error, deadline))

        return look


def value_of(table: Table) -> Dict[str, Any]:
    """A table as a sample's value."""
    return {
        "present": bool(table.routes),
        "next_hops": sorted({hop for route in table.routes for hop in route.next_hops}),
        "origins": sorted({str(route.path[-1]) for route in table.routes if route.path}),
        "paths": sorted(f"{r.session}: {' '.join(map(str, r.path))}" for r in table.routes),
        "sessions": sorted(f"{name}: {state}" for name, state in table.sessions.items()),
        "up": sum(state == "Established" for state in table.sessions.values()),
    }


PROBE = Bgp()
