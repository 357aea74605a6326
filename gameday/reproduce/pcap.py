# SPDX-License-Identifier: Apache-2.0
"""A capture of TCP between two hosts to looks, or what is wrong with it. Streaming."""

from __future__ import annotations

import hashlib
import ipaddress
import struct
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO

from gameday.errors import InvalidInput
from gameday.experiment.problems import fail_with
from gameday.reproduce.capture import PCAP_NS, PCAP_US, SECTION, Reader
from gameday.reproduce.connections import BUCKET_MS, NS_PER_MS, Bucket, Connections
from gameday.reproduce.segments import LINKS, Segment, Short, segment
from gameday.reproduce.series import PPM, Look, show_time

BETWEEN = "between"
"""Where a capture was taken that is at neither host."""

PIECE_BYTES = 1 << 20
PAIRS_MAX, PAIRS_SHOWN_MAX = 1000, 12
BACK_NS_MAX = 1_000_000_000
"""Packets of several interfaces may stand a little out of order; a clock that is set stands out."""

MAGICS = {
    struct.pack(order + "I", number) for number in (PCAP_US, PCAP_NS, SECTION) for order in "<>"
}


@dataclass(frozen=True)
class Hosts:
    """The two hosts of a path, and where the capture was taken: at one of them, or between."""

    ends: tuple[str, str]
    at: str


@dataclass
class Seen:
    """What a capture has, whatever was asked for: pairs of hosts by packets, and what is wrong."""

    pairs: dict[tuple[str, str], int] = field(default_factory=dict)
    short: int = 0
    links: set[int] = field(default_factory=set)
    last_ns: int = 0


class Hashed:
    """A file that is digested while it is read."""

    def __init__(self, file: BinaryIO) -> None:
        self._file, self.digest = file, hashlib.sha256()

    def read(self, size: int) -> bytes:
        """As a file's."""
        content = self._file.read(size)
        self.digest.update(content)
        return content


def is_capture(path: Path) -> bool:
    """Whether a file begins like one."""
    with path.open("rb") as file:
        return file.read(4) in MAGICS


def parse_hosts(ends: str, at: str) -> Hosts:
    """``198.51.100.1,203.0.113.7`` and where the capture was taken.

    Raises:
        InvalidInput: for anything else; where it was taken is never guessed.
    """
    try:
        a, b = (str(ipaddress.ip_address(one.strip())) for one in ends.split(","))
        where = at if at == BETWEEN else str(ipaddress.ip_address(at))
    except ValueError as error:
        raise InvalidInput(f"--hosts {ends} --captured-at {at or '?'}: {error}",
                           "write --hosts 198.51.100.1,203.0.113.7 and --captured-at with one of "
                           f"the two, or {BETWEEN}") from error  # fmt: skip
    if a == b or where not in (a, b, BETWEEN):
        raise InvalidInput(f"--captured-at {where}: is neither {a} nor {b}",
                           f"say which, or {BETWEEN}")  # fmt: skip
    return Hosts((a, b), where)


def read_capture(path: Path, hosts: Hosts | None) -> tuple[tuple[Look, ...], str, tuple[str, ...]]:
    """Looks of a capture, the digest of its bytes, and what its reader should know.

    Raises:
        InvalidInput: where it is no capture, is damaged, or does not tell about these hosts.
    """
    connections, seen = Connections(), Seen()
    try:
        with path.open("rb") as raw:
            hashed = Hashed(raw)
            reader = Reader(hashed, str(path))
            _walk(reader, hosts, connections, seen)
            while hashed.read(PIECE_BYTES):
                """To the end, whatever made us stop: the digest is of the whole file."""
    except OSError as error:
        raise InvalidInput(f"{path} cannot be read: {error.strerror}") from error
    if hosts is None:
        fail_with(str(path), [f"{path}: is a capture; say of which hosts, and where it was taken: "
                              f"--hosts A,B --captured-at A. It has {_pairs(seen)}"])  # fmt: skip
    _check(str(path), hosts, connections, seen)
    looks = _looks(connections.buckets, hosts)
    if not any(look.rtt_us is not None for look in looks):
        fail_with(str(path), [f"{path}: no time stamp of {hosts.ends[0]} and {hosts.ends[1]} was "
                              "echoed; does the capture have both directions?"])  # fmt: skip
    return looks, hashed.digest.hexdigest(), tuple(_warnings(str(path), reader, connections, seen))


