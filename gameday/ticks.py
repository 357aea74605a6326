# SPDX-License-Identifier: Apache-2.0
"""Reads wall and monotonic time, and imports nothing else: ``gameday.clock`` has the rest.

Processes that stay on a node through a fault import only this, because Python's own
``dataclasses`` and ``typing`` cost them 2 MB each. Everybody else imports ``gameday.clock``.

This module travels to nodes: standard library only, Python 3.9 syntax.
"""

from __future__ import annotations

import time

NS_PER_S = 1_000_000_000
NS_PER_MS = 1_000_000


def mono_ns() -> int:
    """This machine's monotonic clock, in nanoseconds."""
    return time.monotonic_ns()


def wall_ns() -> int:
    """This machine's wall clock (UTC since 1970), in nanoseconds."""
    return time.time_ns()


def boot_id() -> str:
    """The kernel's identity of this boot; monotonic stamps of two boots do not compare."""
    with open("/proc/sys/kernel/random/boot_id", encoding="ascii") as file:
        return file.read().strip()


def sleep_until_mono(deadline_ns: int) -> None:
    """Sleep until the monotonic clock shows ``deadline_ns``; returns at once if past."""
    while True:
        left = deadline_ns - mono_ns()
        if left <= 0:
            return
        time.sleep(left / NS_PER_S)
