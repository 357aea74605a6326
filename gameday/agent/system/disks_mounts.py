# SPDX-License-Identifier: Apache-2.0
"""Mounted file systems: which one holds a path, how full it is, read-only or not."""

from __future__ import annotations

import errno
import os
import re
import stat
from typing import List, Optional, Tuple

from gameday import clock
from gameday.errors import NodeError
from gameday.faults.hosts.disks import Mount, Space

MOUNTINFO = "/proc/self/mountinfo"

MS_RDONLY = 1
MS_REMOUNT = 32
MS_STRICTATIME = 1 << 24
MOUNT_FLAGS = {"nosuid": 2, "nodev": 4, "noexec": 8, "nosymfollow": 256, "noatime": 1024,
               "nodiratime": 2048, "relatime": 1 << 21}  # fmt: skip
SUPER_FLAGS = {"sync": 16, "mand": 64, "dirsync": 128, "lazytime": 1 << 25}

STEP_NS = 500 * clock.NS_PER_MS
"""How long one call may go on taking space: the caller holds the node's lease lock."""

PIECE_BYTES = 1 << 30
WRITTEN_PIECE_BYTES = 8 << 20
"""Bytes written and synced at a time where the file system cannot reserve them."""


def parse(text: str) -> List[Tuple[int, Mount]]:
    """(mount id, mount) of every line of a ``mountinfo``."""
    found = []
    for line in text.splitlines():
        left, _, right = line.partition(" - ")
        mine, its = left.split(" "), right.split(" ")
        if len(mine) < 6 or len(its) < 3:
            continue
        mount = Mount(
            number=mine[2], root=_plain(mine[3]), point=_plain(mine[4]),
            fs_type=its[0], source=_plain(its[1]),
            options=tuple(mine[5].split(",")), super_options=tuple(_plain(its[2]).split(",")),
        )  # fmt: skip
        found.append((int(mine[0]), mount))
    return found


def mounts() -> List[Tuple[int, Mount]]:
    """Every mount that this process sees, in the order in which they were made."""
    with open(MOUNTINFO, encoding="utf-8", errors="surrogateescape") as file:
        return parse(file.read())


def mount_of(path: str) -> Mount:
    """See ``Mounts``. The kernel says it: a later mount may hide what the path seems to name."""
    try:
        handle = os.open(path, os.O_PATH)
    except OSError as error:
        raise NodeError(f"{path}: {error.strerror}") from error
    try:
        with open(f"/proc/self/fdinfo/{handle}", encoding="ascii") as file:
            wanted = next(int(x.split()[1]) for x in file if x.startswith("mnt_id:"))
    finally:
        os.close(handle)
    for number, mount in mounts():
        if number == wanted:
            return mount
    raise NodeError(f"{path} is in no mount that this process sees")


def mount_at(point: str) -> Optional[Mount]:
    """See ``Mounts``."""
    found = [mount for _, mount in mounts() if mount.point == point]
    return found[-1] if found else None


def flags_of(mount: Mount) -> int:
    """What a remount must be given so that it changes nothing but read-only."""
    flags = sum(bit for word, bit in MOUNT_FLAGS.items() if word in mount.options)
    flags |= sum(bit for word, bit in SUPER_FLAGS.items() if word in mount.super_options)
    if not {"noatime", "relatime"} & set(mount.options):
        flags |= MS_STRICTATIME
    return flags


def set_read_only(point: str, read_only: bool) -> None:
    """See ``Mounts``; the file system's own options are kept because none are given."""
    mount = mount_at(point)
    if mount is None:
        raise NodeError(f"nothing is mounted at {point}")
    import ctypes  # Here because a process that only waits has no use for its memory.

    libc = ctypes.CDLL(None, use_errno=True)
    flags = MS_REMOUNT | flags_of(mount) | (MS_RDONLY if read_only else 0)
    empty = ctypes.c_char_p(b"")
    where = ctypes.c_char_p(os.fsencode(point))
    if libc.mount(empty, where, empty, ctypes.c_ulong(flags), empty) == 0:
        return
    code = ctypes.get_errno()
    word = "ro" if read_only else "rw"
    message = f"mount -o remount,{word} {point}: {os.strerror(code)}"
    if code == errno.EBUSY:
        held = ", ".join(writers(mount)) or "the kernel does not say by whom"
        raise NodeError(f"{message}; files are open for writing: {held}")
    raise NodeError(message)