def _walk(reader: Reader, hosts: Hosts | None, connections: Connections, seen: Seen) -> None:
    wanted = frozenset(hosts.ends) if hosts else frozenset()
    for frame in reader.frames():
        if frame.link not in LINKS:
            seen.links.add(frame.link)
            continue
        if frame.at_ns < seen.last_ns - BACK_NS_MAX:
            when = show_time(frame.at_ns // NS_PER_MS)
            what = f"packet {frame.number} is of {when}, more than a second before an earlier one"
            fail_with(reader.name, [f"{reader.name}: {what}; was a clock set?"])
        seen.last_ns = max(seen.last_ns, frame.at_ns)
        try:
            one = segment(frame.link, frame.content)
        except Short:
            seen.short += 1
            continue
        if one is not None:
            _count(seen, one)
            if {one.source[0], one.target[0]} == wanted:
                connections.add(frame.at_ns, one)


def _count(seen: Seen, one: Segment) -> None:
    a, b = sorted((one.source[0], one.target[0]))
    if (a, b) in seen.pairs or len(seen.pairs) < PAIRS_MAX:
        seen.pairs[a, b] = seen.pairs.get((a, b), 0) + 1


def _check(file: str, hosts: Hosts, connections: Connections, seen: Seen) -> None:
    """Why a capture tells nothing about these hosts, the most basic reason first."""
    if connections.stamped:
        return
    a, b = hosts.ends
    if connections.bare:
        fail_with(file, [f"{file}: none of {connections.bare} TCP segments between {a} and {b} has "
                         "time stamps (RFC 7323), so no round trip is known: are they off at a "
                         "host (net.ipv4.tcp_timestamps), or taken out on the way?"])  # fmt: skip
    if seen.short and not seen.pairs:
        fail_with(file, [f"{file}: {seen.short} packets are cut off before the end of TCP's head: "
                         "the snaplen is too short; capture with tcpdump -s 128"])  # fmt: skip
    if seen.links and not seen.pairs:
        names = ", ".join(str(link) for link in sorted(seen.links))
        fail_with(file, [f"{file}: link type {names} is not one that is read (Ethernet, Linux "
                         "cooked, raw IP, loopback); capture on another interface"])  # fmt: skip
    fail_with(file, [f"{file}: has no TCP between {a} and {b}; it has {_pairs(seen)}"])


def _pairs(seen: Seen) -> str:
    busiest = sorted(seen.pairs.items(), key=lambda item: -item[1])[:PAIRS_SHOWN_MAX]
    listed = "; ".join(f"{a},{b} ({count} segments)" for (a, b), count in busiest)
    return listed or "no TCP at all"


def _looks(buckets: Mapping[int, Bucket], hosts: Hosts) -> tuple[Look, ...]:
    found: list[Look] = []
    for number, bucket in sorted(buckets.items()):
        rtt_ns, sent_ns = _round_trip(bucket, hosts)
        if rtt_ns is None and not bucket.again:
            # Acknowledgements alone, or data whose echo never came: nothing is known of the path.
            continue
        middle = number * BUCKET_MS + BUCKET_MS // 2
        at_ms = middle if rtt_ns is None else sent_ns // NS_PER_MS
        lost = bucket.again * PPM // bucket.sent if bucket.sent else 0
        rtt_us = None if rtt_ns is None else max(1, rtt_ns // 1000)
        found.append(Look(len(found) + 1, at_ms, rtt_us, lost))
    return tuple(found)


def _round_trip(bucket: Bucket, hosts: Hosts) -> tuple[int | None, int]:
    """The path's round trip, and when it was sent; between the hosts both loops add up."""
    needed = [end for end in hosts.ends if end != hosts.at]
    loops = [bucket.loops[end] for end in needed if end in bucket.loops]
    if len(loops) < len(needed):
        return None, 0
    return sum(took for took, _ in loops), min(sent for _, sent in loops)


def _warnings(file: str, reader: Reader, connections: Connections, seen: Seen) -> list[str]:
    found = []
    if reader.ended_early:
        found.append(f"{file}: ends in the middle of packet {reader.number + 1}; what is before it "
                     "counts")  # fmt: skip
    if seen.short:
        found.append(f"{file}: {seen.short} packets are cut off before the end of TCP's head "
                     "(snaplen), and do not count")  # fmt: skip
    if connections.bare:
        found.append(f"{file}: {connections.bare} of {connections.bare + connections.stamped} "
                     "segments have no time stamps; of them only losses count")  # fmt: skip
    return found
