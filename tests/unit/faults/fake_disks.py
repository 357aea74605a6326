# SPDX-License-Identifier: Apache-2.0
"""The part of ``FakeHost`` that stands for ``gameday.faults.hosts.disks``.

One node: a file system on the volume "data" at /data, and a disk "8:16" without one.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from dataclasses import replace

from gameday.errors import NodeError
from gameday.faults.hosts.disks import Mount, Space, Volume

GIB = 1 << 30
GROUP = "/sys/fs/cgroup/system.slice/etcd.service"
UNLIMITED = {"read_bps": 0, "write_bps": 0, "read_iops": 0, "write_iops": 0}


class FakeDisks:
    """In memory; ``mutate`` is called before every change and may crash."""

    def __init__(self, mutate: Callable[[], None]) -> None:
        self._mutate = mutate
        self.mounts = {
            "/": Mount("8:1", "/", "/", "ext4", "/dev/sda1", ("rw", "relatime"), ("rw",)),
            "/data": Mount("253:0", "/", "/data", "ext4", "/dev/mapper/data",
                           ("rw", "nosuid", "noatime"), ("rw", "errors=remount-ro")),
        }  # fmt: skip
        self.files: dict[str, int] = {}
        self.volumes = {
            "data": Volume("data", "253:0", ("0 204800 linear 8:16 2048",
                                             "204800 4096 linear 8:32 0"), (), False),
        }  # fmt: skip
        self.flags: dict[str, bool] = {"8:16": False}
        self.groups: dict[str, int] = {GROUP: 77}
        self.limits: dict[tuple[str, str], dict[str, int]] = {
            (GROUP, "253:0"): {**UNLIMITED, "read_iops": 900}
        }
        self.needed: dict[str, tuple[str, ...]] = {"8:1": ("/",)}
        self.open_for_writing: tuple[str, ...] = ()
        self.errors = {"errors": 0, "read_only": 0}
        self.step = 4 * GIB

    def state(self) -> object:
        """All that a lease may change, as plain data."""
        parts = (self.mounts, self.files, self.volumes, self.flags, self.limits)
        return copy.deepcopy(parts)

    def mount_of(self, path: str) -> Mount:
        point = max((p for p in self.mounts if path.startswith(p)), key=len)
        return self.mounts[point]

    def mount_at(self, point: str) -> Mount | None:
        return self.mounts.get(point)

    def set_mount_read_only(self, point: str, read_only: bool) -> None:
        self._mutate()
        mount = self.mounts[point]
        was, now = ("rw", "ro") if read_only else ("ro", "rw")
        self.mounts[point] = replace(
            mount,
            options=tuple(now if x == was else x for x in mount.options),
            super_options=tuple(now if x == was else x for x in mount.super_options),
        )

    def writers(self, mount: Mount) -> tuple[str, ...]:
        return self.open_for_writing

    def health(self, path: str) -> Mapping[str, int]:
        return dict(self.errors)

    def space(self, path: str) -> Space:
        used = 2 * GIB + sum(self.files.values())
        return Space(used, 10 * GIB - used)

    def file_bytes(self, path: str) -> int | None:
        return self.files.get(path)

    def grow_file(self, path: str, size: int) -> int:
        self._mutate()
        self.files[path] = min(size, self.files.get(path, 0) + self.step)
        return self.files[path]

    def remove_file(self, path: str) -> bool:
        return self.files.pop(path, None) is not None

    def device_of(self, path: str) -> str:
        return "8:16" if self.is_block_device(path) else self.mount_of(path).number

    def limited_devices(self, path: str, layer: str) -> tuple[str, ...]:
        return (self.device_of(path),)

    def device_name(self, number: str) -> str:
        return {"8:16": "sdb"}.get(number, "dm-0")

    def is_block_device(self, path: str) -> bool:
        return path == "/dev/sdb"

    def device_read_only(self, number: str) -> bool:
        return self.flags.get(number, False)

    def set_device_read_only(self, number: str, read_only: bool) -> None:
        self._mutate()
        self.flags[number] = read_only

    def device_counters(self, number: str) -> Mapping[str, int]:
        return {"reads": 1, "writes": 2}

    def relied_on(self, number: str) -> tuple[str, ...]:
        return self.needed.get(number, ())

    def volume_of(self, path: str) -> Volume:
        if self.device_of(path) != "253:0":
            raise NodeError(f"{path} is not on a device-mapper volume")
        return self.volumes["data"]

    def volume(self, name: str) -> Volume | None:
        return self.volumes.get(name)

    def swap_table(self, name: str, table: tuple[str, ...]) -> None:
        self._mutate()
        self.volumes[name] = replace(self.volumes[name], inactive=table)
        self._mutate()
        self.volumes[name] = replace(
            self.volumes[name], table=table, inactive=(), suspended=False
        )  # fmt: skip

    def clear_inactive(self, name: str) -> None:
        self._mutate()
        self.volumes[name] = replace(self.volumes[name], inactive=())

    def resume(self, name: str) -> None:
        self._mutate()
        self.volumes[name] = replace(self.volumes[name], suspended=False)

    def io_group(self, unit: str, container: str, name: str, pid: int) -> str:
        return GROUP

    def group_identity(self, group: str) -> int:
        return self.groups.get(group, 0)

    def io_limits(self, group: str, number: str) -> Mapping[str, int]:
        return dict(self.limits.get((group, number), UNLIMITED))

    def set_io_limits(self, group: str, number: str, limits: Mapping[str, int]) -> None:
        self._mutate()
        self.limits[group, number] = {**self.io_limits(group, number), **limits}

    def limits_command(self, group: str, number: str, limits: Mapping[str, int]) -> str:
        return f"echo '{number} {limits}' > '{group}/io.max'"

    def io_counters(self, group: str, number: str) -> Mapping[str, int]:
        return {"write_bytes": 4096}
