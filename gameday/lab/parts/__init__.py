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
        services: for the node's init: {"name", "argv"}.
        packages: Debian packages it comes from.
    """

    files: dict[str, str] = field(default_factory=dict)
    services: list[dict[str, Any]] = field(default_factory=list)
    packages: tuple[str, ...] = ()


def service(name: str, *argv: str) -> dict[str, Any]:
    """A service of a node's init."""
    return {"name": name, "argv": list(argv)}
