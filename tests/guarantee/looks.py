# SPDX-License-Identifier: Apache-2.0
"""The truth about an effect, seen without gameday: echoes, writes, free space. Runs in the node.

    python3 looks.py echo-server <port>
    python3 looks.py writer <path> <kind>

Every look is (monotonic nanoseconds at its start, whether the effect was seen). Echoes are timed by
the kernel: who was to read one may have waited for the processor, and that is no effect.
"""

from __future__ import annotations

import contextlib
import ctypes
import itertools
import os
import socket
import struct
import sys
import threading
import time

ECHO_PORT, COUNT_PORT = 7000, 9
SLOW_NS = 350_000_000
"""Effects of the matrix are 450 ms and more; a busy machine of one processor answers sooner."""

GAP_NS = 700_000_000

SO_RCVBUFFORCE, SO_TIMESTAMPNS = 33, 35
"""From asm-generic/socket.h; Python does not name them."""

BUFFER_BYTES = 32 << 20
"""A reader without a processor for seconds loses nothing: a lost echo is an effect."""

STAMPS = struct.Struct("=QQQ")
"""Of an echo: its number; when it came to the peer, and when that sent it back."""

TIMESPEC = struct.Struct("=qq")
DRAIN_S = 5
"""So long are echoes waited for that came but were not read yet."""

Look = tuple[int, bool]


class Echoes:
    """UDP echoes to a peer; one that is slow, lost or refused shows the effect."""

    def __init__(self, address: str, size: int, period_ms: int) -> None:
        self._address, self._size, self._period_s = address, size, period_ms / 1000
        self._sent: dict[int, int] = {}
        self._took: dict[int, int] = {}
        self._stop = threading.Event()
        self._socket = stamped(("0.0.0.0", 0))  # noqa: S104 - in a namespace of its own
        # Path MTU discovery off: large packets are never cut, and nobody is asked.
        self._socket.setsockopt(socket.IPPROTO_IP, 10, 3)
        self._socket.settimeout(0.2)
        self._threads = [threading.Thread(target=one) for one in (self._send, self._receive)]
        for thread in self._threads:
            thread.start()

    def finish(self) -> list[Look]:
        """Stop, and tell all looks."""
        self._stop.set()
        for thread in self._threads:
            thread.join()
        found = []
        for number, sent in sorted(self._sent.items()):
            took = self._took.get(number)
            found.append((sent, took is None or took > SLOW_NS))
        # The last ones had no time to come back.
        newest = max(self._sent.values(), default=0)
        return [look for look in found if look[0] < newest - 1_000_000_000]

    def _send(self) -> None:
        number, due = 0, time.monotonic()
        while not self._stop.is_set():
            payload = STAMPS.pack(number, 0, 0).ljust(self._size, b"x")
            self._sent[number] = time.monotonic_ns()
            # Refused at once is lost too: no answer will come.
            with contextlib.suppress(OSError):
                self._socket.sendto(payload, (self._address, ECHO_PORT))
            number += 1
            due += self._period_s
            self._stop.wait(max(0.0, due - time.monotonic()))

    def _receive(self) -> None:
        until = 0.0
        while not until or time.monotonic() < until:
            if self._stop.is_set() and not until:
                until = time.monotonic() + DRAIN_S
            try:
                data, came, _ = receive(self._socket)
            except OSError:
                if until:
                    return
                continue
            number, there, back = STAMPS.unpack_from(data)
            # Both ways, without the peer's own time.
            self._took.setdefault(number, there - self._sent[number] + came - back)


def stamped(address: tuple[str, int]) -> socket.socket:
    """A socket whose packets the kernel stamps when they come, and does not drop."""
    made = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    made.setsockopt(socket.SOL_SOCKET, SO_TIMESTAMPNS, 1)
    made.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, BUFFER_BYTES)
    made.bind(address)
    return made


