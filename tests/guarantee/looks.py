# SPDX-License-Identifier: Apache-2.0
"""The truth about an effect, seen without gameday: echoes, writes, free space. Runs in the node.

    python3 looks.py echo-server <port>
    python3 looks.py writer <path> <kind>

Every look is (monotonic nanoseconds at its start, whether the effect was seen).
"""

from __future__ import annotations

import contextlib
import ctypes
import itertools
import os
import socket
import sys
import threading
import time

ECHO_PORT, COUNT_PORT = 7000, 9
SLOW_NS = 350_000_000
"""Effects of the matrix are 450 ms and more; a busy machine of one processor answers sooner."""

GAP_NS = 700_000_000

Look = tuple[int, bool]


class Echoes:
    """UDP echoes to a peer; one that is slow, lost or refused shows the effect."""

    def __init__(self, address: str, size: int, period_ms: int) -> None:
        self._address, self._size, self._period_s = address, size, period_ms / 1000
        self._sent: dict[int, int] = {}
        self._came: dict[int, int] = {}
        self._stop = threading.Event()
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        # Path MTU discovery off: large packets are never cut, and nobody is asked.
        self._socket.setsockopt(socket.IPPROTO_IP, 10, 3)
        self._socket.settimeout(0.2)
        self._socket.bind(("0.0.0.0", 0))  # noqa: S104 - in a namespace of its own
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
            came = self._came.get(number)
            found.append((sent, came is None or came - sent > SLOW_NS))
        # The last ones had no time to come back.
        newest = max(self._sent.values(), default=0)
        return [look for look in found if look[0] < newest - 1_000_000_000]

    def _send(self) -> None:
        number, due = 0, time.monotonic()
        while not self._stop.is_set():
            payload = number.to_bytes(8, "big").ljust(self._size, b"x")
            self._sent[number] = time.monotonic_ns()
            # Refused at once is lost too: no answer will come.
            with contextlib.suppress(OSError):
                self._socket.sendto(payload, (self._address, ECHO_PORT))
            number += 1
            due += self._period_s
            self._stop.wait(max(0.0, due - time.monotonic()))

    def _receive(self) -> None:
        while not self._stop.is_set():
            try:
                data = self._socket.recv(65536)
            except OSError:
                continue
            self._came.setdefault(int.from_bytes(data[:8], "big"), time.monotonic_ns())


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
    echo = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    echo.bind(("0.0.0.0", ECHO_PORT))  # noqa: S104 - in a namespace of its own
    threading.Thread(target=_count, daemon=True).start()
    while True:
        data, sender = echo.recvfrom(65536)
        echo.sendto(data, sender)


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
