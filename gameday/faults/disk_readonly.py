# SPDX-License-Identifier: Apache-2.0
"""``disk-readonly``: nothing can be written any more.

Two means. ``remount`` makes a file system read-only (EROFS) for every mount of it; the kernel
refuses that while a file is open for writing, and then nobody can do it without breaking the
file system for good: a lease may wait for a moment without, as when a service restarts.
``device`` sets the read-only flag of a block device: programs that write to the device itself get
EPERM, but a mounted file system goes on writing, so it is offered only for devices.

This module travels to nodes: standard library only, Python 3.9 syntax.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Dict, List, Literal, Mapping, Optional, Tuple

from gameday.clock import NS_PER_MS
from gameday.errors import InvalidInput, NodeError
from gameday.faults.base import Estate, Facts, ProcessKept, Selector
from gameday.faults.disks import ABSOLUTE, on_each
from gameday.faults.hosts import Host
from gameday.record.types import Lease, Observation

BUSY_RETRY_NS = 100 * NS_PER_MS
"""A service that restarts leaves its files alone for about that long; systemd's RestartSec."""

WRITERS_SHOWN = 5
"""Enough to know what to do; a busy disk has hundreds."""


@dataclass(frozen=True)
class DiskReadonlyParams:
    """Parameters of ``disk-readonly``.

    Attributes:
        nodes: those that get a lease.
        path: a directory or file in the file system; for ``device`` a block device.
        means: "remount" the file system, or set the read-only flag of a "device" that
            programs write to without a file system.
        open_files: of a remount, what to do while files are open for writing: "refuse" the
            lease, or "wait" inside the window for the first moment without.
    """

    nodes: Selector
    path: str = field(metadata=ABSOLUTE)
    means: Literal["remount", "device"] = "remount"
    open_files: Literal["refuse", "wait"] = "refuse"


