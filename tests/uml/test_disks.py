# SPDX-License-Identifier: Apache-2.0
"""Disk faults, measured on another kernel: loop devices, device-mapper, ext4, both cgroups.

The guards run as they do on a node. How late they may be is measured elsewhere, on a machine
that is not busy; ``LATE_MS`` only tells an end by the keeper from none at all.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from statistics import median
from typing import Any

import pytest

from tests.uml.harness import Machine

LATE_MS = 5000
JOB_S = 150

VOLUMES, MOUNTS, GROUPS = "disks_volumes.py", "disks_mounts.py", "disks_groups.py"


@pytest.fixture
def untouched(tmp_path: Path) -> Iterator[Machine]:
    """A machine of its own, whose control groups nobody has used yet."""
    one = Machine(tmp_path / "machine")
    try:
        yield one
    finally:
        one.down()


def ended(over: dict[str, Any]) -> None:
    """The lease's own end: on time, nothing left, nobody else's change seen."""
    assert over["state"] == "absent"
    assert over["left"] == over["foreign_changed"] == []
    assert over["late_ms"] < LATE_MS, over


def test_delay_of_a_mounted_volume(machine: Machine) -> None:
    """Reads 20 ms and writes 50 ms slower, although the keeper is killed; then as before."""
    found = machine.run(VOLUMES, function="delay", timeout_s=JOB_S)
    before, during, after = found["before"], found["during"], found["after"]
    assert found["armed"]["state"] == "armed"
    assert found["armed"]["table"] == before["table"], "inert until its window"
    assert found["active"]["state"] == "active"
    assert " delay 7:0 2048 20 7:0 2048 50\n" in during["table"]
    assert median(before["reads"]) < 15
    assert median(before["writes"]) < 15
    assert min(during["reads"]) >= 20
    assert 20 <= median(during["reads"]) < 45, "one read each"
    assert min(during["writes"]) >= 100
    assert 100 <= median(during["writes"]) < 150, "each waits for its data and for a flush"
    assert median(after["reads"]) < 15
    assert median(after["writes"]) < 15
    ended(found["over"])
    assert (after["table"], after["mount"]) == (before["table"], before["mount"])
    assert after["state"] == ["ACTIVE", "LIVE"]


def test_delay_is_refused_with_a_reason(machine: Machine) -> None:
    """Where the volume is not device-mapper, not linear, in use by somebody, or gameday's."""
    found = machine.run(VOLUMES, function="refused", timeout_s=JOB_S)
    assert "not a device-mapper (LVM) volume" in found["disk"]
    assert "on no block device" in found["memory"]
    assert "No such file" in found["nothing"]
    assert "somebody is changing" in found["suspended"]
    assert "made by striped" in found["striped"]
    assert "at most 100 ms" in found["ledger, long"]
    assert not found["ledger, short"]
    assert "gameday needs that" in found["ledger, errors"]


def test_volume_is_never_left_suspended(machine: Machine) -> None:
    """Whatever part of the swap was done; somebody else's table is left alone."""
    found = machine.run(VOLUMES, function="half_done", timeout_s=JOB_S)
    foreign = found.pop("foreign")
    for name, one in found.items():
        assert one["seen"]["state"] == "foreign", name
        assert one["seen"]["left"], name
        assert one["ended"]["observation"]["state"] == "absent", name
        assert one["same"], name
        assert one["state"] == ["ACTIVE", "LIVE"], name
        assert one["twice"] == [], name
    assert foreign["kept"]
    assert "somebody else" in foreign["ended"]["observation"]["foreign_changed"][0]


def test_errors(machine: Machine) -> None:
    """Everything fails, or writes alone for half of the time."""
    found = machine.run(VOLUMES, function="errors", timeout_s=JOB_S)
    assert found["before"] == found["after"] == ["", ""]
    assert found["during"] == ["EIO", "EIO"]
    ended(found["over"])
    assert found["same"]
    writes = [one[0] for one in found["share"]["seen"]]
    assert 0.3 < writes.count("EIO") / len(writes) < 0.7
    assert all(one[1] == "" for one in found["share"]["seen"]), "reads never fail"
    assert found["share"]["same"]


def test_errors_under_a_file_system(machine: Machine) -> None:
    """What a file system does about errors outlives the fault, and is said."""
    found = machine.run(VOLUMES, function="errors_mounted", timeout_s=JOB_S)
    assert found["volume"] == "EIO"
    # The journal writes by itself: where it met the volume first, the file is read-only already.
    assert set(found["during"]) <= {"EIO", "EROFS"}
    assert found["same"]
    assert found["ended"]["observation"]["state"] == "absent"
    assert "met errors" in found["ended"]["observation"]["foreign_changed"][0]
    assert found["after"] in ("EIO", "EROFS")


def test_remount(machine: Machine) -> None:
    """Every mount of the file system is read-only, then every option is as before."""
    found = machine.run(MOUNTS, function="remount", timeout_s=JOB_S)
    assert found["before"] == found["armed"] == found["after"]
    assert found["before"]["write"] == found["before"]["bind"] == ""
    assert found["during"]["write"] == found["during"]["bind"] == "EROFS"
    wanted = found["before"]["mount"].replace(" rw,", " ro,")
    assert found["during"]["mount"] == wanted
    ended(found["over"])


