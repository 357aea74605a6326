# SPDX-License-Identifier: Apache-2.0
"""A captured frame to the TCP segment in it: addresses, sequence, time stamps. Pure.

Link types are those of tcpdump.org/linktypes.html; time stamps those of RFC 7323, section 3.2.
"""

from __future__ import annotations

import ipaddress
import struct
from dataclasses import dataclass
from functools import lru_cache

TCP = 6
IPV4, IPV6 = 0x0800, 0x86DD
VLANS = (0x8100, 0x88A8)
TUNNELLED_MAX = 4
EXTENSIONS = (0, 43, 60)
"""IPv6 headers that may stand before TCP: hop-by-hop, routing, destination options."""

NULL, ETHERNET, RAW_BSD, RAW_OPENBSD, RAW, LOOP, COOKED, RAW4, RAW6, COOKED2 = (
    0, 1, 12, 14, 101, 108, 113, 228, 229, 276
)  # fmt: skip
BARE = (RAW_BSD, RAW_OPENBSD, RAW, RAW4, RAW6)
LINKS = (NULL, ETHERNET, LOOP, COOKED, COOKED2, *BARE)
FIN, SYN, RST = 1, 2, 4
TIMESTAMPS = 8


class Short(Exception):
    """A segment's head was not captured whole."""


@dataclass(frozen=True)
class Segment:
    """One TCP segment.

    Attributes:
        source, target: address and port. seq: of its first byte. size: bytes of payload, plus one
        for each of SYN and FIN. flags: SYN, FIN, RST. stamp, echo: TSval and TSecr; None without.
    """

    source: tuple[str, int]
    target: tuple[str, int]
    seq: int
    size: int
    flags: int
    stamp: int | None
    echo: int | None


def segment(link: int, frame: bytes) -> Segment | None:
    """The TCP segment of a frame; none where it carries something else, or a fragment.

    Raises:
        Short: where the capture's snaplen cut off what is needed.
    """
    start = _network(link, frame)
    if start is None:
        return None
    if len(frame) <= start:
        raise Short
    version = frame[start] >> 4
    if version == 4:
        return _ipv4(frame, start)
    return _ipv6(frame, start) if version == 6 else None


def _network(link: int, frame: bytes) -> int | None:
    """Where the IP header begins; none where the frame is none of IP."""
    if link in BARE:
        return 0
    if link in (NULL, LOOP):
        return 4
    at = {ETHERNET: 12, COOKED: 14, COOKED2: 0}[link]
    kind = _u16(frame, at)
    at += 20 if link == COOKED2 else 2
    for _ in range(TUNNELLED_MAX):
        if kind not in VLANS:
            break
        kind, at = _u16(frame, at + 2), at + 4
    return at if kind in (IPV4, IPV6) else None


def _ipv4(frame: bytes, start: int) -> Segment | None:
    if len(frame) < start + 20:
        raise Short
    if frame[start + 9] != TCP or _u16(frame, start + 6) & 0x3FFF:
        return None
    head, whole = (frame[start] & 15) * 4, _u16(frame, start + 2)
    ends = frame[start + 12 : start + 16], frame[start + 16 : start + 20]
    # Offloaded to the card, a segment may be longer than its header can say.
    size = whole - head if whole else len(frame) - start - head
    return _tcp(frame, start + head, size, ends)


def _ipv6(frame: bytes, start: int) -> Segment | None:
    if len(frame) < start + 40:
        raise Short
    ends = frame[start + 8 : start + 24], frame[start + 24 : start + 40]
    kind, at, size = frame[start + 6], start + 40, _u16(frame, start + 4)
    end = at + size if size else len(frame)
    for _ in range(TUNNELLED_MAX):
        if kind not in EXTENSIONS:
            break
        if len(frame) < at + 8:
            raise Short
        kind, at = frame[at], at + (frame[at + 1] + 1) * 8
    return _tcp(frame, at, end - at, ends) if kind == TCP else None


def _tcp(frame: bytes, at: int, size: int, ends: tuple[bytes, bytes]) -> Segment:
    if len(frame) < at + 20:
        raise Short
    sport, dport, seq = struct.unpack_from("!HHI", frame, at)
    head, flags = (frame[at + 12] >> 4) * 4, frame[at + 13] & (FIN | SYN | RST)
    if len(frame) < at + head:
        raise Short
    stamp, echo = _stamps(frame[at + 20 : at + head])
    counted = max(0, size - head) + bool(flags & SYN) + bool(flags & FIN)
    source, target = _address(ends[0]), _address(ends[1])
    return Segment((source, sport), (target, dport), seq, counted, flags, stamp, echo)


@lru_cache(maxsize=4096)
def _address(packed: bytes) -> str:
    return str(ipaddress.ip_address(packed))


def _stamps(options: bytes) -> tuple[int | None, int | None]:
    at = 0
    while at < len(options):
        kind = options[at]
        if kind == 0:
            break
        if kind == 1:
            at += 1
            continue
        size = options[at + 1] if at + 1 < len(options) else 0
        if size < 2:
            break
        if kind == TIMESTAMPS and size == 10 and at + 10 <= len(options):
            stamp, echo = struct.unpack_from("!II", options, at + 2)
            return stamp, echo
        at += size
    return None, None


def _u16(frame: bytes, at: int) -> int:
    if len(frame) < at + 2:
        raise Short
    return frame[at] << 8 | frame[at + 1]
