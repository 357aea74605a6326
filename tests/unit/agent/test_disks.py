# SPDX-License-Identifier: Apache-2.0
"""Reading what the kernel says about mounts, volumes and control groups."""

from __future__ import annotations

import pytest

from gameday.agent.system import disks_blocks, disks_groups, disks_mounts, disks_volumes
from gameday.errors import NodeError

MOUNTINFO = (
    "22 1 8:1 / / rw,relatime shared:1 - ext4 /dev/sda1 rw,errors=remount-ro\n"
    "30 22 253:0 /sub /srv/my\\040data rw,nosuid,nodev,noatime - xfs /dev/mapper/vg-a rw,lazytime\n"
    "31 22 0:44 / /tmp rw - tmpfs tmpfs rw,size=64k\n"
    "no mount at all\n"
)


def test_mountinfo() -> None:
    found = dict(disks_mounts.parse(MOUNTINFO))
    assert sorted(found) == [22, 30, 31]
    assert found[30].point == "/srv/my data"
    assert (found[30].number, found[30].root, found[30].fs_type) == ("253:0", "/sub", "xfs")
    assert found[30].source == "/dev/mapper/vg-a"
    assert not found[30].read_only
    assert found[22].super_options == ("rw", "errors=remount-ro")


def test_remount_is_given_every_option_but_read_only() -> None:
    found = dict(disks_mounts.parse(MOUNTINFO))
    relatime, strictatime = 1 << 21, 1 << 24
    assert disks_mounts.flags_of(found[22]) == relatime
    assert disks_mounts.flags_of(found[30]) == 2 | 4 | 1024 | 1 << 25
    assert disks_mounts.flags_of(found[31]) == strictatime


def test_dm_table_is_encoded_and_read_back() -> None:
    table = ("0 98304 delay 7:0 2048 20 7:0 2048 50", "98304 8 linear 7:1 0")
    data = disks_volumes.encode_table(table)
    assert len(data) % 8 == 0
    # What the kernel answers counts "next" from the first line; what it takes, from each.
    first = len(disks_volumes.encode_table(table[:1]))
    answered = bytearray(data)
    answered[first + 20 : first + 24] = len(data).to_bytes(4, "little")
    assert disks_volumes.decode_table(bytes(answered), 2) == table


def test_dm_header_is_as_long_as_the_kernels() -> None:
    assert disks_volumes.HEADER.size == 312
    assert disks_volumes.TARGET.size == 40


def test_io_max() -> None:
    text = "8:16 rbps=2097152 wbps=max riops=max wiops=120\n8:0 rbps=1 wbps=2 riops=3 wiops=4\n"
    found = disks_groups.parse_io_max(text, "8:16")
    assert found == {"read_bps": 2097152, "write_bps": 0, "read_iops": 0, "write_iops": 120}
    assert set(disks_groups.parse_io_max(text, "8:1").values()) == {0}


def test_io_stat() -> None:
    text = "8:16 rbytes=100 wbytes=200 rios=3 wios=4 dbytes=0 dios=0\n8:0 \n"
    wanted = {"read_bytes": 100, "write_bytes": 200, "reads": 3, "writes": 4}
    assert disks_groups.parse_io_stat(text, "8:16") == wanted
    assert disks_groups.parse_io_stat(text, "8:0") == {}


def test_device_stat() -> None:
    fields = ["10", "0", "80", "5", "20", "0", "160", "9", "0", "14", "14"]
    assert disks_blocks.parse_stat(fields) == {"reads": 10, "writes": 20}


ID = "0123456789abcdef" * 4


@pytest.mark.parametrize(
    ("name", "fits"),
    [
        (ID, True),
        (f"docker-{ID}.scope", True),
        (f"cri-containerd-{ID}.scope", True),
        (f"crio-{ID}.scope", True),
        (f"crio-conmon-{ID}.scope", False),
        (f"libpod-conmon-{ID}.scope", False),
        (f"libpod-{ID}.scope", True),
        (f"libpod-payload-{ID}", True),
        (f"docker-ff{ID}.scope", False),
        (f"docker-{ID}.scope.d", False),
        ("system.slice", False),
    ],
)
def test_container_names(name: str, fits: bool) -> None:
    assert disks_groups.container_matcher("0123456789ab")(name) is fits


def test_short_container_id_is_refused() -> None:
    with pytest.raises(NodeError, match="at least 8"):
        disks_groups.container_matcher("0123")
