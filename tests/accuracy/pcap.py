# SPDX-License-Identifier: Apache-2.0
"""Reads what tcpdump wrote (nanosecond pcap, Linux cooked): IPv4 with UDP or TCP."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from gameday.clock import NS_PER_S

MAGIC_NS = 0xA1B23C4D
HEADER, PACKET, COOKED = 24, 16, 16
IPV4, TCP, UDP = 0x0800, 6, 17
TO_US, FROM_US = 0, 4
"""Whether a packet came to the node or was sent by it."""


@dataclass(frozen=True)
class Packet:
    """One packet; ``at`` is the kernel's stamp, wall clock, ns."""

    at: int
    way: int
    protocol: int
    source: tuple[str, int]
    target: tuple[str, int]
    payload: bytes


def packets(path: Path) -> Iterator[Packet]:
    """All packets of a capture, in order; an unfinished last one is left out.

    Raises:
        ValueError: where it is not such a capture.
    """
    data = path.read_bytes()
    if len(data) < HEADER or struct.unpack_from("<I", data)[0] != MAGIC_NS:
        raise ValueError(f"{path} is not a nanosecond capture")
    at = HEADER
    while at + PACKET <= len(data):
        seconds, nanoseconds, size, _ = struct.unpack_from("<IIII", data, at)
        at += PACKET
        if at + size > len(data):
            return
        found = _parse(seconds * NS_PER_S + nanoseconds, data[at : at + size])
        at += size
        if found is not None:
            yield found


def _parse(at: int, frame: bytes) -> Packet | None:
    way, kind = struct.unpack_from("!H", frame)[0], struct.unpack_from("!H", frame, 14)[0]
    ip = frame[COOKED:]
    if kind != IPV4 or len(ip) < 20:
        return None
    inner = (ip[0] & 15) * 4
    size = struct.unpack_from("!H", ip, 2)[0]
    source, target = _text(ip[12:16]), _text(ip[16:20])
    body = ip[inner:size]
    if ip[9] == UDP and len(body) >= 8:
        start = 8
    elif ip[9] == TCP and len(body) >= 20:
        start = (body[12] >> 4) * 4
    else:
        return None
    a, b = struct.unpack_from("!HH", body)
    return Packet(at, way, ip[9], (source, a), (target, b), body[start:])


def _text(address: bytes) -> str:
    return ".".join(str(byte) for byte in address)
