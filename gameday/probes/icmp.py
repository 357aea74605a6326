# SPDX-License-Identifier: Apache-2.0
"""``icmp``: does a packet reach a peer and come back. The effect gate rests on it.

A raw socket is used (the agent is root), since unprivileged ICMP sockets are switched off
on many nodes. Nodes: Python 3.9 syntax.
"""

from __future__ import annotations

import itertools
import os
import socket
import struct
from dataclasses import dataclass
from typing import Any, Callable, Sequence, Tuple

from gameday import clock
from gameday.probes.base import Failed, Outcome, Schedule, Target, Value
from gameday.probes.deadline import Deadline

REQUESTS = {4: 8, 6: 128}
REPLIES = {4: 0, 6: 129}
"""Types of echo messages, of ICMP (RFC 792) and ICMPv6 (RFC 4443)."""

TIMESTAMP_NS = 35
"""SO_TIMESTAMPNS and the type of its message: when the kernel received a packet, wall clock."""

TIMESPEC = struct.Struct("@qq")


@dataclass(frozen=True)
class IcmpParams:
    """``icmp`` has no parameters."""


class Icmp:
    """An echo request and its reply."""

    kind = "icmp"
    Params: type = IcmpParams
    summary = "an ICMP echo to a peer and back (IPv4)"
    fan_out = "each"
    listens = False

    def sampler(
        self, params: IcmpParams, node: str, target: Target, schedule: Schedule
    ) -> Callable[[], Outcome]:
        """Each look sends one echo request and waits for its own reply."""
        return echo_look(next(a for a in target.addresses if ":" not in a), schedule)


def echo_look(address: str, schedule: Schedule) -> Callable[[], Outcome]:
    """A look that sends one echo to an address, v4 or v6, and waits for its own reply.

    Its value: ``rtt_ns`` from just before sending to just after receiving, and ``wait_ns``, the
    part of it that this process may have spent: until the request was sent, and after the reply
    had come. The true round trip lies in [rtt_ns - wait_ns, rtt_ns].
    """
    family = 6 if ":" in address else 4
    numbers = itertools.count(1)
    identifier = int.from_bytes(os.urandom(2), "big")

    def look() -> Outcome:
        deadline = Deadline(schedule.timeout_ns)
        number = next(numbers) & 0xFFFF
        request = echo_request(identifier, number, family)
        try:
            with _raw(family) as raw:
                # Connected, it is woken by packets of this peer only.
                raw.connect((address, 0))
                raw.setsockopt(socket.SOL_SOCKET, TIMESTAMP_NS, 1)
                start = clock.mono_ns()
                raw.send(request)
                sending = clock.mono_ns() - start
                while True:
                    raw.settimeout(deadline.left_s())
                    packet, extra, _, _ = raw.recvmsg(2048, 64)
                    end = clock.mono_ns()
                    if is_reply(packet, identifier, number, family):
                        spent = end - start
                        waited = min(spent, sending + waited_ns(extra, spent))
                        return Value({"rtt_ns": spent, "wait_ns": waited})
        except (TimeoutError, socket.timeout):
            return Failed(deadline.word())
        except OSError as error:
            return Failed(f"network: {error.strerror}")

    return look


def _raw(family: int) -> socket.socket:
    if family == 6:
        return socket.socket(socket.AF_INET6, socket.SOCK_RAW, socket.IPPROTO_ICMPV6)
    return socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP)


def waited_ns(extra: Sequence[Tuple[int, int, Any]], spent_ns: int) -> int:
    """How long ago the kernel received the packet, by its own stamp.

    All of ``spent_ns``, so that nothing is claimed, where there is no stamp or the wall clock was
    set in between.
    """
    now = clock.wall_ns()
    for level, kind, data in extra:
        if (level, kind) == (socket.SOL_SOCKET, TIMESTAMP_NS) and len(data) >= TIMESPEC.size:
            whole_s, rest_ns = TIMESPEC.unpack(data[: TIMESPEC.size])
            waited: int = now - (whole_s * clock.NS_PER_S + rest_ns)
            return waited if 0 <= waited <= spent_ns else spent_ns
    return spent_ns


def echo_request(identifier: int, number: int, family: int = 4) -> bytes:
    """An echo request with an empty payload; the kernel adds the checksum of ICMPv6."""
    kind = REQUESTS[family]
    head = struct.pack("!BBHHH", kind, 0, 0, identifier, number)
    return struct.pack("!BBHHH", kind, 0, checksum(head), identifier, number)


def is_reply(packet: bytes, identifier: int, number: int, family: int = 4) -> bool:
    """Whether a received packet (IPv4 with its header, ICMPv6 without) is the reply to that."""
    start = (packet[0] & 0x0F) * 4 if packet and family == 4 else 0
    icmp = packet[start:]
    if len(icmp) < 8 or (family == 4 and start < 20):
        return False
    kind, _, _, ident, seq = struct.unpack("!BBHHH", icmp[:8])
    return bool(kind == REPLIES[family] and ident == identifier and seq == number)


def checksum(data: bytes) -> int:
    """The Internet checksum of RFC 1071."""
    padded = data + b"\0" * (len(data) % 2)
    total: int = sum(struct.unpack(f"!{len(padded) // 2}H", padded))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


PROBE = Icmp()
