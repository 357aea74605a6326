# SPDX-License-Identifier: Apache-2.0
"""What the disk kinds refuse, and what they leave to others."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from gameday.clock import NS_PER_S
from gameday.errors import InvalidInput, NodeError
from gameday.faults import TABLE
from gameday.faults.base import Selector
from gameday.faults.disk_delay import DiskDelayParams
from gameday.faults.disk_throttle import BPS_MIN, DiskThrottleParams
from gameday.faults.disks import START_NS
from gameday.record.types import Lease
from tests.unit.faults.fake_disks import GIB, GROUP
from tests.unit.faults.fake_host import FakeHost

FILL = {"path": "/data", "used_percent": 90, "keep_free_mb": 64}
DELAY = {"path": "/data", "read_delay_ms": 20, "write_delay_ms": 50}
ERROR = {"path": "/data", "operations": "all", "up_s": 0, "down_s": 1}
READONLY = {"path": "/data", "means": "remount"}
THROTTLE = {"path": "/data", "layer": "volume", "limits": {"write_iops": 20},
            "unit": "etcd.service", "container": "", "name": "", "pid": 0}  # fmt: skip
FILE = "/data/gameday-1a2b3c4d.fill"


class Everybody:
    """An estate of two nodes, one of which must not be armed."""

    def select(self, selector: Selector) -> tuple[str, ...]:
        return ("a", "b") if selector.node else ()

    def can_arm(self, node: str) -> bool:
        return node == "a"


def lease(kind: str, spec: dict[str, Any]) -> Lease:
    fire = 1_010 * NS_PER_S
    return Lease("1a2b3c4d", "r", "n", "f", kind, spec, fire, fire + 30 * NS_PER_S)


def refused(kind: str, spec: dict[str, Any], host: FakeHost | None = None) -> str:
    with pytest.raises(NodeError) as error:
        TABLE[kind].before(lease(kind, spec), host or FakeHost())
    return str(error.value)


def test_throttle_wants_one_target_and_a_limit() -> None:
    nodes, estate = Selector(node=("a", "b")), Everybody()
    spread = TABLE["disk-throttle"].spread
    for wrong in (
        DiskThrottleParams(nodes, "/data", write_iops=5),
        DiskThrottleParams(nodes, "/data", unit="x", pid=4, write_iops=5),
        DiskThrottleParams(nodes, "/data", unit="x"),
        DiskThrottleParams(nodes, "/data", unit="x", read_bps=BPS_MIN - 1),
        DiskThrottleParams(Selector(), "/data", unit="x", read_iops=1),
    ):
        with pytest.raises(InvalidInput):
            spread(wrong, estate)
    specs = spread(DiskThrottleParams(nodes, "/data", unit="x", read_iops=1), estate)
    assert specs["a"]["limits"] == {"read_iops": 1}
    assert list(specs) == ["a"]


def test_delay_wants_a_delay() -> None:
    with pytest.raises(InvalidInput):
        TABLE["disk-delay"].spread(DiskDelayParams(Selector(node=("a",)), "/data"), Everybody())


def test_throttle_leaves_limits_that_somebody_else_set() -> None:
    host, fault, one = FakeHost(), TABLE["disk-throttle"], lease("disk-throttle", THROTTLE)
    before = fault.before(one, host)
    fault.drive(one, before, host, 0)
    host.disks.limits[GROUP, "253:0"]["write_iops"] = 7
    fault.drive(one, before, host, NS_PER_S)
    fault.drive(one, before, host, START_NS)
    assert host.disks.limits[GROUP, "253:0"]["write_iops"] == 7
    found = fault.observe(one, before, host)
    assert found.state == "absent"
    assert "write_iops of 253:0 to 7" in found.foreign_changed[0]
    assert fault.disarm(one, before, host) == []


def test_throttle_removed_by_hand_stays_removed_and_a_new_group_is_limited() -> None:
    host, fault, one = FakeHost(), TABLE["disk-throttle"], lease("disk-throttle", THROTTLE)
    before = fault.before(one, host)
    fault.drive(one, before, host, 0)
    del host.disks.limits[GROUP, "253:0"]
    fault.drive(one, before, host, START_NS)
    assert (GROUP, "253:0") not in host.disks.limits
    host.disks.groups[GROUP] = 78
    fault.drive(one, before, host, START_NS)
    assert fault.observe(one, before, host).state == "active"
    del host.disks.groups[GROUP], host.disks.limits[GROUP, "253:0"]
    fault.drive(one, before, host, START_NS)
    assert fault.observe(one, before, host).state == "absent"
    assert fault.disarm(one, before, host) == []


def test_throttle_that_would_not_slow_down_is_refused() -> None:
    spec = {**THROTTLE, "limits": {"read_iops": 900}}
    assert "would not slow it down" in refused("disk-throttle", spec)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"table": ("0 8 crypt aes 00 0 8:16 0",)}, "made by crypt"),
        ({"suspended": True}, "somebody is changing"),
        ({"inactive": ("0 8 linear 8:16 0",)}, "somebody is changing"),
    ],
)
def test_volumes_that_cannot_be_swapped(change: dict[str, Any], reason: str) -> None:
    host = FakeHost()
    host.disks.volumes["data"] = replace(host.disks.volumes["data"], **change)
    for kind, spec in (("disk-delay", DELAY), ("disk-error", ERROR)):
        said = refused(kind, spec, host)
        assert reason in said
        assert "aes" not in said, "a table may hold keys"


def test_volume_that_gameday_needs() -> None:
    host = FakeHost()
    host.disks.needed["253:0"] = ("/var/lib/gameday",)
    assert "gameday needs that" in refused("disk-error", ERROR, host)
    assert "at most 100 ms" in refused("disk-delay", {**DELAY, "write_delay_ms": 101}, host)
    TABLE["disk-delay"].before(lease("disk-delay", DELAY), host)
    assert "gameday" in refused("disk-readonly", READONLY, host)


def test_table_that_somebody_else_loaded_is_left_alone() -> None:
    host, fault, one = FakeHost(), TABLE["disk-delay"], lease("disk-delay", DELAY)
    before = fault.before(one, host)
    other = replace(host.disks.volumes["data"], table=("0 409600 linear 8:16 2048",))
    host.disks.volumes["data"] = other
    with pytest.raises(NodeError, match="somebody else"):
        fault.drive(one, before, host, 0)
    assert fault.disarm(one, before, host) == []
    assert host.disks.volumes["data"] == other
    assert fault.observe(one, before, host).foreign_changed


def test_features_that_newer_kernels_print_are_still_ours() -> None:
    host, fault, one = FakeHost(), TABLE["disk-error"], lease("disk-error", ERROR)
    was, before = host.state(), fault.before(one, host)
    fault.drive(one, before, host, 0)
    volume = host.disks.volumes["data"]
    printed = tuple(f"{line} 2 error_reads error_writes" for line in volume.table)
    host.disks.volumes["data"] = replace(volume, table=printed)
    assert fault.observe(one, before, host).state == "active"
    fault.disarm(one, before, host)
    assert host.state() == was


def test_file_system_that_met_errors_is_said() -> None:
    host, fault, one = FakeHost(), TABLE["disk-error"], lease("disk-error", ERROR)
    before = fault.before(one, host)
    host.disks.errors["errors"] = 3
    found = fault.observe(one, before, host)
    assert found.state == "absent"
    assert "met errors (errors 3)" in found.foreign_changed[0]


def test_read_only_refusals() -> None:
    host = FakeHost()
    assert "root file system" in refused("disk-readonly", {**READONLY, "path": "/usr"})
    assert "use means: device" in refused("disk-readonly", {**READONLY, "path": "/dev/sdb"})
    assert "goes on writing" in refused("disk-readonly", {**READONLY, "means": "device"})
    host.disks.open_for_writing = tuple(f"p{n} (pid {n})" for n in range(8))
    assert "p4 (pid 4) and 3 more" in refused("disk-readonly", READONLY, host)
    host.disks.set_mount_read_only("/data", True)
    assert "read-only already" in refused("disk-readonly", READONLY, host)
    host.disks.set_device_read_only("8:16", True)
    assert "read-only already" in refused(
        "disk-readonly", {"path": "/dev/sdb", "means": "device"}, host
    )


def test_read_only_waits_for_a_moment_without_open_files() -> None:
    host, fault = FakeHost(), TABLE["disk-readonly"]
    one = lease("disk-readonly", {**READONLY, "open_files": "wait"})
    host.disks.open_for_writing = ("etcd (pid 7)",)
    before = fault.before(one, host)
    again = fault.drive(one, before, host, 2 * NS_PER_S)
    assert again is not None and 2 * NS_PER_S < again < 3 * NS_PER_S
    assert fault.observe(one, before, host).state == "absent"
    host.disks.open_for_writing = ()
    assert fault.drive(one, before, host, again) is None
    assert fault.observe(one, before, host).state == "active"
    assert fault.disarm(one, before, host) == ["/data can be written again"]


def test_read_only_keeps_options_that_changed_meanwhile() -> None:
    host, fault, one = FakeHost(), TABLE["disk-readonly"], lease("disk-readonly", READONLY)
    before = fault.before(one, host)
    fault.drive(one, before, host, 0)
    mount = host.disks.mounts["/data"]
    host.disks.mounts["/data"] = replace(mount, options=(*mount.options, "noexec"))
    fault.disarm(one, before, host)
    assert host.disks.mounts["/data"].options == ("rw", "nosuid", "noatime", "noexec")
    assert "noexec" in fault.observe(one, before, host).foreign_changed[0]


def test_fill_never_goes_below_its_floor() -> None:
    assert "at most 99 %" in refused("disk-fill", {**FILL, "used_percent": 100})
    spec = {**FILL, "keep_free_mb": 4096}
    assert "at most 59 %" in refused("disk-fill", spec)
    assert "full already" in refused("disk-fill", {**FILL, "used_percent": 20})
    # Arming could not know that the file system would shrink.
    host, fault = FakeHost(), TABLE["disk-fill"]
    one = lease("disk-fill", {**spec, "used_percent": 50})
    before = fault.before(one, host)
    one = lease("disk-fill", spec)
    fault.drive(one, before, host, 0)
    free = host.disks.space("/data").available
    assert 4 * GIB <= free < 4 * GIB + GIB // 50


def test_fill_grows_piece_by_piece_and_is_not_made_again() -> None:
    host, fault, one = FakeHost(), TABLE["disk-fill"], lease("disk-fill", FILL)
    host.disks.step = GIB
    before = fault.before(one, host)
    calls, due = 0, fault.drive(one, before, host, 7)
    while due is not None:
        assert due == 7, "at once"
        calls, due = calls + 1, fault.drive(one, before, host, 7)
    assert calls >= 6
    host.disks.remove_file(FILE)
    assert fault.drive(one, before, host, START_NS) is None
    assert host.disks.file_bytes(FILE) is None, "somebody removed it by hand"


@pytest.mark.parametrize("kind", ["tmpfs", "nfs4", "fuse.sshfs"])
def test_fill_of_what_is_no_disk_of_this_node(kind: str) -> None:
    host = FakeHost()
    host.disks.mounts["/data"] = replace(host.disks.mounts["/data"], fs_type=kind)
    assert "in memory" in refused("disk-fill", FILL, host) or kind != "tmpfs"
    assert "/data is" in refused("disk-fill", FILL, host)


def test_fill_on_a_file_system_that_is_away_is_not_called_gone() -> None:
    host, fault, one = FakeHost(), TABLE["disk-fill"], lease("disk-fill", FILL)
    before = fault.before(one, host)
    fault.drive(one, before, host, 0)
    mount = host.disks.mounts.pop("/data")
    for act in (fault.disarm, fault.observe):
        with pytest.raises(NodeError, match="not mounted"):
            act(one, before, host)
    host.disks.mounts["/data"] = mount
    assert fault.disarm(one, before, host) == [f"{FILE} deleted"]
