# SPDX-License-Identifier: Apache-2.0
"""The lab's parts, one file each: configuration files and services of one node. Pure."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Part:
    """What one part adds to one node.

    Attributes:
        files: path below the node's /etc to content.
        services: for the node's init, as ``service`` makes them.
        packages: Debian packages it comes from.
        disks: directories that are file systems of their own.
        ip: lines for ``ip -batch``: addresses and routes beside those of every node.
        links: path below the node's directory to one below the lab's, of a file that the lab made
            once for all nodes (``Optional.prepare``).
    """

    files: dict[str, str] = field(default_factory=dict)
    services: list[dict[str, Any]] = field(default_factory=list)
    packages: tuple[str, ...] = ()
    disks: tuple[str, ...] = ()
    ip: tuple[str, ...] = ()
    links: dict[str, str] = field(default_factory=dict)


DATABASE_PASSWORD = {"gameday-lab/database.password": "gameday\n"}
"""For probes on the users' nodes; the lab has no way outside, so it is no secret."""

READY = "lab-ready"
"""File below a node's /run that appears once the estate behind the GSLB works."""


def service(name: str, *argv: str, after_ready: bool = False) -> dict[str, Any]:
    """A service of a node's init; ``after_ready``: not before the file ``READY`` is there."""
    return {"name": name, "argv": list(argv), "after": f"/run/{READY}" if after_ready else ""}
