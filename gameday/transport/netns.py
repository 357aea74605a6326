# SPDX-License-Identifier: Apache-2.0
"""Enter the network namespace that the controller shall work from, where there is one.

Bastions keep their management network in a namespace of its own often enough; the lab does
too. Only this process and the threads it starts later are moved.
"""

from __future__ import annotations

import ctypes
import os

from gameday.errors import CannotRun

CLONE_NEWNET = 0x40000000


def enter(path: str) -> None:
    """Move this thread into the network namespace at ``path``.

    Raises:
        CannotRun: where the namespace is not there, or we may not enter it.
    """
    try:
        handle = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError as error:
        raise CannotRun(
            f"the inventory's gameday_controller_netns {path} cannot be opened: {error.strerror}",
            "is the lab up (gameday lab up), and are you root?",
        ) from error
    try:
        libc = ctypes.CDLL(None, use_errno=True)
        if libc.setns(handle, CLONE_NEWNET) != 0:
            reason = os.strerror(ctypes.get_errno())
            raise CannotRun(f"cannot enter {path}: {reason}", "run gameday as root")
    finally:
        os.close(handle)
