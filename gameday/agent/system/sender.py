# SPDX-License-Identifier: Apache-2.0
"""UDP to nobody in particular, counted: what fills a path in ``saturate``'s second form."""

from __future__ import annotations

import os
import socket
from pathlib import Path
from typing import Dict, Optional, Tuple

RUN = Path("/run/gameday")
"""In memory: a reboot ends the traffic, and its counter goes with it."""

_open: Dict[str, Tuple[socket.socket, int]] = {}
"""Sockets of this process by lease, with what each has sent."""


def counter(lease_id: str) -> Path:
    """File that holds how many packets a lease has sent."""
    return RUN / f"{lease_id}.sent"


def send(lease_id: str, address: str, port: int, size: int, count: int) -> None:
    """Send ``count`` packets of ``size`` bytes at once; what the kernel has no room for is lost."""
    if lease_id not in _open:
        family = socket.AF_INET6 if ":" in address else socket.AF_INET
        one = socket.socket(family, socket.SOCK_DGRAM)
        one.setblocking(False)
        one.connect((address, port))
        _open[lease_id] = (one, sent(lease_id) or 0)
    one, total = _open[lease_id]
    payload = bytes(size)
    for _ in range(count):
        try:
            one.send(payload)
            total += 1
        except OSError:
            # A full queue, or an ICMP refusal of the packet before: neither ends the flood.
            continue
    _open[lease_id] = (one, total)
    RUN.mkdir(mode=0o700, exist_ok=True)
    draft = counter(lease_id).with_suffix(".draft")
    draft.write_text(str(total), encoding="ascii")
    os.replace(draft, counter(lease_id))


def sent(lease_id: str) -> Optional[int]:
    """Packets sent for a lease; ``None`` where nothing was."""
    try:
        return int(counter(lease_id).read_text(encoding="ascii"))
    except OSError:
        return None


def end(lease_id: str) -> bool:
    """Remove the counter; the sender is the keeper, which ends with its lease."""
    found = counter(lease_id).exists()
    counter(lease_id).unlink(missing_ok=True)
    _open.pop(lease_id, None)
    return found
