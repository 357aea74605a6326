# SPDX-License-Identifier: Apache-2.0
"""Block devices: what is under a path, through partitions, LVM, RAID and overlays."""

from __future__ import annotations

import errno
import fcntl
import os
import stat
import struct
import sys
from pathlib import Path
from typing import Dict, List, Mapping, Set, Tuple

from gameday.agent.ledger import HOME
from gameday.agent.system import disks_mounts
from gameday.errors import NodeError

SYS = Path("/sys/dev/block")

NO_DIRECTION = 0x2000_0000 if os.uname().machine.startswith(("ppc", "mips", "sparc")) else 0
"""How these architectures write "no argument is passed" into the number of an ioctl."""

BLKROSET = NO_DIRECTION | 0x125D
BLKROGET = NO_DIRECTION | 0x125E

LAYERS_MAX = 16
"""RAID under LVM under LUKS under a container's overlay is seven; more is a loop."""


def device_of(path: str) -> str:
    """See ``Blocks``."""
    return _device_of(path, LAYERS_MAX)


def is_block_device(path: str) -> bool:
    """See ``Blocks``."""
    return stat.S_ISBLK(_stat(path).st_mode)


def name(number: str) -> str:
    """See ``Blocks``."""
    return _directory(number).name


def limited_devices(path: str, layer: str) -> Tuple[str, ...]:
    """See ``Blocks``. The kernel refuses io limits of a partition: its whole disk has them."""
    number = device_of(path)
    if layer == "volume":
        return (whole(number),)
    found = [one for one in sorted(stack(number)) if not _slaves(one) and one == whole(one)]
    return tuple(found)


def whole(number: str) -> str:
    """The disk that a partition is part of; any other device is whole."""
    directory = _directory(number)
    if not (directory / "partition").exists():
        return number
    return (directory.parent / "dev").read_text(encoding="ascii").strip()


def stack(number: str) -> Set[str]:
    """The device and everything below it: disks of partitions, members of volumes and RAIDs."""
    found: Set[str] = set()
    todo = [number]
    while todo:
        one = todo.pop()
        if one not in found:
            found.add(one)
            todo += [whole(one), *_slaves(one)]
    return found


def read_only(number: str) -> bool:
    """See ``Blocks``."""
    try:
        return (SYS / number / "ro").read_text(encoding="ascii").strip() == "1"
    except FileNotFoundError:
        return False


def set_read_only(number: str, wanted: bool) -> None:
    """See ``Blocks``."""
    device = f"/dev/{name(number).replace('!', '/')}"
    try:
        handle = os.open(device, os.O_RDONLY | os.O_CLOEXEC)
        try:
            if os.fstat(handle).st_rdev != _encoded(number):
                raise NodeError(f"{device} is not the device {number}")
            fcntl.ioctl(handle, BLKROSET, struct.pack("i", int(wanted)))
        finally:
            os.close(handle)
    except OSError as error:
        raise NodeError(f"{device}: {error.strerror}") from error


def counters(number: str) -> Mapping[str, int]:
    """See ``Blocks``."""
    try:
        fields = (SYS / number / "stat").read_text(encoding="ascii").split()
    except FileNotFoundError:
        return {}
    return parse_stat(fields)


def parse_stat(fields: List[str]) -> Dict[str, int]:
    """Fields of a device's ``stat``: completed requests."""
    return {"reads": int(fields[0]), "writes": int(fields[4])}


def health(path: str) -> Mapping[str, int]:
    """See ``Mounts``. A file system that gave up may still call itself writable: ext4 counts."""
    if is_block_device(path):
        return {}
    mount = disks_mounts.mount_of(path)
    errors = 0
    try:
        os.statvfs(mount.point)
        counted = Path("/sys/fs", mount.fs_type, name(mount.number), "errors_count")
        errors = int(counted.read_text(encoding="ascii"))
    except NodeError:
        # On no block device: nothing counts there.
        pass
    except OSError as error:
        # xfs answers so once it has shut itself down; others have no such file.
        errors = int(error.errno == errno.EIO)
    return {"errors": errors, "read_only": int(mount.read_only)}


def relied_on(number: str) -> Tuple[str, ...]:
    """See ``Blocks``; programs count because undoing a fault may have to read them."""
    home = HOME
    while not home.exists():
        home = home.parent
    found = []
    for path in ("/", str(home), sys.executable, os.path.abspath(sys.argv[0])):
        if os.path.exists(path) and _stands_on(path, number):
            found.append(path)
    return tuple(found)


def _stands_on(path: str, number: str) -> bool:
    if disks_mounts.mount_of(path).number == number:
        return True
    try:
        return number in stack(device_of(path))
    except NodeError:
        # On no block device at all: memory, network, or a container's files.
        return False


def _device_of(path: str, depth: int) -> str:
    found = _stat(path)
    if stat.S_ISBLK(found.st_mode):
        return _number(found.st_rdev)
    if os.major(found.st_dev):
        return _number(found.st_dev)
    mount = disks_mounts.mount_of(path)
    upper = [x[9:] for x in mount.super_options if x.startswith("upperdir=")]
    if mount.fs_type == "overlay" and upper and depth:
        return _device_of(upper[0], depth - 1)
    if (
        mount.source.startswith("/dev/")
        and os.path.exists(mount.source)
        and is_block_device(mount.source)
    ):
        # btrfs and others number their file systems themselves, and name a member here.
        return _number(_stat(mount.source).st_rdev)
    raise NodeError(f"{path} is in a {mount.fs_type} file system, which is on no block device")


def _stat(path: str) -> os.stat_result:
    try:
        return os.stat(path)
    except OSError as error:
        raise NodeError(f"{path}: {error.strerror}") from error


def _number(device: int) -> str:
    return f"{os.major(device)}:{os.minor(device)}"


def _encoded(number: str) -> int:
    major, minor = (int(x) for x in number.split(":"))
    return os.makedev(major, minor)


def _directory(number: str) -> Path:
    link = SYS / number
    if not link.exists():
        raise NodeError(f"the kernel knows no block device {number}")
    return link.resolve()


def _slaves(number: str) -> List[str]:
    below = _directory(number) / "slaves"
    if not below.is_dir():
        return []
    return [(one / "dev").read_text(encoding="ascii").strip() for one in sorted(below.iterdir())]
