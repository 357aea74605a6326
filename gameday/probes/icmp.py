# SPDX-License-Identifier: Apache-2.0
"""``icmp``: does a packet reach a peer and come back. The effect gate rests on it.

A raw socket is used (the agent is root), since unprivileged ICMP sockets are switched off
on many nodes.
"""

from __future__ import annotations

import itertools
import os
import socket
import struct
from dataclasses import dataclass
from typing import Callable

from gameday.probes.base import Failed, Outcome, Schedule, Target, Value
from gameday.probes.deadline import Deadline

ECHO_REQUEST = 8
ECHO_REPLY = 0


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
        address = next(a for a in target.addresses if ":" not in a)
        numbers = itertools.count(1)
        identifier = int.from_bytes(os.urandom(2), "big")

        def look() -> Outcome:
            deadline = Deadline(schedule.timeout_ns)
            number = next(numbers) & 0xFFFF
            try:
                with socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP) as raw:
                    raw.sendto(echo_request(identifier, number), (address, 0))
                    while True:
                        raw.settimeout(deadline.left_s())
                        packet, (source, _) = raw.recvfrom(2048)
                        if source == address and is_reply(packet, identifier, number):
                            return Value({})
            except (TimeoutError, socket.timeout):
                return Failed(deadline.word())
            except OSError as error:
                return Failed(f"network: {error.strerror}")

        return look


def echo_request(identifier: int, number: int) -> bytes:
    """An ICMP echo request (RFC 792) with an empty payload."""
    head = struct.pack("!BBHHH", ECHO_REQUEST, 0, 0, identifier, number)
    return struct.pack("!BBHHH", ECHO_REQUEST, 0, checksum(head), identifier, number)


def is_reply(packet: bytes, identifier: int, number: int) -> bool:
    """Whether an IPv4 packet holds the reply to that request."""
    if len(packet) < 28:
        return False
    icmp = packet[(packet[0] & 0x0F) * 4 :]
    kind, _, _, ident, seq = struct.unpack("!BBHHH", icmp[:8])
    return bool(kind == ECHO_REPLY and ident == identifier and seq == number)


def checksum(data: bytes) -> int:
    """The Internet checksum of RFC 1071."""
    padded = data + b"\0" * (len(data) % 2)
    total: int = sum(struct.unpack(f"!{len(padded) // 2}H", padded))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


PROBE = Icmp()