class DiskReadonly(ProcessKept):
    """A file system or a device that refuses writes."""

    kind = "disk-readonly"
    Params: type = DiskReadonlyParams
    summary = "a file system or a block device refuses every write"

    def spread(self, params: DiskReadonlyParams, estate: Estate) -> Dict[str, Dict[str, Any]]:
        """The same path on every selected node.

        Raises:
            InvalidInput: where a device is to wait, or no node can be armed.
        """
        waits = params.open_files == "wait"
        if waits and params.means == "device":
            raise InvalidInput(
                "open_files: wait is for means: remount; a device's flag needs no wait",
                "leave out open_files",
            )
        spec = {"path": params.path, "means": params.means}
        return on_each(params.nodes, {**spec, "open_files": "wait"} if waits else spec, estate)

    def available(self, facts: Facts) -> Optional[str]:
        """On every kernel; what the path is on is looked at when arming."""
        return None

    def claims(self, spec: Mapping[str, Any]) -> Tuple[str, ...]:
        """Whether the path can be written."""
        return (f"writability of {spec['path']}",)

    def explain(self, lease: Lease) -> Tuple[List[str], List[str]]:
        """The commands that do the same."""
        path = lease.spec["path"]
        if lease.spec["means"] == "device":
            return [f"blockdev --setro {path}"], [f"blockdev --setrw {path}"]
        mount = f"<mount of {path}>"
        if _waits(lease):
            first = f"wait until no file below {mount} is open for writing"
            return [first, f"mount -o remount,ro {mount}"], [f"mount -o remount,rw {mount}"]
        return [f"mount -o remount,ro {mount}"], [f"mount -o remount,rw {mount}"]

    def before(self, lease: Lease, host: Host) -> Dict[str, Any]:
        """The mount and its options, or the device.

        Raises:
            NodeError: where it is read-only already, gameday needs it, or the kernel would
                refuse.
        """
        path = lease.spec["path"]
        if lease.spec["means"] == "device":
            return self._device_before(path, host)
        if host.disks.is_block_device(path):
            raise NodeError(f"{path} is a device and no file system: use means: device")
        mount = host.disks.mount_of(path)
        if mount.point == "/":
            raise NodeError(f"{path} is in the root file system, which the node needs")
        if mount.read_only:
            raise NodeError(f"{mount.point}, which holds {path}, is read-only already")
        _refuse_needed(mount.number, host)
        writers = () if _waits(lease) else host.disks.writers(mount)
        if writers:
            more = (
                f" and {len(writers) - WRITERS_SHOWN} more" if len(writers) > WRITERS_SHOWN else ""
            )
            raise NodeError(
                f"{mount.point} cannot be made read-only while files there are open for writing: "
                f"{', '.join(writers[:WRITERS_SHOWN])}{more}; stop them first, restart them in "
                "the window and give open_files: wait, or use disk-error with operations: writes "
                "on a device-mapper volume"
            )
        return {"point": mount.point, "number": mount.number, "options": list(mount.options),
                "super_options": list(mount.super_options)}  # fmt: skip

    def drive(
        self, lease: Lease, before: Mapping[str, Any], host: Host, since_ns: int
    ) -> Optional[int]:
        """Make it read-only; the kernel keeps it so.

        Raises:
            NodeError: where a file is open for writing by now; asked again until it works.
        """
        if "device" in before:
            if not host.disks.device_read_only(before["device"]):
                host.disks.set_device_read_only(before["device"], True)
            return None
        mount = host.disks.mount_at(before["point"])
        if mount is None or mount.number != before["number"]:
            raise NodeError(f"what was mounted at {before['point']} is not there any more")
        if not mount.read_only:
            if _waits(lease) and host.disks.writers(mount):
                return since_ns + BUSY_RETRY_NS
            host.disks.set_mount_read_only(mount.point, True)
        return None

    def observe(self, lease: Lease, before: Mapping[str, Any], host: Host) -> Observation:
        """Active while the kernel says read-only."""
        if "device" in before:
            there = host.disks.device_read_only(before["device"])
            path = lease.spec["path"]
            return _found(there, f"{path}: read-only, undo with `blockdev --setrw {path}`", ())
        mount = host.disks.mount_at(before["point"])
        if mount is None or mount.number != before["number"]:
            return Observation("absent", (), {"read_only": 0}, ())
        undo = f"{mount.point}: read-only, undo with `mount -o remount,rw {mount.point}`"
        odd = _changed(before["options"], mount.options, mount.point)
        odd += _changed(
            before["super_options"], mount.super_options, f"{mount.point} (file system)"
        )
        return _found(mount.read_only, undo, odd)

    def disarm(self, lease: Lease, before: Mapping[str, Any], host: Host) -> List[str]:
        """Make it writable again; every other option stays as it is by now."""
        if "device" in before:
            if not host.disks.device_read_only(before["device"]):
                return []
            host.disks.set_device_read_only(before["device"], False)
            return [f"{lease.spec['path']} can be written again"]
        mount = host.disks.mount_at(before["point"])
        if mount is None or mount.number != before["number"] or not mount.read_only:
            return []
        host.disks.set_mount_read_only(mount.point, False)
        return [f"{mount.point} can be written again"]

    def _device_before(self, path: str, host: Host) -> Dict[str, Any]:
        if not host.disks.is_block_device(path):
            raise NodeError(
                f"{path} is in a file system, which goes on writing when its device is flagged "
                "read-only: use means: remount, or disk-error with operations: writes"
            )
        number = host.disks.device_of(path)
        if host.disks.device_read_only(number):
            raise NodeError(f"{path} is read-only already")
        _refuse_needed(number, host)
        return {"device": number}


def _waits(lease: Lease) -> bool:
    return bool(lease.spec.get("open_files") == "wait")


def _refuse_needed(number: str, host: Host) -> None:
    needed = host.disks.relied_on(number)
    if needed:
        raise NodeError(f"{', '.join(needed)} would become read-only; gameday and the node need it")


def _found(there: bool, undo: str, foreign: Tuple[str, ...]) -> Observation:
    left = (undo,) if there else ()
    return Observation("active" if there else "absent", left, {"read_only": int(there)}, foreign)


def _changed(was: List[str], now: Tuple[str, ...], what: str) -> Tuple[str, ...]:
    odd = sorted((set(was) ^ set(now)) - {"ro", "rw"})
    return (f"{what}: somebody else changed options {', '.join(odd)}",) if odd else ()


FAULT = DiskReadonly()
