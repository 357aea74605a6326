# SPDX-License-Identifier: Apache-2.0
"""The real ``Host`` of ``gameday.faults.hosts``: all that a fault kind may touch on a node."""

from __future__ import annotations

import os
from typing import Dict, Mapping, Optional, Sequence, Tuple

from gameday import clock
from gameday.agent.system import ipset, nftables
from gameday.agent.system.disks import RealDisks
from gameday.agent.system.iptables import Iptables
from gameday.agent.system.kube import RealKube
from gameday.agent.system.power import RealPower
from gameday.agent.system.processes import RealProcesses
from gameday.agent.system.traffic import RealTraffic
from gameday.errors import NodeError

ANCESTORS_MAX = 16
"""sshd, shell, sudo, python: a session is never deeper than this."""


class RealHost:
    """This node."""

    def __init__(self) -> None:
        self.iptables = Iptables()
        self.traffic = RealTraffic()
        self.disks = RealDisks()
        self.processes = RealProcesses()
        self.power = RealPower()
        self.kube = RealKube()

    def ipset_create(self, name: str, family: int, entries: Sequence[str], timeout_s: int) -> None:
        """See ``Host``."""
        ipset.create(name, family, entries, timeout_s)

    def ipset_destroy(self, name: str) -> bool:
        """See ``Host``."""
        return ipset.destroy(name)

    def ipset_names(self) -> Tuple[str, ...]:
        """See ``Host``."""
        return ipset.names()

    def rules(self, family: int) -> Mapping[str, Tuple[str, ...]]:
        """See ``Host``."""
        return self.iptables.saved(family)

    def restore(self, family: int, batch: str) -> None:
        """See ``Host``."""
        self.iptables.restore(family, batch)

    def rule_counters(self, family: int, lease_id: str) -> Mapping[str, int]:
        """See ``Host``."""
        return self.iptables.counters(family, lease_id)

    def drop_empty_chains(self, family: int, table: str, chains: Sequence[str]) -> None:
        """See ``Host``; the legacy back end has no chains of its own to remove."""
        if self.iptables.backend == "nft":
            nftables.drop_empty_chains(family, table, chains)

    def controller(self) -> Tuple[str, int]:
        """See ``Host``.

        Raises:
            NodeError: where this process was not started over SSH.
        """
        connection = ssh_connection(os.getpid())
        if connection is None:
            raise NodeError("no SSH connection among this process's ancestors; cannot exempt it")
        return connection

    def wall_ns(self) -> int:
        """See ``Host``."""
        return clock.wall_ns()

    def mono_ns(self) -> int:
        """See ``Host``."""
        return clock.mono_ns()


def ssh_connection(pid: int) -> Optional[Tuple[str, int]]:
    """(controller's address, our SSH port) of the session that ``pid`` descends from.

    ``sudo`` clears SSH_CONNECTION from our own environment, so the ancestors' are read.
    """
    for _ in range(ANCESTORS_MAX):
        found = _environment(pid).get("SSH_CONNECTION", "").split()
        if len(found) == 4:
            return found[0].split("%")[0], int(found[3])
        pid = _parent(pid)
        if pid <= 1:
            return None
    return None


def _environment(pid: int) -> Dict[str, str]:
    try:
        with open(f"/proc/{pid}/environ", "rb") as file:
            pairs = file.read().decode(errors="replace").split("\0")
    except OSError:
        # An ancestor that ended meanwhile tells nothing; the search goes on above it.
        return {}
    return dict(pair.split("=", 1) for pair in pairs if "=" in pair)


def _parent(pid: int) -> int:
    try:
        with open(f"/proc/{pid}/stat", encoding="utf-8", errors="replace") as file:
            return int(file.read().rsplit(")", 1)[1].split()[1])
    except OSError:
        return 0
