# SPDX-License-Identifier: Apache-2.0
"""``disk-throttle`` in control groups made here, of both versions."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from gameday import clock
from tests.uml.inside import disks_kit as kit

CGROUP = "/sys/fs/cgroup"
TOP = f"{CGROUP}/gdtest.slice"
GROUP = f"{TOP}/db.service"
CONTAINER = f"{TOP}/docker-{'0123456789abcdef' * 4}.scope"

NOBODY = {"unit": "", "container": "", "name": "", "pid": 0}
SPEC = {"path": kit.DATA, "layer": "volume", "limits": {"write_iops": 20, "read_bps": 163_840},
        **NOBODY}  # fmt: skip

WORKER = """
import mmap, os, sys, time
for line in sys.stdin:
    path, what, count = line.split()
    page = mmap.mmap(-1, 4096)
    handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_DIRECT | os.O_DSYNC, 0o600)
    begun = time.perf_counter()
    for number in range(int(count)):
        if what == "write":
            os.pwrite(handle, page, number * 4096)
        else:
            os.preadv(handle, [page], number * 4096)
    sys.stdout.write("%d\\n" % round((time.perf_counter() - begun) * 1000))
    sys.stdout.flush()
    os.close(handle)
"""


class Worker:
    """A process that reads and writes in a control group of its own."""

    def __init__(self, group: str) -> None:
        os.makedirs(group, exist_ok=True)
        self.process = subprocess.Popen([sys.executable, "-c", WORKER], stdin=subprocess.PIPE,
                                        stdout=subprocess.PIPE, text=True)  # fmt: skip
        Path(group, "cgroup.procs").write_text(str(self.process.pid))

    def ms(self, what: str, count: int = 40) -> int:
        """Milliseconds that ``count`` operations take it."""
        to, back = self.process.stdin, self.process.stdout
        if to is None or back is None:
            raise RuntimeError("the worker has no pipes")
        to.write(f"{kit.DATA}/file {what} {count}\n")
        to.flush()
        return int(back.readline())


def throttled(
    group: str, limits: Callable[[], object], who: Callable[[int], dict[str, Any]]
) -> dict[str, Any]:
    """40 writes and 40 reads of a process in the group and of one beside it."""
    kit.mounted(kit.volume("data"))
    worker, other = Worker(group), Worker(f"{os.path.dirname(group)}/other.service")
    worker.ms("write")

    def look(one: Worker) -> dict[str, Any]:
        return {"limits": limits(), "writes": one.ms("write"), "reads": one.ms("read")}

    found: dict[str, Any] = {"before": look(worker)}
    lease = kit.Armed("disk-throttle", {**SPEC, **who(worker.process.pid)}, 20)
    found.update(active=lease.until_active(), during=look(worker), other=look(other))
    # Requests that wait when the window ends must go on at once.
    lease.wait(19)
    found.update(across=worker.ms("write", 60), over=lease.until_over(), after=look(worker))
    disks = kit.LEASES.host.disks
    found["layers"] = [disks.limited_devices(kit.DATA, name) for name in ("volume", "disks")]
    return found


@contextlib.contextmanager
def groups(*paths: str) -> Iterator[None]:
    """Those groups, removed with everything in them."""
    for path in paths:
        os.makedirs(path, exist_ok=True)
    try:
        yield
    finally:
        top = os.path.dirname(TOP) if paths[0].startswith(TOP) else os.path.dirname(paths[0])
        for directory, _, _ in os.walk(paths[0], topdown=False):
            for pid in Path(directory, "cgroup.procs").read_text().split():
                Path(top, "cgroup.procs").write_text(pid)
            os.rmdir(directory)


@kit.prepared
def second() -> dict[str, Any]:
    """cgroup v2, a unit; limits that were there stay."""
    kit.loop(4, 8)
    with groups(TOP, GROUP):
        Path(TOP, "cgroup.subtree_control").write_text("+io")
        Path(GROUP, "io.max").write_text("7:4 riops=500")
        limits = lambda: Path(GROUP, "io.max").read_text()  # noqa: E731
        return throttled(GROUP, limits, lambda _: {"unit": "db.service"})


@kit.prepared
def first() -> dict[str, Any]:
    """cgroup v1, a process; limits that were there stay.

    For a machine of its own: the kernel hands a controller over only before v2 has used it.
    """
    kit.loop(4, 8)
    Path(CGROUP, "cgroup.subtree_control").write_text("-io")
    kit.run("mount", "-t", "tmpfs", "tmpfs", "/mnt")
    os.mkdir("/mnt/blkio")
    kit.run("mount", "-t", "cgroup", "-o", "blkio", "cgroup", "/mnt/blkio")
    group = "/mnt/blkio/gdtest.slice/db.service"
    names = [f"blkio.throttle.{way}_{unit}_device" for way in ("read", "write")
             for unit in ("bps", "iops")]  # fmt: skip
    with groups("/mnt/blkio/gdtest.slice", group):
        Path(group, names[1]).write_text("7:4 500")
        limits = lambda: {name: Path(group, name).read_text() for name in names}  # noqa: E731
        return throttled(group, limits, lambda pid: {"pid": pid})


def _until_named(pid: int, name: str) -> None:
    """Popen may return before the new program is loaded: until then it has its parent's name."""
    deadline = clock.mono_ns() + 10 * clock.NS_PER_S
    while Path(f"/proc/{pid}/comm").read_text().strip() != name:
        if clock.mono_ns() > deadline:
            raise AssertionError(f"{pid} is not {name} yet")
        time.sleep(0.01)


