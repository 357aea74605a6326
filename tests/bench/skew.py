# SPDX-License-Identifier: Apache-2.0
"""When the cut begins and ends on every node, seen in packets that gameday knows nothing of.

A sender outside broadcasts numbered UDP packets; every node's socket keeps those that reach
it, with the kernel's receive stamp, and they are read after the window: nothing of the
measurement runs on the nodes meanwhile.
"""

from __future__ import annotations

import os
import socket
import struct
import threading
import time
from dataclasses import dataclass

from gameday import clock
from gameday.clock import NS_PER_MS, NS_PER_S
from tests.bench.estate import BROADCAST, Estate, udp_socket
from tests.bench.session import Armed

PORT = 9
PERIOD_NS = 500_000
BLUR_NS_MAX = 2 * NS_PER_MS
"""Between two packets around a cut: a sender that was held up for longer blurs what is measured."""

BUFFER_BYTES = 16 << 20
AROUND_NS = 400 * NS_PER_MS
"""Packets are sent this long before the window and after it."""

LATE_NS_MAX = 20 * NS_PER_MS
"""The kernel's second begins at a tick: up to 10 ms late where CONFIG_HZ is 100."""

SO_RCVBUFFORCE, SO_TIMESTAMPNS = 33, 35
STAMP = struct.Struct("@ll")
BODY = struct.Struct("!Q")


@dataclass(frozen=True)
class Seen:
    """One node's packets around one window; wall clock in nanoseconds.

    Attributes:
        last_ns, cut_ns: the last packet before the cut was received, and the first one that is
            missing was sent; the cut began in between.
        still_ns, back_ns: the last one that is missing, and the first one after it; so did its end.
        inside: packets that came through well inside the window.
        lost: packets missing before the cut and after its end: the measurement's own fault.
    """

    node: str
    last_ns: int
    cut_ns: int
    still_ns: int
    back_ns: int
    inside: int
    lost: int

    @property
    def blurred(self) -> bool:
        """Whether the sender was held up at either end, so that packets cannot tell."""
        return max(self.cut_ns - self.last_ns, self.back_ns - self.still_ns) > BLUR_NS_MAX


class Watch:
    """Sockets on nodes, and the sender."""

    def __init__(self, estate: Estate, names: list[str]) -> None:
        self._sockets = {name: self._receiver(estate.inside(name)) for name in names}
        self._sender = udp_socket(estate.pids["far"])
        self._sender.setsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST, 1)

    @staticmethod
    def _receiver(pid: int) -> socket.socket:
        one = udp_socket(pid)
        one.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, BUFFER_BYTES)
        one.setsockopt(socket.SOL_SOCKET, SO_TIMESTAMPNS, 1)
        one.bind(("", PORT))
        one.setblocking(False)
        return one

    def through(self, armed: Armed) -> list[Seen]:
        """Send through a window that is still to come, and say what every node saw."""
        for one in self._sockets.values():
            _drain(one)
        sent: list[int] = []
        thread = threading.Thread(target=self._send, args=(armed, sent))
        thread.start()
        thread.join()
        return [_seen(name, _drain(one), sent, armed) for name, one in self._sockets.items()]

    def _send(self, armed: Armed, sent: list[int]) -> None:
        """Broadcast once per period; ``sent`` gets the wall clock of every packet."""
        # This thread only: nodes that are busy at the same moment must not hold it up.
        os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(1))
        due = armed.fire_ns - AROUND_NS
        while due < armed.expire_ns + AROUND_NS:
            left = due - clock.wall_ns()
            if left > 0:
                time.sleep(left / NS_PER_S)
            sent.append(clock.wall_ns())
            self._sender.sendto(BODY.pack(len(sent) - 1), (BROADCAST, PORT))
            due += PERIOD_NS

    def close(self) -> None:
        """Close all sockets."""
        for one in [*self._sockets.values(), self._sender]:
            one.close()


def _drain(one: socket.socket) -> dict[int, int]:
    """Number of each packet that a socket holds, with its receive stamp."""
    found: dict[int, int] = {}
    while True:
        try:
            body, extra, _, _ = one.recvmsg(BODY.size, 256)
        except BlockingIOError:
            return found
        (number,) = BODY.unpack(body)
        seconds, ns = STAMP.unpack(extra[0][2][: STAMP.size])
        found[number] = seconds * NS_PER_S + ns


def _seen(name: str, got: dict[int, int], sent: list[int], armed: Armed) -> Seen:
    """The cut begins with the first of a row of packets that are missing."""
    middle = (armed.fire_ns + armed.expire_ns) // 2
    first_half = [number for number, at in got.items() if at < middle]
    second_half = [number for number, at in got.items() if at >= middle]
    last, back = max(first_half), min(second_half)
    inside = sum(1 for at in got.values()
                 if armed.fire_ns + LATE_NS_MAX < at < armed.expire_ns)  # fmt: skip
    expected = last + 1 + len(sent) - back
    return Seen(
        name, got[last], sent[last + 1], sent[back - 1], got[back], inside, expected - len(got)
    )
