# SPDX-License-Identifier: Apache-2.0
"""Processes, services and containers of a node, as fault kinds see them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Dict, Mapping, Optional, Protocol, Tuple

STOPPED = ("T", "t")
"""States of ``/proc/<pid>/stat`` in which a process was stopped by a signal or a tracer."""


@dataclass(frozen=True)
class Process:
    """One living process.

    Attributes:
        pid: its number. start: ticks after boot at which it began; with the number it names
            one process for ever, since numbers are used again.
        parent: its parent's number. state: letter of ``/proc/<pid>/stat``. name: its comm.
    """

    pid: int
    start: int
    parent: int
    state: str
    name: str

    @property
    def stopped(self) -> bool:
        """Whether a signal holds it."""
        return self.state in STOPPED


@dataclass(frozen=True)
class Unit:
    """One systemd unit.

    Attributes:
        active: ActiveState. file_state: UnitFileState ("enabled", "masked-runtime", ...).
        fragment: path of its file.
        dependents: active units that systemd stops together with it.
    """

    active: str
    file_state: str
    fragment: str
    dependents: Tuple[str, ...] = ()

    @property
    def runs(self) -> bool:
        """Whether it is up, or a start is under way."""
        return self.active in ("active", "activating", "reloading")


class Processes(Protocol):
    """Processes, services and containers; ``by`` is "unit", "container" or "name"."""

    def find(self, by: str, what: str) -> Tuple[Process, ...]:
        """Living processes of a unit, of a container (prefix of its id), or of an exact name.

        Raises NodeError where there is no systemd, no such unit, or a prefix fits several.
        """

    def protected(self) -> Mapping[Process, str]:
        """Processes that no lease may touch, each with the reason."""

    def look(self, pid: int, start: int) -> Optional[Process]:
        """That very process, or ``None`` where it has ended."""

    def signal(self, pid: int, start: int, name: str) -> bool:
        """Send "STOP", "CONT" or "KILL" to that very process; ``False`` where it has ended."""

    def freezer(self, by: str, what: str) -> str:
        """Directory of the cgroup that can be frozen as a whole; "" where there is none."""

    def frozen(self, path: str) -> str:
        """ "frozen", "freezing", "thawed", or "gone" where the cgroup is no more."""

    def freeze(self, path: str, on: bool) -> None:
        """Freeze or thaw a cgroup, and wait a moment until the kernel says so."""

    def pod(self, container: str) -> str:
        """The cgroup that a container shares with its replacements; "" where there is none."""

    def containers(self, pod: str) -> int:
        """How many containers in a pod's cgroup have a living process."""

    def unit(self, unit: str) -> Optional[Unit]:
        """What systemd says of a unit; ``None`` where it knows none of that name.

        Raises NodeError where systemd is not process 1.
        """

    def systemctl(self, verb: str, unit: str) -> None:
        """Ask systemd to "start", "stop", "mask" or "unmask" (until reboot) a unit; never waits
        for the unit itself."""

    def keep(self, lease_id: str, note: Mapping[str, Any]) -> None:
        """Put on disk what a lease is about to do; returns when it is there to stay."""

    def noted(self) -> Tuple[str, ...]:
        """Ids of leases of which there is a note."""

    def kept(self, lease_id: str, across_boots: bool = False) -> Optional[Dict[str, Any]]:
        """The note of a lease, if it was written since the node booted, or at all.

        It is dropped together with the receipt.
        """
