# SPDX-License-Identifier: Apache-2.0
"""Routers in user-mode-linux get the host's wall clock.

Until its own clock source is there, early in its boot, that kernel counts time in ticks, and on a
busy machine it misses some: it boots seconds behind and stays as far behind. It does not follow
later steps of the host's clock either. Leases are kept by the wall clock, so gameday rightly
refuses nodes that are half a second off. Where routers are namespaces there is nothing to do.
"""

from __future__ import annotations

import shlex
import subprocess
import threading
from collections.abc import Iterable
from typing import TYPE_CHECKING

from gameday import clock
from gameday.errors import CannotRun
from gameday.lab import topology as t

if TYPE_CHECKING:
    from gameday.lab.lab import Lab

EXCHANGES = 5
OFF_NS_MAX = 50 * clock.NS_PER_MS
"""Nearer than this, or than an answer tells on a busy machine, it is left alone."""

TIMEOUT_S = 60
PROGRAM = """\
import sys, time
with open("/proc/cpuinfo") as file:
    if "User Mode Linux" not in file.read():
        sys.exit("this is not user-mode-linux: its clock is the machine's own")
wall = time.CLOCK_REALTIME
for line in iter(sys.stdin.readline, ""):
    if int(line):
        time.clock_settime_ns(wall, time.clock_gettime_ns(wall) + int(line))
    sys.stdout.write(f"{time.clock_gettime_ns(wall)}\\n")
    sys.stdout.flush()
"""
"""Runs on a router: steps its clock by each line's nanoseconds, and says what it is then."""


def offset_ns(exchanges: Iterable[tuple[int, int, int]]) -> tuple[int, int]:
    """How far a clock is ahead of ours, by the quickest of (sent, theirs, received), and by how
    much that may be wrong."""
    sent, theirs, received = min(exchanges, key=lambda one: one[2] - one[0])
    return theirs - (sent + received) // 2, (received - sent) // 2


def keep(lab: Lab) -> str:
    """Step the routers' clock where it is off; they share one. Says what was done, if anything.

    Raises:
        CannotRun: where it cannot be read, or stays off.
    """
    process = subprocess.Popen(_argv(lab), stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                               stderr=subprocess.PIPE, text=True)  # fmt: skip
    watchdog = threading.Timer(TIMEOUT_S, process.kill)
    watchdog.start()
    try:
        off, error = _read(process, 0)
        if abs(off) <= OFF_NS_MAX + error:
            return ""
        left, error = _read(process, -off)
        if abs(left) > OFF_NS_MAX + 2 * error:
            raise CannotRun(f"the routers' clock stays {left / clock.NS_PER_S:.3f} s off")
        return f"the routers' clock was {off / clock.NS_PER_S:.3f} s off and was stepped"
    finally:
        watchdog.cancel()
        process.kill()
        process.communicate()


def _argv(lab: Lab) -> list[str]:
    return [
        "nsenter", f"--net={lab.state}/ctl.netns", "ssh", "-F", "none", "-i",
        f"{lab.state}/id_ed25519", "-o", f"UserKnownHostsFile={lab.state}/known_hosts",
        "-o", "BatchMode=yes", "-o", "IdentitiesOnly=yes",
        f"gameday@{t.router_management(t.SITES[0])}",
        f"sudo -n /usr/bin/python3 -I -S -c {shlex.quote(PROGRAM)}",
    ]  # fmt: skip


def _read(process: subprocess.Popen[str], step_ns: int) -> tuple[int, int]:
    """Step the clock, then read it a few times; as ``offset_ns``."""
    if process.stdin is None or process.stdout is None:
        raise CannotRun("the routers' clock cannot be read")
    found = []
    for ahead in (step_ns, *(0,) * EXCHANGES):
        sent = clock.wall_ns()
        try:
            process.stdin.write(f"{ahead}\n")
            process.stdin.flush()
            theirs = int(process.stdout.readline())
        except (OSError, ValueError) as error:
            process.kill()
            _, said = process.communicate()
            raise CannotRun(f"the routers' clock cannot be read: {said.strip()[-300:]}") from error
        found.append((sent, theirs, clock.wall_ns()))
    # The first answer waited for the login, and for the step.
    return offset_ns(found[1:])
