# SPDX-License-Identifier: Apache-2.0
"""``disk-readonly`` and ``disk-fill`` on file systems made here."""

from __future__ import annotations

import os
import signal
import sys
import time
from pathlib import Path
from typing import Any

from gameday import clock
from gameday.agent import vigil
from gameday.errors import GamedayError
from tests.uml.inside import disks_kit as kit

REMOUNT = {"path": kit.DATA, "means": "remount"}
LEVEL = {"path": kit.DATA, "used_percent": 75, "keep_free_mb": 64}


@kit.prepared
def remount() -> dict[str, Any]:
    """EROFS within the window; every option back after it."""
    kit.mounted(kit.volume("data"), "noatime", "nosuid", "nodev", "commit=7")
    kit.run("mount", "--bind", kit.DATA, "/mnt")

    def look() -> dict[str, Any]:
        return {"mount": kit.mount_line(), "bind": kit.failure(Path("/mnt/y").touch),
                "write": kit.failure(lambda: Path(f"{kit.DATA}/x").write_text("x"))}  # fmt: skip

    found: dict[str, Any] = {"before": look()}
    lease = kit.Armed("disk-readonly", REMOUNT, 12)
    found.update(armed=look(), active=lease.until_active(), during=look())
    found.update(over=lease.until_over(), after=look())
    return found


@kit.prepared
def remount_busy() -> dict[str, Any]:
    """Files that are open for writing, when arming and at the start; what gameday needs."""
    kit.mounted(kit.volume("data"))
    was = kit.mount_line()
    with open(f"{kit.DATA}/held", "w", encoding="ascii"):
        found: dict[str, Any] = {"open": kit.refusal("disk-readonly", REMOUNT)}
    lease = kit.Armed("disk-readonly", REMOUNT, 60)
    with open(f"{kit.DATA}/held", "w", encoding="ascii"):
        while not kit.trouble(lease.id):
            time.sleep(kit.LOOK_S)
        found.update(noted=kit.trouble(lease.id), seen=lease.seen())
    found.update(active=lease.until_active(), ended=lease.disarm())
    found["same"] = kit.mount_line() == was
    for name, path in (("root", "/usr"), ("ledger", "/var/lib/gameday")):
        found[name] = kit.refusal("disk-readonly", {**REMOUNT, "path": path})
    found["device"] = kit.refusal("disk-readonly", {**REMOUNT, "means": "device"})
    return found


@kit.prepared
def device() -> dict[str, Any]:
    """The read-only flag of a device that is written without a file system."""
    path = kit.volume("data")

    def look() -> list[str]:
        return [kit.failure(lambda: kit.writes_ms(path, 1)),
                kit.run("blockdev", "--getro", path).strip()]  # fmt: skip

    lease = kit.Armed("disk-readonly", {"path": path, "means": "device"}, 12)
    return {"before": look(), "active": lease.until_active(), "during": look(),
            "over": lease.until_over(), "after": look()}  # fmt: skip


@kit.prepared
def fill() -> dict[str, Any]:
    """The level is reached, and all is free again afterwards; what is refused."""
    kit.mounted(kit.loop(0, 400))
    was = [kit.free_bytes(), sorted(os.listdir(kit.DATA))]
    lease = kit.Armed("disk-fill", LEVEL, 12)
    lease.until_active()
    time.sleep(2)
    found = {"was": was, "seen": lease.seen(), "free": kit.free_bytes(),
             "df": kit.run("df", "--output=pcent", kit.DATA).split()[-1],
             "over": lease.until_over(),
             "now": [kit.free_bytes(), sorted(os.listdir(kit.DATA))]}  # fmt: skip
    found["floor"] = kit.refusal("disk-fill", {**LEVEL, "used_percent": 99})
    found["memory"] = kit.refusal("disk-fill", {**LEVEL, "path": "/dev/shm"})
    kit.run("fallocate", "-l", "40M", f"{kit.DATA}/somebodys")
    found["full already"] = kit.refusal("disk-fill", {**LEVEL, "used_percent": 5})
    return found


@kit.prepared
def fill_reboot() -> dict[str, Any]:
    """What a reboot leaves: the file, an open receipt, and no guard."""
    device_path = kit.loop(0, 400)
    kit.mounted(device_path)
    lease = kit.Armed("disk-fill", LEVEL, 60)
    found: dict[str, Any] = {"active": lease.until_active()}
    entries = str(kit.LEDGER.entries)
    for role in ("reap", "keep", "sleeper"):
        if vigil.lives(entries, lease.id, role):
            os.kill(vigil.process(entries, lease.id, role) or 0, signal.SIGKILL)
    # No guard lives, the file is there, and the receipt is of another boot.
    entry = kit.LEDGER.entries / f"{lease.id}.json"
    entry.write_text(entry.read_text().replace(clock.boot_id(), "another-boot"))
    found["kept"] = os.listdir(kit.DATA)
    kit.run("umount", kit.DATA)
    try:
        lease.disarm()
    except GamedayError as error:
        found["unmounted"] = str(error)
    kit.run("mount", device_path, kit.DATA)
    kit.run(sys.executable, "-I", "-S", sys.argv[0], "boot")
    found.update(names=os.listdir(kit.DATA), open=kit.LEDGER.is_open(lease.id))
    return found


@kit.prepared
def fill_written() -> dict[str, Any]:
    """A file system that cannot reserve space; the effect is ended by hand, and stays ended."""
    kit.mounted(kit.loop(0, 200), kind="ext2")
    file = f"{kit.DATA}/gameday-1a2b3c4d.fill"
    lease = kit.Armed("disk-fill", {**LEVEL, "used_percent": 50}, 60)
    lease.until_active()
    lease.wait(8)
    found = {"seen": lease.seen(), "taken": os.stat(file).st_blocks * 512,
             "df": kit.run("df", "--output=pcent", kit.DATA).split()[-1]}  # fmt: skip
    os.unlink(file)
    time.sleep(2)
    found.update(names=os.listdir(kit.DATA), ended=lease.disarm())
    return found
