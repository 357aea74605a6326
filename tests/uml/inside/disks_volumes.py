# SPDX-License-Identifier: Apache-2.0
"""``disk-delay`` and ``disk-error`` on device-mapper volumes made here."""

from __future__ import annotations

import os
import signal
import time
from typing import Any

from gameday import clock
from gameday.agent import vigil
from gameday.clock import NS_PER_S
from tests.uml.inside import disks_kit as kit


@kit.prepared
def delay() -> dict[str, Any]:
    """Reads by 20 ms and writes by 50 ms on a mounted volume; the keeper is killed meanwhile."""
    kit.mounted(kit.volume("data"), "noatime", "nosuid")
    file = f"{kit.DATA}/file"
    kit.writes_ms(file, 40)

    def look(count: int) -> dict[str, Any]:
        times = {"writes": kit.writes_ms(file, count), "reads": kit.reads_ms(file, count)}
        return {**times, "table": kit.table(), "mount": kit.mount_line()}

    found: dict[str, Any] = {"before": look(40)}
    spec = {"path": kit.DATA, "read_delay_ms": 20, "write_delay_ms": 50}
    lease = kit.Armed("disk-delay", spec, 15)
    found["armed"] = {**lease.seen(), "table": kit.table()}
    found["active"] = lease.until_active()
    found["during"] = look(40)
    os.kill(vigil.process(str(kit.LEDGER.entries), lease.id, "keep") or 0, signal.SIGKILL)
    found["over"] = lease.until_over()
    found["after"] = {**look(40), "state": kit.state()}
    return found


@kit.prepared
def refused() -> dict[str, Any]:
    """Volumes and paths that cannot be delayed."""
    kit.mounted(kit.volume("data"))
    spec = {"path": kit.DATA, "read_delay_ms": 0, "write_delay_ms": 5}
    found = {"disk": kit.refusal("disk-delay", {**spec, "path": kit.loop(2, 8)}),
             "memory": kit.refusal("disk-delay", {**spec, "path": "/dev/shm"}),
             "nothing": kit.refusal("disk-delay", {**spec, "path": "/var/tmp/none"})}  # fmt: skip
    kit.run("dmsetup", "suspend", "--nolockfs", "data")
    found["suspended"] = kit.refusal("disk-delay", spec)
    kit.run("dmsetup", "resume", "data")
    kit.loop(3, 8)
    striped = kit.created("striped", "0 4096 striped 2 16 7:2 0 7:3 0\n")
    found["striped"] = kit.refusal("disk-delay", {**spec, "path": striped})
    kit.run("mount", "--bind", kit.DATA, "/var/lib/gameday")
    found["ledger, long"] = kit.refusal("disk-delay", {**spec, "write_delay_ms": 101})
    found["ledger, short"] = kit.refusal("disk-delay", spec)
    errors = {"path": kit.DATA, "operations": "all", "up_s": 0, "down_s": 1}
    found["ledger, errors"] = kit.refusal("disk-error", errors)
    kit.run("umount", "/var/lib/gameday")
    return found


@kit.prepared
def half_done() -> dict[str, Any]:
    """What a crash between suspend and resume leaves, and what an administrator changed."""
    kit.mounted(kit.volume("data"))
    was = kit.table()
    spec = {"path": kit.DATA, "read_delay_ms": 0, "write_delay_ms": 5}
    found: dict[str, Any] = {}
    for name, steps in (
        ("loaded", [["load"]]),
        ("suspended", [["suspend", "--nolockfs"]]),
        ("loaded and suspended", [["load"], ["suspend", "--nolockfs"]]),
        ("active and suspended", [["load"], ["resume"], ["suspend", "--nolockfs"]]),
    ):
        lease = kit.Armed("disk-delay", spec, 60)
        own = was.replace("linear", "delay").replace("7:0 2048", "7:0 2048 0 7:0 2048 5")
        own = own.replace("7:1 0", "7:1 0 0 7:1 0 5")
        for step in steps:
            kit.run("dmsetup", *step, "data", stdin=own if step == ["load"] else "")
        one = found[name] = {"seen": lease.seen(), "ended": lease.disarm()}
        one.update(twice=lease.disarm()["done"], same=kit.table() == was, state=kit.state())
    lease = kit.Armed("disk-delay", spec, 60)
    lease.until_active()
    other = was.replace("7:1 0", "7:1 8")
    kit.run("dmsetup", "load", "data", stdin=other)
    kit.run("dmsetup", "resume", "--noflush", "--nolockfs", "data")
    found["foreign"] = {"ended": lease.disarm(), "kept": kit.table() == other}
    return found


@kit.prepared
def errors() -> dict[str, Any]:
    """EIO on a volume without a file system: always, and half of the time for writes alone."""
    device = kit.volume("data")
    was = kit.table()

    def look() -> list[str]:
        return [kit.failure(lambda: kit.writes_ms(device, 1)),
                kit.failure(lambda: kit.reads_ms(device, 1))]  # fmt: skip

    spec = {"path": device, "operations": "all", "up_s": 0, "down_s": 1}
    lease = kit.Armed("disk-error", spec, 12)
    found: dict[str, Any] = {"before": look(), "active": lease.until_active(), "during": look()}
    found.update(over=lease.until_over(), after=look(), same=kit.table() == was)
    lease = kit.Armed("disk-error", {**spec, "operations": "writes", "up_s": 1}, 60, "2a2b3c4d")
    lease.until_active()
    seen = []
    until = clock.mono_ns() + 8 * NS_PER_S
    while clock.mono_ns() < until:
        seen.append(look())
        time.sleep(0.02)
    found["share"] = {"seen": seen, "ended": lease.disarm(), "same": kit.table() == was}
    return found


@kit.prepared
def errors_mounted() -> dict[str, Any]:
    """EIO under a file system that turns itself read-only: its own reaction outlives the fault."""
    device = kit.volume("data")
    kit.mounted(device, "errors=remount-ro")
    was = kit.table()
    handle = os.open(f"{kit.DATA}/file", os.O_RDWR | os.O_CREAT)
    spec = {"path": kit.DATA, "operations": "all", "up_s": 0, "down_s": 1}
    lease = kit.Armed("disk-error", spec, 60)
    lease.until_active()

    def write() -> None:
        os.truncate(handle, 100)
        os.fsync(handle)

    volume = kit.failure(lambda: kit.reads_ms(device, 1))
    during = [kit.failure(write) for _ in range(2)]
    os.close(handle)
    ended = lease.disarm()
    after = kit.failure(lambda: os.mkdir(f"{kit.DATA}/new"))
    same = kit.table() == was
    return {"volume": volume, "during": during, "ended": ended, "after": after, "same": same}