@kit.prepared
def named() -> dict[str, Any]:
    """Who can be named, and who is refused with what reason."""
    spec = {**SPEC, "path": kit.loop(4, 8), "limits": {"write_iops": 20}}
    refused = lambda **who: kit.refusal("disk-throttle", {**spec, **who})  # noqa: E731
    with groups(TOP, GROUP, CONTAINER):
        found: dict[str, Any] = {"no controller": refused(unit="db.service")}
        found["controllers"] = Path(GROUP, "cgroup.controllers").read_text()
        Path(TOP, "cgroup.subtree_control").write_text("+io")
        kit.run("cp", "/usr/bin/sleep", f"{kit.HOME}/mydb")
        child = subprocess.Popen([f"{kit.HOME}/mydb", "600"])
        Path(CONTAINER, "cgroup.procs").write_text(str(child.pid))
        _until_named(child.pid, "mydb")
        group = kit.LEASES.host.disks.io_group
        found["groups"] = [group("db", "", "", 0), group("", "0123456789ab", "", 0),
                           group("", "", "mydb", 0), group("", "", "", child.pid)]  # fmt: skip
        Path(GROUP, "io.max").write_text("7:4 wiops=10")
        found["slower already"] = refused(unit="db.service")
        found["no unit"] = refused(unit="none.service")
        found["no process"] = refused(name="none")
        found["root"] = refused(pid=os.getpid())
        os.mkdir(f"{TOP}/agent.service")
        Path(TOP, "agent.service", "cgroup.procs").write_text(str(os.getpid()))
        found["itself"] = refused(unit="agent.service")
        Path(CGROUP, "cgroup.procs").write_text(str(os.getpid()))
        child.kill()
        child.wait()
        return found


@kit.prepared
def restarted() -> dict[str, Any]:
    """A service that is restarted in the window gets a new group; others' limits stay."""
    spec = {**SPEC, "path": kit.loop(4, 8), "limits": {"write_iops": 20}, "unit": "db.service"}
    limits = lambda: Path(GROUP, "io.max").read_text()  # noqa: E731
    with groups(TOP, GROUP):
        Path(TOP, "cgroup.subtree_control").write_text("+io")
        lease = kit.Armed("disk-throttle", spec, 60)
        lease.until_active()
        lease.wait(6)
        os.rmdir(GROUP)
        os.mkdir(GROUP)
        found: dict[str, Any] = {"gone": lease.seen(), "again": lease.until_active(),
                                 "limits": limits()}  # fmt: skip
        found.update(ended=lease.disarm(), after=limits())
        lease = kit.Armed("disk-throttle", spec, 60, "2a2b3c4d")
        lease.until_active()
        lease.wait(6)
        Path(GROUP, "io.max").write_text("7:4 wiops=33")
        found["foreign"] = {"ended": lease.disarm(), "limits": limits()}
        return found
