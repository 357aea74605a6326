# SPDX-License-Identifier: Apache-2.0
"""Device-mapper volumes, through the kernel's own ioctls.

Not through ``dmsetup``: a program must be read from a disk before it runs, and that disk may
be the one whose table is to be put back. The kernel suspends, swaps and resumes within one
call, so there is no moment at which our death would leave a volume suspended.
"""

from __future__ import annotations

import errno
import fcntl
import os
import struct
from dataclasses import dataclass
from typing import List, Optional, Tuple

from gameday.agent.system import disks_blocks
from gameday.agent.system.command import run
from gameday.errors import NodeError
from gameday.faults.hosts.disks import Volume

CONTROL = "/dev/mapper/control"
VERSION = (4, 0, 0)

HEADER = struct.Struct("=3I3IiIIIQ128s129s7s")
"""``struct dm_ioctl``: version, data_size, data_start, target_count, open_count, flags,
event_nr, padding, dev, name, uuid, data; see ``linux/dm-ioctl.h``."""

TARGET = struct.Struct("=QQiI16s")
"""``struct dm_target_spec``: sector_start, length, status, next, target_type."""

DEV_SUSPEND, DEV_STATUS, TABLE_LOAD, TABLE_CLEAR, TABLE_STATUS, LIST_VERSIONS = 6, 7, 9, 10, 12, 13
READ_ONLY, SUSPENDED, STATUS_TABLE, INACTIVE = 1 << 0, 1 << 1, 1 << 4, 1 << 6
BUFFER_FULL, SKIP_LOCKFS, NO_FLUSH, QUERY_INACTIVE = 1 << 8, 1 << 10, 1 << 11, 1 << 12

SWAP_FLAGS = SKIP_LOCKFS | NO_FLUSH
"""The blocks stay where they are, so nothing needs to be flushed or frozen, and a volume that
answers with errors could do neither."""

BUFFER_BYTES = 16 << 10
BUFFER_BYTES_MAX = 1 << 20
"""A table of thousands of lines; larger ones are refused rather than read for ever."""


@dataclass(frozen=True)
class Answer:
    """What the kernel answered: the header's flags and number, and what follows it."""

    flags: int
    device: int
    targets: int
    data: bytes


def volume_of(path: str) -> Volume:
    """See ``Volumes``."""
    number = disks_blocks.device_of(path)
    try:
        with open(disks_blocks.SYS / number / "dm" / "name", encoding="utf-8") as file:
            name = file.read().strip()
    except FileNotFoundError:
        plain = disks_blocks.name(number)
        raise NodeError(
            f"{path} is on {plain}, which is not a device-mapper (LVM) volume: "
            "only those can be changed while they are in use"
        ) from None
    found = volume(name)
    if found is None:
        raise NodeError(f"the device-mapper volume {name} under {path} vanished")
    return found


def volume(name: str) -> Optional[Volume]:
    """See ``Volumes``."""
    try:
        status = _ask(DEV_STATUS, name)
        table = _table(_ask(TABLE_STATUS, name, STATUS_TABLE))
        waiting: Tuple[str, ...] = ()
        if status.flags & INACTIVE:
            waiting = _table(_ask(TABLE_STATUS, name, STATUS_TABLE | QUERY_INACTIVE))
    except OSError as error:
        # ENOENT is the control device of a kernel without device-mapper: no volume either.
        if error.errno in (errno.ENXIO, errno.ENOENT, errno.ENODEV):
            return None
        raise NodeError(f"device-mapper volume {name}: {error.strerror}") from error
    number = f"{status.device >> 8 & 0xFFF}:{status.device & 0xFF | status.device >> 12 & ~0xFF}"
    return Volume(name, number, table, waiting, bool(status.flags & SUSPENDED))


def swap_table(name: str, table: Tuple[str, ...]) -> None:
    """See ``Volumes``."""
    try:
        keep = _ask(DEV_STATUS, name).flags & READ_ONLY
        _ask(TABLE_LOAD, name, keep, encode_table(table), len(table))
    except OSError as error:
        raise NodeError(
            f"the kernel refused the new table of {name}: {error.strerror} "
            f"(`{' ; '.join(table)}`); the old one is in use"
        ) from error
    try:
        _ask(DEV_SUSPEND, name, SWAP_FLAGS)
    except OSError as error:
        _back_off(name)
        raise NodeError(f"device-mapper volume {name} did not swap: {error.strerror}") from error


