# SPDX-License-Identifier: Apache-2.0
"""Captures as tcpdump and Wireshark write them (pcap, pcapng), packet by packet. No packet is kept.

Formats: draft-ietf-opsawg-pcap and draft-ietf-opsawg-pcapng. Why our own: docs/decisions/0012.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Protocol

from gameday.errors import InvalidInput

PCAP_US, PCAP_NS, SECTION = 0xA1B2C3D4, 0xA1B23C4D, 0x0A0D0D0A
BYTE_ORDER = 0x1A2B3C4D
INTERFACE, SIMPLE, ENHANCED = 1, 3, 6
RESOLUTION, OFFSET = 9, 14
BLOCK_BYTES_MAX = 16 * 1024 * 1024
"""Jumbo frames are 64 KiB; a longer block is damage, not a packet."""

INTERFACES_MAX = 1000
NS = 1_000_000_000


class Readable(Protocol):
    """What is needed of a file."""

    def read(self, size: int, /) -> bytes:
        """At most so many bytes; fewer at the end alone."""


@dataclass(frozen=True)
class Frame:
    """One packet as it was captured: number from 1, ns since the epoch, link type, bytes."""

    number: int
    at_ns: int
    link: int
    content: bytes
    cut: bool


@dataclass
class Reader:
    """Reads frames; afterwards says whether the file ended in the middle of one."""

    file: Readable
    name: str
    ended_early: bool = field(default=False, init=False)
    number: int = field(default=0, init=False)

    def frames(self) -> Iterator[Frame]:
        """Every frame in order.

        Raises:
            InvalidInput: where it is no capture, or damaged.
        """
        magic = self.file.read(4)
        for order in "<>":
            if len(magic) < 4:
                break
            (found,) = struct.unpack(order + "I", magic)
            if found in (PCAP_US, PCAP_NS):
                yield from self._pcap(order, NS // (1_000_000 if found == PCAP_US else NS))
                return
            if found == SECTION:
                yield from self._pcapng(magic)
                return
        raise InvalidInput(
            f"{self.name}: is no pcap and no pcapng file", "write it with tcpdump -w"
        )

    def _pcap(self, order: str, unit_ns: int) -> Iterator[Frame]:
        head = self.file.read(20)
        if len(head) < 20:
            raise InvalidInput(f"{self.name}: ends within its head: nothing was captured")
        link = struct.unpack(order + "HHiIII", head)[5] & 0xFFFF
        record = struct.Struct(order + "IIII")
        while packed := self.file.read(record.size):
            if len(packed) < record.size:
                self.ended_early = True
                return
            seconds, parts, size, whole = record.unpack(packed)
            content = self._content(size)
            if content is None:
                return
            self.number += 1
            at_ns = seconds * NS + parts * unit_ns
            yield Frame(self.number, at_ns, link, content, size < whole)

    def _pcapng(self, first: bytes) -> Iterator[Frame]:
        order, links = "<", list[tuple[int, int, int]]()
        kind_bytes = first
        while kind_bytes:
            if kind_bytes == SECTION.to_bytes(4, "little"):
                order, links = self._section(), []
            else:
                block = self._block(order, kind_bytes)
                if block is None:
                    return
                kind, body = block
                if kind == INTERFACE:
                    links.append(self._interface(order, body, len(links)))
                elif kind == ENHANCED:
                    yield self._enhanced(order, body, links)
                elif kind == SIMPLE:
                    raise InvalidInput(f"{self.name}: its packets bear no time (simple packet "
                                       "blocks)", "capture with tcpdump or dumpcap")  # fmt: skip
            kind_bytes = self.file.read(4)
            if 0 < len(kind_bytes) < 4:
                self.ended_early = True
                return

    def _section(self) -> str:
        """A section's head; its byte order."""
        head = self.file.read(8)
        if len(head) < 8:
            raise self._damaged()
        order = next((o for o in "<>" if struct.unpack(o + "I", head[4:])[0] == BYTE_ORDER), "")
        size = struct.unpack((order or "<") + "I", head[:4])[0]
        if not order or not 28 <= size <= BLOCK_BYTES_MAX or size % 4:
            raise self._damaged()
        if len(self.file.read(size - 12)) < size - 12:
            raise self._damaged()
        return order

    def _block(self, order: str, kind_bytes: bytes) -> tuple[int, bytes] | None:
        """A block's kind and body; none where the file ends within it."""
        length = self.file.read(4)
        if len(length) < 4:
            self.ended_early = True
            return None
        (kind,), (size,) = (
            struct.unpack(order + "I", kind_bytes),
            struct.unpack(order + "I", length),
        )
        if not 12 <= size <= BLOCK_BYTES_MAX or size % 4:
            raise self._damaged()
        rest = self.file.read(size - 8)
        if len(rest) < size - 8:
            self.ended_early = True
            return None
        return kind, rest[:-4]

    def _interface(self, order: str, body: bytes, before: int) -> tuple[int, int, int]:
        """Link type, ticks per second, and seconds to add to every stamp."""
        if len(body) < 8 or before >= INTERFACES_MAX:
            raise self._damaged()
        ticks, offset, at = 1_000_000, 0, 8
        while at + 4 <= len(body):
            code, size = struct.unpack_from(order + "HH", body, at)
            value = body[at + 4 : at + 4 + size]
            if code == RESOLUTION and len(value) == 1:
                ticks = 2 ** (value[0] & 0x7F) if value[0] & 0x80 else 10 ** value[0]
            elif code == OFFSET and len(value) == 8:
                (offset,) = struct.unpack(order + "q", value)
            elif code == 0:
                break
            at += 4 + (size + 3) // 4 * 4
        return struct.unpack_from(order + "H", body)[0], ticks, offset

    def _enhanced(self, order: str, body: bytes, links: list[tuple[int, int, int]]) -> Frame:
        if len(body) < 20:
            raise self._damaged()
        which, high, low, size, whole = struct.unpack_from(order + "IIIII", body)
        if which >= len(links) or 20 + size > len(body):
            raise self._damaged()
        link, ticks, offset = links[which]
        self.number += 1
        at_ns = ((high << 32) + low) * NS // ticks + offset * NS
        return Frame(self.number, at_ns, link, body[20 : 20 + size], size < whole)

    def _content(self, size: int) -> bytes | None:
        if size > BLOCK_BYTES_MAX:
            raise self._damaged()
        content = self.file.read(size)
        if len(content) < size:
            self.ended_early = True
            return None
        return content

    def _damaged(self) -> InvalidInput:
        return InvalidInput(f"{self.name}: is damaged after packet {self.number}",
                            "capture again, or cut it there with editcap")  # fmt: skip
