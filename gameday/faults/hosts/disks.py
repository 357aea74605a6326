# SPDX-License-Identifier: Apache-2.0
"""Block devices, file systems and io limits of a node, as fault kinds see them.

Devices go by their number, "8:16"; device-mapper volumes by their name, which unlike the
number is the same after a reboot.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Mapping, Optional, Protocol, Tuple


@dataclass(frozen=True)
class Mount:
    """One mounted file system, as this process sees it.

    Attributes:
        number: of the device; "0:..." where the file system is on none.
        root: which directory of the file system is mounted. point: where.
        fs_type: "ext4". source: as mounted, "/dev/vg/data".
        options: of this mount. super_options: of the file system, for all its mounts.
    """

    number: str
    root: str
    point: str
    fs_type: str
    source: str
    options: Tuple[str, ...]
    super_options: Tuple[str, ...]

    @property
    def read_only(self) -> bool:
        """Whether a program finds it read-only here."""
        return "ro" in self.options or "ro" in self.super_options


@dataclass(frozen=True)
class Space:
    """Bytes of a file system, as ``df`` counts them: ``available`` is what users may still take.

    Attributes:
        used, available: in bytes; their sum is what ``used_percent`` is a share of.
    """

    used: int
    available: int


@dataclass(frozen=True)
class Volume:
    """One device-mapper device.

    Attributes:
        name: without /dev/mapper. number: "253:0".
        table: its live table, one line per target as ``dmsetup table`` prints them.
        inactive: the table that waits for the next resume; empty where none does.
    """

    name: str
    number: str
    table: Tuple[str, ...]
    inactive: Tuple[str, ...]
    suspended: bool


class Mounts(Protocol):
    """Mounted file systems and files."""

    def mount_of(self, path: str) -> Mount:
        """The mount that holds ``path``; NodeError where there is no such path."""

    def mount_at(self, point: str) -> Optional[Mount]:
        """The mount at a mount point; ``None`` where there is none."""

    def set_mount_read_only(self, point: str, read_only: bool) -> None:
        """Remount; every other option stays. NodeError where the kernel refuses."""

    def writers(self, mount: Mount) -> Tuple[str, ...]:
        """Programs that have a file of this file system open for writing: "etcd (pid 12)"."""

    def health(self, path: str) -> Mapping[str, int]:
        """What only grows when a file system is in trouble: "errors", "read_only" (0 or 1)."""

    def space(self, path: str) -> Space:
        """How full the file system of ``path`` is."""

    def file_bytes(self, path: str) -> Optional[int]:
        """Size of a plain file; ``None`` where there is none."""

    def grow_file(self, path: str, size: int) -> int:
        """Make or extend a file towards ``size`` bytes, really taken; returns how far it came.

        One call takes no longer than about a second: call again until the size is reached.
        """

    def remove_file(self, path: str) -> bool:
        """Delete a file; ``False`` where there was none."""


class Blocks(Protocol):
    """Block devices."""

    def device_of(self, path: str) -> str:
        """The device under a path (itself one, or in a file system on one); NodeError if none."""

    def limited_devices(self, path: str, layer: str) -> Tuple[str, ...]:
        """Where the kernel takes io limits for a path: a "volume", or all "disks" below it."""

    def device_name(self, number: str) -> str:
        """The kernel's name of a device: "sda1"."""

    def is_block_device(self, path: str) -> bool:
        """Whether the path is a block device and not in a file system on one."""

    def device_read_only(self, number: str) -> bool:
        """Whether the kernel's read-only flag of the device is set; ``False`` if it is gone."""

    def set_device_read_only(self, number: str, read_only: bool) -> None:
        """Set or clear that flag."""

    def device_counters(self, number: str) -> Mapping[str, int]:
        """Completed "reads" and "writes" of a device since it is there."""

    def relied_on(self, number: str) -> Tuple[str, ...]:
        """Which of the paths that gameday itself needs stand on the device: "/", its ledger."""


class Volumes(Protocol):
    """Device-mapper volumes."""

    def volume_of(self, path: str) -> Volume:
        """The volume directly under a path; NodeError where that is not device-mapper."""

    def volume(self, name: str) -> Optional[Volume]:
        """A volume by name; ``None`` where there is none."""

    def swap_table(self, name: str, table: Tuple[str, ...]) -> None:
        """Replace the live table; where that fails the old one stays and is not suspended."""

    def clear_inactive(self, name: str) -> None:
        """Forget the table that waits for the next resume."""

    def resume(self, name: str) -> None:
        """Let a suspended volume go on."""


class Groups(Protocol):
    """io limits of control groups."""

    def io_group(self, unit: str, container: str, name: str, pid: int) -> str:
        """Directory of the one control group meant; exactly one argument is given.

        Raises NodeError where none or several are meant, where it is everybody's, where
        gameday itself runs in it, or where the kernel keeps no io limits for it.
        """

    def group_identity(self, group: str) -> int:
        """Another number once the group was made anew under its old name; 0 where it is gone."""

    def io_limits(self, group: str, number: str) -> Mapping[str, int]:
        """ "read_bps", "write_bps", "read_iops", "write_iops" of a device; 0: not limited."""

    def set_io_limits(self, group: str, number: str, limits: Mapping[str, int]) -> None:
        """Set those that are given (0: not limited); the others stay."""

    def limits_command(self, group: str, number: str, limits: Mapping[str, int]) -> str:
        """The command by which people do what ``set_io_limits`` does."""

    def io_counters(self, group: str, number: str) -> Mapping[str, int]:
        """Bytes and operations of the group on a device, from the kernel."""


class Disks(Mounts, Blocks, Volumes, Groups, Protocol):
    """Block devices, file systems and io limits of a node."""
