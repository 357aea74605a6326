# SPDX-License-Identifier: Apache-2.0
"""One run at a time on any node, as far as this user of this host can know.

A lock per node's address, kept by the kernel for as long as the process lives, so that none is
ever left behind. Another controller's run is noticed on the nodes themselves, at preflight.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import json
import os
from collections.abc import Iterable, Iterator
from pathlib import Path

from gameday.errors import CannotRun

SAID_BYTES_MAX = 4096


def state_directory() -> Path:
    """``$XDG_STATE_HOME/gameday``, or below ``~/.local/state``."""
    base = os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state"
    return Path(base).absolute() / "gameday"


def directory() -> Path:
    """Of locks, in our state."""
    return state_directory() / "locks"


@contextlib.contextmanager
def hold(hosts: Iterable[str], what: str) -> Iterator[None]:
    """Keep others away from these nodes.

    Args:
        hosts: addresses that the nodes are reached at. what: told to whoever comes meanwhile.

    Raises:
        CannotRun: where somebody has one of them, naming what they do.
    """
    place = directory()
    place.mkdir(mode=0o700, parents=True, exist_ok=True)
    said = json.dumps({"pid": os.getpid(), "what": what}).encode()[:SAID_BYTES_MAX]
    with contextlib.ExitStack() as stack:
        for host in sorted(set(hosts)):
            name = hashlib.sha256(host.encode()).hexdigest()[:32]
            file = stack.enter_context(open(place / name, "a+b", buffering=0))
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError as error:
                raise _busy(host, file.fileno()) from error
            file.truncate(0)
            file.write(said)
        yield


def _busy(host: str, fd: int) -> CannotRun:
    try:
        found = json.loads(os.pread(fd, SAID_BYTES_MAX, 0))
        who = f"{found['what']}, process {found['pid']}"
    except (ValueError, KeyError, OSError):
        # Whoever has it may not have written down yet what it does.
        who = "another run"
    return CannotRun(
        f"{host} is in use: {who}. Nothing was begun",
        "wait for its end, or stop it with Ctrl-C there; gameday status lists runs",
    )
