# SPDX-License-Identifier: Apache-2.0
"""``rtt-mesh``: the round trip from every site to every other. Nodes: Python 3.9 syntax."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Callable, Literal

from gameday.probes.base import Outcome, Schedule, Target
from gameday.probes.icmp import echo_look


@dataclass(frozen=True)
class RttMeshParams:
    """Parameters of ``rtt-mesh``.

    Attributes:
        family: IPv4 or IPv6.
    """

    family: Literal[4, 6] = 4


class RttMesh:
    """Echoes from one vantage of each site to one node of each other site."""

    kind = "rtt-mesh"
    Params: type = RttMeshParams
    summary = "ICMP round trips from one node of each site to one of each other site"
    fan_out = "mesh"
    listens = False

    def sampler(
        self, params: RttMeshParams, node: str, target: Target, schedule: Schedule
    ) -> Callable[[], Outcome]:
        """Each look is one echo; the plan gives addresses of the wanted family only."""
        return echo_look(target.addresses[0], schedule)


PROBE = RttMesh()
