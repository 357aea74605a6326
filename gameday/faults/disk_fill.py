# SPDX-License-Identifier: Apache-2.0
"""``disk-fill``: a file system is full up to a level, by one file that carries the lease's id.

This module travels to nodes: standard library only, Python 3.9 syntax.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Dict, List, Mapping, Optional, Tuple

from gameday.errors import NodeError
from gameday.faults.base import Estate, Facts, ProcessKept, Selector
from gameday.faults.disks import ABSOLUTE, START_NS, on_each
from gameday.faults.hosts import Host
from gameday.faults.hosts.disks import Space
from gameday.record.types import Lease, Observation

MIB = 1 << 20

KEEP_FREE_MB_MIN = 64
"""MiB that stay free whatever is asked: ledger, journal and a login must still work."""

KEEP_FREE_MB_MAX = 10**9

BOOKKEEPING_SHARE = 512
"""A file system writes down where a file's blocks are: 1/1024 of them on ext3, less elsewhere.
Twice that is left for it, so that neither level nor floor is overstepped."""

IN_MEMORY = ("tmpfs", "ramfs", "devtmpfs", "hugetlbfs")
SHARED = (
    "nfs",
    "nfs4",
    "cifs",
    "smb3",
    "ceph",
    "9p",
    "afs",
    "glusterfs",
    "lustre",
    "gfs2",
    "ocfs2",
)
"""File systems of several machines: filling one hits nodes that hold no lease."""


@dataclass(frozen=True)
class DiskFillParams:
    """Parameters of ``disk-fill``.

    Attributes:
        nodes: those that get a lease.
        path: a directory in the file system; the file is made in it.
        used_percent: how full, as ``df`` shows it, when the fault starts.
        keep_free_mb: MiB that are left to ordinary users in any case; never less than 64.
    """

    nodes: Selector
    path: str = field(metadata=ABSOLUTE)
    used_percent: int = field(metadata={"ge": 1, "le": 100})
    keep_free_mb: int = field(
        default=KEEP_FREE_MB_MIN, metadata={"ge": KEEP_FREE_MB_MIN, "le": KEEP_FREE_MB_MAX}
    )


class DiskFill(ProcessKept):
    """A file that takes most of what is free."""

    kind = "disk-fill"
    Params: type = DiskFillParams
    summary = "a file system is filled up to a level, above a floor of free space"

    def spread(self, params: DiskFillParams, estate: Estate) -> Dict[str, Dict[str, Any]]:
        """The same level on every selected node."""
        spec = {"path": params.path, "used_percent": params.used_percent,
                "keep_free_mb": params.keep_free_mb}  # fmt: skip
        return on_each(params.nodes, spec, estate)

    def available(self, facts: Facts) -> Optional[str]:
        """On every kernel; what the path is on is looked at when arming."""
        return None

    def claims(self, spec: Mapping[str, Any]) -> Tuple[str, ...]:
        """The free space there."""
        return (f"free space of {spec['path']}",)

    def explain(self, lease: Lease) -> Tuple[List[str], List[str]]:
        """The file; its size follows from what is free at the start."""
        file = _file(lease)
        level = f"{lease.spec['used_percent']} %, at least {lease.spec['keep_free_mb']} MiB free"
        return [f"fallocate -l <to {level}> {file}"], [f"rm {file}"]

    def before(self, lease: Lease, host: Host) -> Dict[str, Any]:
        """Where the file will be, and how full it is there.

        Raises:
            NodeError: where the level is reached already or the floor forbids it, or the file
                system is in memory, shared with other machines or read-only.
        """
        path, file = lease.spec["path"], _file(lease)
        mount = host.disks.mount_of(path)
        kind = mount.fs_type
        if kind in IN_MEMORY:
            raise NodeError(f"{path} is in memory ({kind}): that would run out, and not a disk")
        if kind in SHARED or kind.startswith("fuse"):
            raise NodeError(f"{path} is shared with other machines ({kind})")
        if mount.read_only:
            raise NodeError(f"{mount.point}, which holds {path}, is read-only")
        if host.disks.file_bytes(file) is not None:
            raise NodeError(f"{file} is there already")
        space = host.disks.space(path)
        if _goal(lease, space, 0) <= 0:
            raise NodeError(f"{path} is {_percent(space)} % full already")
        if _goal(lease, space, 0) > _most(lease, space, 0):
            reach = 100 * (space.used + _most(lease, space, 0)) // (space.used + space.available)
            raise NodeError(
                f"{path} cannot be filled to {lease.spec['used_percent']} %, as "
                f"{_floor(lease) // MIB} MiB must stay free: at most {reach} % there"
            )
        return {"file": file, "point": mount.point, "fs_type": kind, "used": space.used,
                "available": space.available}  # fmt: skip

    def drive(
        self, lease: Lease, before: Mapping[str, Any], host: Host, since_ns: int
    ) -> Optional[int]:
        """Grow the file until the level or the floor is reached, a piece at a time."""
        _check_mounted(before, host)
        have = host.disks.file_bytes(before["file"])
        if have is None and since_ns >= START_NS:
            return None
        space = host.disks.space(lease.spec["path"])
        goal = min(_goal(lease, space, have or 0), _most(lease, space, have or 0))
        if goal <= (have or 0):
            return None
        # Asked again: in one call it comes only as far as the lease's lock may be held.
        now = host.disks.grow_file(before["file"], goal)
        return since_ns if now < goal else None

    def observe(self, lease: Lease, before: Mapping[str, Any], host: Host) -> Observation:
        """Active while the file is there.

        Raises:
            NodeError: where its file system is not mounted: it cannot be seen then.
        """
        _check_mounted(before, host)
        size = host.disks.file_bytes(before["file"])
        if size is None:
            return Observation("absent", (), {"file_bytes": 0}, ())
        space = host.disks.space(lease.spec["path"])
        counters = {"file_bytes": size, "available_bytes": space.available,
                    "used_percent": _percent(space)}  # fmt: skip
        file = before["file"]
        return Observation("active", (f"{file}: remove with `rm {file}`",), counters, ())

    def disarm(self, lease: Lease, before: Mapping[str, Any], host: Host) -> List[str]:
        """Delete the file, also after a reboot.

        Raises:
            NodeError: where its file system is not mounted: the file would come back with it.
        """
        _check_mounted(before, host)
        return [f"{before['file']} deleted"] if host.disks.remove_file(before["file"]) else []


def _file(lease: Lease) -> str:
    return f"{lease.spec['path'].rstrip('/')}/gameday-{lease.id}.fill"


def _floor(lease: Lease) -> int:
    return max(int(lease.spec["keep_free_mb"]), KEEP_FREE_MB_MIN) * MIB


def _goal(lease: Lease, space: Space, have: int) -> int:
    """Size of the file at which the level is reached, when it has ``have`` bytes now."""
    wanted = (space.used + space.available) * int(lease.spec["used_percent"]) // 100
    return have + _bare(wanted - space.used)


def _most(lease: Lease, space: Space, have: int) -> int:
    """Size of the file at which the floor is reached."""
    return have + _bare(space.available - _floor(lease))


def _bare(room: int) -> int:
    """How much a file may grow so that it and its bookkeeping take ``room`` bytes."""
    return room - max(room, 0) // BOOKKEEPING_SHARE


def _percent(space: Space) -> int:
    """As ``df`` does: rounded up."""
    return -(-100 * space.used // max(space.used + space.available, 1))


def _check_mounted(before: Mapping[str, Any], host: Host) -> None:
    mount = host.disks.mount_at(before["point"])
    if mount is None or mount.fs_type != before["fs_type"]:
        raise NodeError(
            f"{before['point']} is not mounted as it was; {before['file']} may be on it: "
            "mount it, then disarm again"
        )


FAULT = DiskFill()