def writers(mount: Mount) -> Tuple[str, ...]:
    """See ``Mounts``; descriptors of every process, not what is only mapped."""
    major, minor = (int(x) for x in mount.number.split(":"))
    device = os.makedev(major, minor)
    found = []
    for pid in sorted(int(name) for name in os.listdir("/proc") if name.isdigit()):
        try:
            if _writes_to(pid, device):
                with open(f"/proc/{pid}/comm", encoding="utf-8", errors="replace") as file:
                    found.append(f"{file.read().strip()} (pid {pid})")
        except OSError:
            # It ended while we looked, and holds nothing any more.
            continue
    return tuple(found)


def space(path: str) -> Space:
    """See ``Mounts``."""
    try:
        found = os.statvfs(path)
    except OSError as error:
        raise NodeError(f"{path}: {error.strerror}") from error
    used = found.f_blocks - found.f_bfree
    return Space(used * found.f_frsize, found.f_bavail * found.f_frsize)


def file_bytes(path: str) -> Optional[int]:
    """See ``Mounts``."""
    try:
        found = os.lstat(path)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise NodeError(f"{path}: {error.strerror}") from error
    if not stat.S_ISREG(found.st_mode):
        raise NodeError(f"{path} is not a plain file")
    return found.st_size


def grow_file(path: str, size: int) -> int:
    """See ``Mounts``: reserved by the kernel, or written where the file system cannot."""
    try:
        handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise NodeError(f"{path}: {error.strerror}") from error
    try:
        until = clock.mono_ns() + STEP_NS
        have = os.fstat(handle).st_size
        while have < size and clock.mono_ns() < until:
            have += _take(handle, have, size - have)
        os.fsync(handle)
        return have
    except OSError as error:
        raise NodeError(f"{path}: {error.strerror}") from error
    finally:
        os.close(handle)


def remove_file(path: str) -> bool:
    """See ``Mounts``."""
    try:
        os.unlink(path)
    except FileNotFoundError:
        return False
    except OSError as error:
        raise NodeError(f"{path}: {error.strerror}") from error
    return True


def _take(handle: int, start: int, wanted: int) -> int:
    import ctypes

    piece = min(wanted, PIECE_BYTES)
    libc = ctypes.CDLL(None, use_errno=True)
    # posix_fallocate would quietly write byte by byte where the file system cannot reserve.
    reserve = getattr(libc, "fallocate64", None) or libc.fallocate
    if reserve(handle, 0, ctypes.c_longlong(start), ctypes.c_longlong(piece)) == 0:
        return piece
    code = ctypes.get_errno()
    if code not in (errno.EOPNOTSUPP, errno.ENOSYS):
        raise OSError(code, os.strerror(code))
    # Random bytes: a file system that compresses would make nothing of zeros.
    written = os.pwrite(handle, os.urandom(min(wanted, WRITTEN_PIECE_BYTES)), start)
    os.fdatasync(handle)
    return written


def _writes_to(pid: int, device: int) -> bool:
    for name in os.listdir(f"/proc/{pid}/fd"):
        try:
            found = os.stat(f"/proc/{pid}/fd/{name}")
            if found.st_dev != device or not stat.S_ISREG(found.st_mode):
                continue
            with open(f"/proc/{pid}/fdinfo/{name}", encoding="ascii") as file:
                flags = next(int(x.split()[1], 8) for x in file if x.startswith("flags:"))
        except OSError:
            # Closed while we looked.
            continue
        if flags & os.O_ACCMODE != os.O_RDONLY:
            return True
    return False


def _plain(text: str) -> str:
    r"""``mountinfo`` writes a space as ``\040``."""
    return re.sub(r"\\([0-7]{3})", lambda found: chr(int(found.group(1), 8)), text)
