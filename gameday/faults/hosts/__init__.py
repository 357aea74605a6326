# SPDX-License-Identifier: Apache-2.0
"""All that a fault kind may touch on a node: narrow interfaces, one file per field.

Real in ``gameday.agent.system``, faked in ``tests/unit/faults``. This package travels to
nodes: standard library only, Python 3.9 syntax.
"""

from __future__ import annotations

from typing import Protocol

from gameday.faults.hosts.disks import Disks
from gameday.faults.hosts.kube import Kube
from gameday.faults.hosts.netfilter import Netfilter
from gameday.faults.hosts.power import Power
from gameday.faults.hosts.processes import Processes
from gameday.faults.hosts.traffic import Traffic


class Host(Netfilter, Protocol):
    """One node."""

    @property
    def traffic(self) -> Traffic:
        """Queueing disciplines, routes."""

    @property
    def disks(self) -> Disks:
        """Block devices, file systems, io limits of cgroups."""

    @property
    def processes(self) -> Processes:
        """Processes, services, containers."""

    @property
    def power(self) -> Power:
        """Power of other machines by their BMCs, and of this one."""

    @property
    def kube(self) -> Kube:
        """API servers of Kubernetes clusters."""

    def wall_ns(self) -> int:
        """The node's wall clock."""

    def mono_ns(self) -> int:
        """The node's monotonic clock."""