def receive(of: socket.socket) -> tuple[bytes, int, tuple[str, int]]:
    """A packet, when the kernel had it by its monotonic clock, and who sent it.

    The kernel stamps by the wall clock, which a test may have stepped since: then the packet
    came now, which makes one look too slow, and no effect.
    """
    data, notes, _, sender = of.recvmsg(65536, socket.CMSG_SPACE(TIMESPEC.size))
    now = time.monotonic_ns()
    seconds, rest = TIMESPEC.unpack(notes[0][2][: TIMESPEC.size])
    age = time.time_ns() - (seconds * 1_000_000_000 + rest)
    return data, now - age if 0 <= age < 60_000_000_000 else now, sender


class Lines:
    """Looks that another process prints, one a line: start, whether the effect was seen."""

    def __init__(self, path: str) -> None:
        self._path = path

    def finish(self) -> list[Look]:
        """What it has printed."""
        found = []
        with open(self._path, encoding="ascii") as file:
            for line in file:
                words = line.split()
                if len(words) == 2 and line.endswith("\n"):
                    found.append((int(words[0]), words[1] == "1"))
        return found


class Gaps(Lines):
    """A process that stands still prints nothing: the gap itself is the effect."""

    def finish(self) -> list[Look]:
        """Looks every 50 ms, true inside gaps."""
        starts = [look[0] for look in super().finish()]
        found = []
        for a, b in itertools.pairwise(starts):
            still = b - a > GAP_NS
            found += [(at, still) for at in range(a, b, 50_000_000)]
        return found


def echo_server() -> None:
    """Send every packet back; count what comes to the discard port into a file."""
    echo = stamped(("0.0.0.0", ECHO_PORT))  # noqa: S104 - in a namespace of its own
    threading.Thread(target=_count, daemon=True).start()
    while True:
        data, came, sender = receive(echo)
        (number, _, _) = STAMPS.unpack_from(data)
        stamps = STAMPS.pack(number, came, time.monotonic_ns())
        echo.sendto(stamps + data[STAMPS.size :], sender)


def _count() -> None:
    """A line per 50 ms: whether anything came to the discard port in it."""
    sink = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    sink.bind(("0.0.0.0", COUNT_PORT))  # noqa: S104 - in a namespace of its own
    sink.setblocking(False)
    while True:
        start, came = time.monotonic_ns(), False
        time.sleep(0.05)
        while True:
            try:
                sink.recv(65536)
                came = True
            except BlockingIOError:
                break
        sys.stdout.write(f"{start} {int(came)}\n")
        sys.stdout.flush()


def writer(path: str, kind: str) -> None:
    """Write (or look) every 50 ms, for ever; a slow or failing one shows the effect."""
    ctypes.CDLL(None).prctl(15, b"writer", 0, 0, 0)
    while True:
        start = time.monotonic_ns()
        bad = _full(path) if kind == "free" else _write(path)
        took = time.monotonic_ns() - start
        seen = bad or (took > SLOW_NS and kind == "write")
        # One slow write stands for all the looks that there was no time for.
        for at in range(start, start + (took if seen else 1), 50_000_000):
            sys.stdout.write(f"{at} {int(seen)}\n")
        sys.stdout.flush()
        time.sleep(0.05)


def _write(path: str) -> bool:
    """Whether a write failed: to a device a synchronous one; to a file one that is over at once.

    A file system cannot be made read-only while somebody has a file open for writing there.
    """
    how = os.O_DSYNC if path.startswith("/dev/") else os.O_CREAT
    try:
        handle = os.open(path, os.O_WRONLY | how)
        try:
            os.write(handle, b"x" * 4096)
        finally:
            os.close(handle)
    except OSError:
        return True
    return False


def _full(path: str) -> bool:
    space = os.statvfs(os.path.dirname(path))
    return space.f_bavail * 100 < space.f_blocks * 50


if __name__ == "__main__":
    if sys.argv[1] == "echo-server":
        echo_server()
    else:
        writer(sys.argv[2], sys.argv[3])
