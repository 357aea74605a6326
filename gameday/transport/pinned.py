# SPDX-License-Identifier: Apache-2.0
"""What on this controller would keep gameday from connecting: keys and pinned host keys."""

from __future__ import annotations

import stat
from collections.abc import Iterable
from pathlib import Path

import paramiko

from gameday.transport.ssh import Address, Jump, known_as, pin

OTHERS = stat.S_IRWXG | stat.S_IRWXO


def not_pinned(addresses: Iterable[Address]) -> list[tuple[str, str, str]]:
    """(node, what, what to do) for every host key on the way to a node that is not pinned."""
    found = []
    for one in addresses:
        steps: list[Jump | Address] = [*one.jumps, one]
        for step in steps:
            name = known_as(step)
            if not _is_pinned(name, Path(one.known_hosts)):
                whose = "" if step is one else "jump host "
                what = f"no host key of {whose}{name} is pinned in {one.known_hosts}"
                todo = "add its line, from the console or another source that you trust"
                found.append((one.node, what, todo))
    return found


def open_keys(paths: Iterable[str]) -> list[tuple[str, str, str]]:
    """(key, what, what to do) for every private key that others on this host may read."""
    found = []
    for path in sorted(set(paths)):
        try:
            mode = Path(path).stat().st_mode
        except OSError:
            # That it is missing is said elsewhere.
            continue
        if mode & OTHERS:
            what = f"may be read by others (mode {stat.S_IMODE(mode):04o})"
            found.append((path, what, f"chmod 600 {path}"))
    return found


def _is_pinned(name: str, known_hosts: Path) -> bool:
    keys = paramiko.HostKeys()
    try:
        pin(keys, name, known_hosts)
    except OSError:
        # That the file is missing is said elsewhere.
        return True
    return keys.lookup(name) is not None
