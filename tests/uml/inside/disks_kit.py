# SPDX-License-Identifier: Apache-2.0
"""What the disk jobs have in common: devices made here, leases armed as the agent arms them.

Disks are loop devices over files in memory; the guards of a lease are real processes, started
from the agent's own package.
"""

from __future__ import annotations

import errno
import mmap
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from gameday import clock
from gameday.agent.leases import Leases
from gameday.agent.ledger import Ledger
from gameday.agent.system.host import RealHost
from gameday.agent.unpack import unpack
from gameday.clock import NS_PER_MS, NS_PER_S
from gameday.errors import GamedayError
from gameday.transport.package import agent_package

MIB = 1 << 20
HOME = "/var/tmp/disks"
DATA = f"{HOME}/data"

LOOK_S = 0.05
"""Between looks at a lease: each takes this kernel's only processor from the lease's guards."""

AHEAD_S = (3, 8, 20)
"""Seconds from arming to the start, tried in turn: arming takes long where the machine is busy."""

LEDGER = Ledger()
LEASES = Leases(LEDGER, RealHost())


def prepared(job: Callable[[], dict[str, Any]]) -> Callable[[], dict[str, Any]]:
    """The job with the agent's package unpacked before it, and its devices removed after it."""

    def run_job() -> dict[str, Any]:
        os.makedirs(DATA)
        package = Path(HOME, "agent.pyz")
        package.write_bytes(agent_package().content)
        # Guards are started as whatever this process was started as.
        sys.argv[0] = str(unpack(str(package)))
        run(sys.executable, "-I", "-S", sys.argv[0], "prepare")
        try:
            return job()
        finally:
            clean()

    run_job.__doc__ = job.__doc__
    return run_job


def clean() -> None:
    """Remove mounts, volumes and loop devices: these outlive a job's namespaces."""
    for path in ("/mnt", "/var/lib/gameday", DATA):
        subprocess.run(["umount", "-l", path], check=False, capture_output=True)
    subprocess.run(["dmsetup", "remove_all", "--noudevsync"], check=False, capture_output=True)
    subprocess.run(["losetup", "-D"], check=False, capture_output=True)


def run(*argv: str, stdin: str = "") -> str:
    """Output of a program that must succeed."""
    done = subprocess.run(argv, input=stdin, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"{argv}: {done.stdout}{done.stderr}")
    return done.stdout


def loop(number: int, mib: int) -> str:
    """A loop device over a file in memory."""
    run("modprobe", "loop")
    run("truncate", "-s", f"{mib}M", f"{HOME}/disk{number}")
    run("losetup", f"/dev/loop{number}", f"{HOME}/disk{number}")
    return f"/dev/loop{number}"


def volume(name: str, mib: int = 64) -> str:
    """A device-mapper volume made of pieces of two loop devices; returns its device."""
    half = mib * MIB // 512 // 2
    loop(0, mib)
    loop(1, mib)
    return created(name, f"0 {half} linear 7:0 2048\n{half} {half} linear 7:1 0\n")


def created(name: str, table: str) -> str:
    """A device-mapper volume by that table; there is no udev here that would make its node."""
    for module in ("dm_mod", "dm_delay", "dm_flakey"):
        run("modprobe", module)
    run("dmsetup", "create", "--noudevsync", name, stdin=table)
    run("dmsetup", "mknodes", name)
    return f"/dev/mapper/{name}"


def table(name: str = "data") -> str:
    """Live table of a volume."""
    return run("dmsetup", "table", name)


def state(name: str = "data") -> list[str]:
    """State of a volume, and which tables it has: "ACTIVE", "LIVE"."""
    lines = run("dmsetup", "info", name).splitlines()
    return [x.split(":")[1].strip() for x in lines if x.startswith(("State:", "Tables present:"))]


def mounted(device: str, *options: str, kind: str = "ext4") -> None:
    """Make a file system and mount it at DATA."""
    run(f"mkfs.{kind}", "-q", device)
    run("mount", *(["-o", ",".join(options)] if options else []), device, DATA)


def mount_line() -> str:
    """The kernel's line about DATA."""
    lines = Path("/proc/self/mountinfo").read_text().splitlines()
    return next(line for line in lines if f" {DATA} " in line)