def clear_inactive(name: str) -> None:
    """See ``Volumes``."""
    _must(TABLE_CLEAR, name, 0)


def resume(name: str) -> None:
    """See ``Volumes``."""
    _must(DEV_SUSPEND, name, SWAP_FLAGS)


def check_target(target: str) -> None:
    """Returns where the kernel has a target or could load it.

    Raises:
        NodeError, OSError: where it has not.
    """
    if target not in _targets(_ask(LIST_VERSIONS, "")):
        run(["modprobe", "-n", "-q", f"dm-{target}"])


def encode_table(table: Tuple[str, ...]) -> bytes:
    """Lines as ``dmsetup`` takes them, in the kernel's form."""
    found = b""
    for line in table:
        start, length, target, rest = line.split(" ", 3)
        text = rest.encode() + b"\0"
        text += b"\0" * (-len(text) % 8)
        head = (int(start), int(length), 0, TARGET.size + len(text), target.encode())
        found += TARGET.pack(*head) + text
    return found


def decode_table(data: bytes, targets: int) -> Tuple[str, ...]:
    """The inverse, of what the kernel answers: there ``next`` counts from the first line."""
    found: List[str] = []
    offset = 0
    for _ in range(targets):
        start, length, _, following, kind = TARGET.unpack_from(data, offset)
        text = data[offset + TARGET.size : data.index(b"\0", offset + TARGET.size)]
        words = [str(start), str(length), kind.rstrip(b"\0").decode(), text.decode().strip()]
        found.append(" ".join(words).rstrip())
        offset = following
    return tuple(found)


def _table(answer: Answer) -> Tuple[str, ...]:
    return decode_table(answer.data, answer.targets)


def _targets(answer: Answer) -> List[str]:
    found, offset = [], 0
    while True:
        following = struct.unpack_from("=I", answer.data, offset)[0]
        start = offset + 16
        found.append(answer.data[start : answer.data.index(b"\0", start)].decode())
        if not following:
            return found
        offset += following


def _must(command: int, name: str, flags: int) -> None:
    try:
        _ask(command, name, flags)
    except OSError as error:
        raise NodeError(f"device-mapper volume {name}: {error.strerror}") from error


def _back_off(name: str) -> None:
    """Drop the table that did not come into use, and let the volume go on with the old one."""
    found = volume(name)
    if found is not None and found.inactive:
        clear_inactive(name)
    if found is not None and found.suspended:
        resume(name)


def _ask(command: int, name: str, flags: int = 0, data: bytes = b"", targets: int = 0) -> Answer:
    size = BUFFER_BYTES
    handle = os.open(CONTROL, os.O_RDWR | os.O_CLOEXEC)
    try:
        while True:
            size = max(size, HEADER.size + len(data))
            head = HEADER.pack(*VERSION, size, HEADER.size, targets, 0, flags, 0, 0, 0,
                               name.encode(), b"", b"")  # fmt: skip
            buffer = bytearray((head + data).ljust(size, b"\0"))
            fcntl.ioctl(handle, _request(command), buffer, True)
            answer = HEADER.unpack_from(buffer)
            found = Answer(answer[7], answer[10], answer[5], bytes(buffer[answer[4] :]))
            if not found.flags & BUFFER_FULL:
                return found
            size *= 4
            if size > BUFFER_BYTES_MAX:
                raise NodeError(f"the table of {name} is longer than {BUFFER_BYTES_MAX} bytes")
    finally:
        os.close(handle)


def _request(command: int) -> int:
    """``_IOWR(0xfd, command, struct dm_ioctl)``; some architectures have narrower sizes."""
    odd = os.uname().machine.startswith(("ppc", "mips", "sparc"))
    both_ways = 6 << 29 if odd else 3 << 30
    return both_ways | HEADER.size << 16 | 0xFD << 8 | command
