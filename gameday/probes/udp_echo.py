# SPDX-License-Identifier: Apache-2.0
"""``udp-echo``: numbered datagrams to an echo service (RFC 862), so that late is not lost.

One socket stays open for a sampler's whole life: a reply that comes after its look has ended is
still seen, and the next look that gets an answer tells of it. Nodes: Python 3.9 syntax.
"""

from __future__ import annotations

import errno
import os
import socket
import struct
import threading
from dataclasses import dataclass
from typing import Callable, Dict, List, Literal, Optional, Set, Tuple

from gameday import clock
from gameday.probes.base import Failed, Outcome, Schedule, Target, Value
from gameday.probes.deadline import Deadline, failure_word

FORMAT = struct.Struct("!8s8sQ")
MAGIC = b"gameday\0"
FROM_THE_PATH = (errno.ECONNREFUSED, errno.EHOSTUNREACH, errno.ENETUNREACH, errno.EACCES)
"""What routers and hosts say by ICMP; the socket goes on."""

LATE_MAX = 64
"""Late replies told in one sample; those above it are told in the next."""

OPEN_MAX = 4096
"""Datagrams without a reply that are remembered; a reply to an older one counts as lost."""


@dataclass(frozen=True)
class UdpEchoParams:
    """Parameters of ``udp-echo``.

    Attributes:
        port: of the echo service.
        family: at which of the target's addresses; else at the one listed first.
    """

    port: int = 7
    family: Optional[Literal[4, 6]] = None


class UdpEcho:
    """A datagram there and back."""

    kind = "udp-echo"
    Params: type = UdpEchoParams
    summary = "numbered datagrams to a UDP echo service: round trip, lost or late"
    fan_out = "each"
    listens = False

    def sampler(
        self, params: UdpEchoParams, node: str, target: Target, schedule: Schedule
    ) -> Callable[[], Outcome]:
        """Each look sends one datagram with a number of its own and waits for it to come back."""
        caller = Caller((target.addresses[0], params.port))

        def look() -> Outcome:
            deadline = Deadline(schedule.timeout_ns)
            try:
                return caller.call(deadline)
            except OSError as error:
                return Failed(failure_word(error, deadline))

        return look


class Caller:
    """One socket, and what was sent on it: called from several threads."""

    def __init__(self, where: Tuple[str, int]) -> None:
        self._where, self._token = where, os.urandom(8)
        self._changed = threading.Condition()
        self._socket: Optional[socket.socket] = None
        self._number = 0
        self._sent: Dict[int, int] = {}
        self._back: Dict[int, int] = {}
        self._waiting: Set[int] = set()
        self._late: List[str] = []
        self._errors = 0
        self._error: OSError = OSError()

    def call(self, deadline: Deadline) -> Outcome:
        """Send the next number and wait for it.

        Raises:
            OSError: where it could not be sent, or was refused.
        """
        with self._changed:
            sock = self._socket or self._open()
            number, known = self._number, self._errors
            self._number += 1
            self._waiting.add(number)
            self._sent[number] = clock.mono_ns()
            while len(self._sent) > OPEN_MAX:
                self._sent.pop(next(iter(self._sent)))
        try:
            self._send(sock, number)
            with self._changed:
                self._changed.wait_for(
                    lambda: number in self._back or self._errors > known, deadline.left_s()
                )
        finally:
            with self._changed:
                self._waiting.discard(number)
        with self._changed:
            if number in self._back:
                late, self._late = self._late[:LATE_MAX], self._late[LATE_MAX:]
                return Value({"number": number, "rtt_ns": self._back.pop(number), "late": late})
            if self._errors > known:
                raise self._error
        return Failed(f"{deadline.word()}, number {number}")

    def _send(self, sock: socket.socket, number: int) -> None:
        data = FORMAT.pack(MAGIC, self._token, number)
        try:
            sock.send(data)
        except ConnectionRefusedError:
            # That was the answer to an earlier datagram; this one has not been sent yet.
            sock.send(data)

    def _open(self) -> socket.socket:
        family = socket.AF_INET6 if ":" in self._where[0] else socket.AF_INET
        sock = socket.socket(family, socket.SOCK_DGRAM)
        try:
            # Connected, it takes datagrams of the service only, and hears that a port is closed.
            sock.connect(self._where)
        except OSError:
            sock.close()
            raise
        self._socket = sock
        threading.Thread(target=self._receive, args=(sock,), daemon=True).start()
        return sock

    def _receive(self, sock: socket.socket) -> None:
        """Take replies until the socket itself breaks; the next call then opens another."""
        while True:
            try:
                data = sock.recv(2048)
            except OSError as error:
                with self._changed:
                    self._errors, self._error = self._errors + 1, error
                    self._changed.notify_all()
                    if error.errno in FROM_THE_PATH:
                        continue
                    self._socket = None
                sock.close()
                return
            self._take(data, clock.mono_ns())

    def _take(self, data: bytes, now: int) -> None:
        if len(data) != FORMAT.size:
            return
        magic, token, number = FORMAT.unpack(data)
        if (magic, token) != (MAGIC, self._token):
            return
        with self._changed:
            sent = self._sent.pop(number, None)
            if sent is None:
                return  # Twice the same, or too old to be known.
            if number in self._waiting:
                self._back[number] = now - sent
                self._changed.notify_all()
            elif len(self._late) < OPEN_MAX:
                self._late.append(f"{number}:{now - sent}")


PROBE = UdpEcho()
