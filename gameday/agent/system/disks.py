# SPDX-License-Identifier: Apache-2.0
"""The real ``Disks`` of ``gameday.faults.hosts.disks``."""

from __future__ import annotations

from typing import Mapping, Optional, Tuple

from gameday.agent.system import disks_blocks, disks_groups, disks_mounts, disks_volumes
from gameday.agent.system.command import Check
from gameday.faults.hosts.disks import Mount, Space, Volume

CHECKS: Tuple[Check, ...] = (
    Check("io-limits", disks_groups.check,
          "mount cgroup v2 with the io controller, or v1 with blkio"),
    Check("dm-delay", lambda: disks_volumes.check_target("delay"),
          "the kernel needs device-mapper with dm-delay (RHEL: kernel-modules-extra)"),
    Check("dm-flakey", lambda: disks_volumes.check_target("flakey"),
          "the kernel needs device-mapper with dm-flakey (RHEL: kernel-modules-extra)"),
)  # fmt: skip


class RealDisks:
    """This node."""

    def mount_of(self, path: str) -> Mount:
        """See ``Mounts``."""
        return disks_mounts.mount_of(path)

    def mount_at(self, point: str) -> Optional[Mount]:
        """See ``Mounts``."""
        return disks_mounts.mount_at(point)

    def set_mount_read_only(self, point: str, read_only: bool) -> None:
        """See ``Mounts``."""
        disks_mounts.set_read_only(point, read_only)

    def writers(self, mount: Mount) -> Tuple[str, ...]:
        """See ``Mounts``."""
        return disks_mounts.writers(mount)

    def health(self, path: str) -> Mapping[str, int]:
        """See ``Mounts``."""
        return disks_blocks.health(path)

    def space(self, path: str) -> Space:
        """See ``Mounts``."""
        return disks_mounts.space(path)

    def file_bytes(self, path: str) -> Optional[int]:
        """See ``Mounts``."""
        return disks_mounts.file_bytes(path)

    def grow_file(self, path: str, size: int) -> int:
        """See ``Mounts``."""
        return disks_mounts.grow_file(path, size)

    def remove_file(self, path: str) -> bool:
        """See ``Mounts``."""
        return disks_mounts.remove_file(path)

    def device_of(self, path: str) -> str:
        """See ``Blocks``."""
        return disks_blocks.device_of(path)

    def limited_devices(self, path: str, layer: str) -> Tuple[str, ...]:
        """See ``Blocks``."""
        return disks_blocks.limited_devices(path, layer)

    def device_name(self, number: str) -> str:
        """See ``Blocks``."""
        return disks_blocks.name(number)

    def is_block_device(self, path: str) -> bool:
        """See ``Blocks``."""
        return disks_blocks.is_block_device(path)

    def device_read_only(self, number: str) -> bool:
        """See ``Blocks``."""
        return disks_blocks.read_only(number)

    def set_device_read_only(self, number: str, read_only: bool) -> None:
        """See ``Blocks``."""
        disks_blocks.set_read_only(number, read_only)

    def device_counters(self, number: str) -> Mapping[str, int]:
        """See ``Blocks``."""
        return disks_blocks.counters(number)

    def relied_on(self, number: str) -> Tuple[str, ...]:
        """See ``Blocks``."""
        return disks_blocks.relied_on(number)

    def volume_of(self, path: str) -> Volume:
        """See ``Volumes``."""
        return disks_volumes.volume_of(path)

    def volume(self, name: str) -> Optional[Volume]:
        """See ``Volumes``."""
        return disks_volumes.volume(name)

    def swap_table(self, name: str, table: Tuple[str, ...]) -> None:
        """See ``Volumes``."""
        disks_volumes.swap_table(name, table)

    def clear_inactive(self, name: str) -> None:
        """See ``Volumes``."""
        disks_volumes.clear_inactive(name)

    def resume(self, name: str) -> None:
        """See ``Volumes``."""
        disks_volumes.resume(name)

    def io_group(self, unit: str, container: str, name: str, pid: int) -> str:
        """See ``Groups``."""
        return disks_groups.io_group(unit, container, name, pid)

    def group_identity(self, group: str) -> int:
        """See ``Groups``."""
        return disks_groups.identity(group)

    def io_limits(self, group: str, number: str) -> Mapping[str, int]:
        """See ``Groups``."""
        return disks_groups.limits(group, number)

    def set_io_limits(self, group: str, number: str, limits: Mapping[str, int]) -> None:
        """See ``Groups``."""
        disks_groups.set_limits(group, number, limits)

    def limits_command(self, group: str, number: str, limits: Mapping[str, int]) -> str:
        """See ``Groups``."""
        return disks_groups.command(group, number, limits)

    def io_counters(self, group: str, number: str) -> Mapping[str, int]:
        """See ``Groups``."""
        return disks_groups.counters(group, number)