def test_remount_of_a_busy_file_system(machine: Machine) -> None:
    """Refused with who holds it; one that got busy later becomes read-only once it can."""
    found = machine.run(MOUNTS, function="remount_busy", timeout_s=JOB_S)
    assert "open for writing: python" in found["open"]
    assert "busy" in found["noted"]
    assert "open for writing: python" in found["noted"]
    assert found["seen"]["state"] == "armed"
    assert found["active"]["state"] == "active"
    assert found["ended"]["observation"]["state"] == "absent"
    assert found["same"]
    assert "root file system" in found["root"]
    assert "gameday" in found["ledger"]
    assert "goes on writing" in found["device"]


def test_read_only_device(machine: Machine) -> None:
    """Programs that write to the device itself get EPERM."""
    found = machine.run(MOUNTS, function="device", timeout_s=JOB_S)
    assert found["before"] == found["after"] == ["", "0"]
    assert found["during"] == ["EPERM", "1"]
    ended(found["over"])


def test_fill(machine: Machine) -> None:
    """As full as asked, as ``df`` says it; then exactly as free as before."""
    found = machine.run(MOUNTS, function="fill", timeout_s=JOB_S)
    assert found["df"] == "75%"
    assert found["seen"]["counters"]["used_percent"] == 75
    assert found["free"] >= 64 << 20
    ended(found["over"])
    assert found["now"] == found["was"]
    assert "64 MiB must stay free: at most 8" in found["floor"]
    assert "in memory" in found["memory"]
    assert "full already" in found["full already"]


def test_fill_and_reboot(machine: Machine) -> None:
    """The file is still there, and goes; while its file system is away the lease stays open."""
    found = machine.run(MOUNTS, function="fill_reboot", timeout_s=JOB_S)
    assert "gameday-1a2b3c4d.fill" in found["kept"]
    assert "not mounted" in found["unmounted"]
    assert found["names"] == ["lost+found"]
    assert not found["open"]


def test_fill_where_space_cannot_be_reserved(machine: Machine) -> None:
    """Written instead; removed by hand it stays removed."""
    found = machine.run(MOUNTS, function="fill_written", timeout_s=JOB_S)
    assert found["df"] in ("50%", "51%")
    assert found["taken"] >= found["seen"]["counters"]["file_bytes"]
    assert found["names"] == ["lost+found"]
    assert found["ended"]["done"] == []


def throttled(found: dict[str, Any]) -> None:
    """40 writes at 20/s take 2 s at least, 40 reads of 4 KiB at 160 KiB/s about 1 s."""
    before, during, after = found["before"], found["during"], found["after"]
    assert before["writes"] < 500
    assert before["reads"] < 500
    assert 1900 <= during["writes"] < 6000
    assert 800 <= during["reads"] < 2500
    assert found["other"]["writes"] < 500, "the group beside it is not limited"
    assert found["other"]["reads"] < 500
    assert found["across"] < 3000, "requests that waited at the end went on at once"
    assert after["writes"] < 500
    assert after["reads"] < 500
    assert after["limits"] == before["limits"]
    assert before["limits"] != during["limits"]
    ended(found["over"])
    assert found["over"]["counters"]["writes"] > 40
    assert found["layers"] == [["254:0"], ["7:0", "7:1"]]


def test_throttle_in_cgroup_v2(machine: Machine) -> None:
    """A unit; a limit of another device stays."""
    found = machine.run(GROUPS, function="second", timeout_s=JOB_S)
    assert "254:0 rbps=163840 wbps=max riops=max wiops=20" in found["during"]["limits"]
    assert "7:4 rbps=max wbps=max riops=500 wiops=max" in found["during"]["limits"]
    throttled(found)


def test_throttle_in_cgroup_v1(untouched: Machine) -> None:
    """A process, through blkio."""
    found = untouched.run(GROUPS, function="first", timeout_s=JOB_S)
    limits = found["during"]["limits"]
    assert limits["blkio.throttle.write_iops_device"] == "254:0 20\n"
    assert limits["blkio.throttle.read_iops_device"] == "7:4 500\n"
    throttled(found)


def test_who_is_throttled(machine: Machine) -> None:
    """Unit, container, process and id find their group; nothing is switched on silently."""
    found = machine.run(GROUPS, function="named", timeout_s=JOB_S)
    assert [Path(one).name[:12] for one in found["groups"]] == ["db.service"] + ["docker-01234"] * 3
    assert "IOAccounting=yes" in found["no controller"]
    assert "+io" in found["no controller"]
    assert found["controllers"] == ""
    assert "would not slow it down" in found["slower already"]
    assert "none.service has no control group" in found["no unit"]
    assert "no process is named" in found["no process"]
    assert "root control group" in found["root"]
    assert "gameday itself" in found["itself"]


def test_throttle_of_a_restarted_service(machine: Machine) -> None:
    """Its new group is limited too; a limit that somebody else set is not touched."""
    found = machine.run(GROUPS, function="restarted", timeout_s=JOB_S)
    assert found["gone"]["state"] != "active"
    assert found["again"]["state"] == "active"
    assert found["limits"] == "7:4 rbps=max wbps=max riops=max wiops=20\n"
    assert found["ended"]["observation"]["state"] == "absent"
    assert found["after"] == ""
    assert found["foreign"]["limits"] == "7:4 rbps=max wbps=max riops=max wiops=33\n"
    assert "somebody else" in found["foreign"]["ended"]["observation"]["foreign_changed"][0]