def free_bytes() -> int:
    """What ordinary users may still take of DATA."""
    found = os.statvfs(DATA)
    return found.f_bavail * found.f_frsize


def writes_ms(path: str, count: int) -> list[float]:
    """Milliseconds of each of ``count`` synchronous writes past the page cache."""
    flags = os.O_RDWR | os.O_CREAT | os.O_DIRECT | os.O_DSYNC
    return _each(path, flags, count, os.pwrite)


def reads_ms(path: str, count: int) -> list[float]:
    """The same for reads."""
    flags = os.O_RDONLY | os.O_DIRECT
    return _each(path, flags, count, lambda handle, page, at: os.preadv(handle, [page], at))


def _each(
    path: str, flags: int, count: int, act: Callable[[int, mmap.mmap, int], int]
) -> list[float]:
    page = mmap.mmap(-1, 4096)
    handle = os.open(path, flags, 0o600)
    found = []
    try:
        for number in range(count):
            begun = clock.mono_ns()
            act(handle, page, number * 4096)
            found.append(round((clock.mono_ns() - begun) / NS_PER_MS, 2))
    finally:
        os.close(handle)
    return found


def failure(act: Callable[[], object]) -> str:
    """Name of the error that an operation fails with; "" where it succeeds."""
    try:
        act()
    except OSError as error:
        return errno.errorcode[error.errno or 0]
    return ""


class Armed:
    """One lease, armed as the agent does it, with its guards as processes.

    Attributes:
        id: the lease's. fire, end: its window, wall clock.
    """

    def __init__(
        self, kind: str, spec: dict[str, Any], for_s: int, lease_id: str = "1a2b3c4d"
    ) -> None:
        self.id = lease_id
        self.fire = self.end = 0
        for ahead_s in AHEAD_S:
            try:
                self._arm(kind, spec, ahead_s, for_s)
                return
            except GamedayError as error:
                if "too late" not in str(error) or ahead_s == AHEAD_S[-1]:
                    raise

    def _arm(self, kind: str, spec: dict[str, Any], ahead_s: int, for_s: int) -> None:
        self.fire = (clock.wall_ns() // NS_PER_S + ahead_s) * NS_PER_S
        self.end = self.fire + for_s * NS_PER_S
        LEASES.arm({
            "id": self.id, "run": "r", "node": "n", "fault": "f", "kind": kind, "spec": spec,
            "fire_at_ns": self.fire, "expire_at_ns": self.end,
        })  # fmt: skip

    def seen(self) -> dict[str, Any]:
        """The lease's observation."""
        return LEASES.observe(self.id)

    def disarm(self) -> dict[str, Any]:
        """End it now."""
        return LEASES.disarm(self.id)

    def wait(self, after_start_s: float) -> None:
        """Sleep until that long after the window's start."""
        time.sleep(max(0.0, after_start_s + (self.fire - clock.wall_ns()) / NS_PER_S))

    def until_active(self) -> dict[str, Any]:
        """Wait for the effect; the observation, and how long after the start it was seen."""
        while True:
            found = self.seen()
            if found["state"] == "active" or clock.wall_ns() > self.end:
                return {**found, "late_ms": (clock.wall_ns() - self.fire) // NS_PER_MS}
            time.sleep(LOOK_S)

    def until_over(self) -> dict[str, Any]:
        """Wait until nothing is left; the observation, and how long after the end it was seen."""
        while True:
            found = self.seen()
            late = (clock.wall_ns() - self.end) // NS_PER_MS
            if late > 20_000 or (found["state"] == "absent" and not LEDGER.is_open(self.id)):
                return {**found, "late_ms": late, "trouble": trouble(self.id)}
            time.sleep(LOOK_S)


def trouble(lease_id: str) -> str:
    """The last trouble that a guard noted."""
    path = LEDGER.entries / f"{lease_id}.trouble.txt"
    return path.read_text() if path.exists() else ""


def refusal(kind: str, spec: dict[str, Any]) -> str:
    """Why a lease is refused; "" where it is not."""
    try:
        one = Armed(kind, spec, 2, "0badbad0")
    except GamedayError as error:
        return str(error)
    one.disarm()
    return ""
