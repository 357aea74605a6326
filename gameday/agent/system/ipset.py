# SPDX-License-Identifier: Apache-2.0
"""ipsets over netlink. pyroute2 is imported on first use: it costs 0.1 s and 14 MB."""

from __future__ import annotations

import errno
import socket
from typing import Any, Sequence, Tuple

from gameday.errors import NodeError


def _open() -> Any:
    from pyroute2.ipset import IPSet

    return IPSet()


def _check(error: Exception) -> NodeError:
    return NodeError(f"ipset over netlink failed: {error}")


def names() -> Tuple[str, ...]:
    """Names of all sets of this network namespace."""
    from pyroute2.netlink.exceptions import NetlinkError

    with _open() as sets:
        try:
            return tuple(sorted(m.get_attr("IPSET_ATTR_SETNAME") for m in sets.list()))
        except NetlinkError as error:
            if error.code == errno.EINVAL:
                # What netfilter says of a subsystem that this kernel has not got: no sets, then.
                return ()
            raise _check(error) from error


def create(name: str, family: int, entries: Sequence[str], timeout_s: int) -> None:
    """Make a ``hash:net`` set; its entries vanish after ``timeout_s`` (0: they stay)."""
    from pyroute2.netlink.exceptions import NetlinkError

    inet = socket.AF_INET if family == 4 else socket.AF_INET6
    with _open() as sets:
        try:
            extra = {"timeout": 0} if timeout_s else {}
            sets.create(name, stype="hash:net", family=inet, **extra)
            for entry in entries:
                sets.add(
                    name,
                    entry,
                    family=inet,
                    etype="net",
                    **({"timeout": timeout_s} if timeout_s else {}),
                )
        except NetlinkError as error:
            raise _check(error) from error


def destroy(name: str) -> bool:
    """Remove a set; ``False`` where there was none of that name."""
    from pyroute2.netlink.exceptions import NetlinkError

    with _open() as sets:
        try:
            sets.destroy(name)
        except NetlinkError as error:
            if error.code == errno.ENOENT:
                return False
            raise _check(error) from error
    return True
