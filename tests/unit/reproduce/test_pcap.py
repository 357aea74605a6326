# SPDX-License-Identifier: Apache-2.0
"""Captures made byte by byte, so that every round trip and loss in them is known.

``test_real_captures.py`` has what tcpdump wrote.
"""

from __future__ import annotations

import hashlib
import ipaddress
import struct
from collections.abc import Sequence
from pathlib import Path

import pytest

from gameday.errors import InvalidInput
from gameday.reproduce.connections import BUCKET_MS, WAITING_MAX, Connections, _later
from gameday.reproduce.pcap import BETWEEN, Hosts, parse_hosts
from gameday.reproduce.read import Asked, Evidence, read
from gameday.reproduce.segments import COOKED, COOKED2, ETHERNET, LOOP, RAW, Segment

A, B = ("10.0.0.1", 4000), ("10.0.0.2", 80)
A6, B6 = ("2001:db8::1", 4000), ("2001:db8::2", 80)
AT_A = Hosts((A[0], B[0]), A[0])
T0_NS = 1_772_330_400_000_000_000
MS = 1_000_000

Packet = tuple[int, bytes]
"""When, in ns, and its bytes from IP on."""


def packet(  # noqa: PLR0917 - a packet has that many parts
    at_ms: float, source: tuple[str, int], target: tuple[str, int], seq: int, size: int = 0,
    stamps: tuple[int, int] | None = (1, 0), flags: int = 16,
) -> Packet:  # fmt: skip
    """A segment over IPv4 or IPv6."""
    options = b"" if stamps is None else b"\x01\x01" + struct.pack("!BBII", 8, 10, *stamps)
    head = struct.pack("!HHIIBBHHH", source[1], target[1], seq, 0, (20 + len(options)) // 4 << 4,
                       flags, 0, 0, 0)  # fmt: skip
    tcp = head + options + bytes(size)
    ends = b"".join(ipaddress.ip_address(one[0]).packed for one in (source, target))
    if ":" in source[0]:
        hop = struct.pack("!BB6x", 6, 0)
        ip = struct.pack("!IHBB", 6 << 28, len(hop) + len(tcp), 0, 64) + ends + hop
    else:
        ip = struct.pack("!BBHHHBBH", 0x45, 0, 20 + len(tcp), 0, 0, 64, 6, 0) + ends
    return T0_NS + int(at_ms * MS), ip + tcp


def framed(link: int, content: bytes) -> bytes:
    """The bytes of a packet, as the link type has them."""
    kind = 0x86DD if content[0] >> 4 == 6 else 0x0800
    heads = {
        ETHERNET: bytes(12) + struct.pack("!HHH", 0x8100, 7, kind),
        COOKED: bytes(14) + struct.pack("!H", kind), COOKED2: struct.pack("!H", kind) + bytes(18),
        RAW: b"", LOOP: struct.pack("!I", 2),
    }  # fmt: skip
    return heads[link] + content


def pcap(packets: Sequence[Packet], link: int = RAW, order: str = "<", snap: int = 65_535) -> bytes:
    """A file with nanoseconds."""
    found = struct.pack(order + "IHHiIII", 0xA1B23C4D, 2, 4, 0, 0, snap, link)
    for at, content in packets:
        whole = framed(link, content)
        kept = whole[:snap]
        found += struct.pack(order + "IIII", at // 10**9, at % 10**9, len(kept), len(whole)) + kept
    return found


def block(kind: int, body: bytes) -> bytes:
    body += bytes(-len(body) % 4)
    size = struct.pack("<I", 12 + len(body))
    return struct.pack("<I", kind) + size + body + size


def pcapng(packets: Sequence[Packet], link: int = ETHERNET) -> bytes:
    """A file with microseconds minus one second, which an option says, and a block of no use."""
    section = block(0x0A0D0D0A, struct.pack("<IHHq", 0x1A2B3C4D, 1, 0, -1))
    options = struct.pack("<HHB3xHHqHH", 9, 1, 6, 14, 8, 1, 0, 0)
    found = section + block(1, struct.pack("<HHI", link, 0, 0) + options) + block(5, bytes(8))
    for at, content in packets:
        frame, us = framed(link, content), (at - 10**9) // 1000
        sizes = (len(frame), len(frame))
        found += block(6, struct.pack("<IIIII", 0, us >> 32, us & 0xFFFFFFFF, *sizes) + frame)
    return found


def talk(rtt_ms: float = 30, rounds: int = 10, a: tuple[str, int] = A, b: tuple[str, int] = B,
         ) -> list[Packet]:  # fmt: skip
    """A sends 100 bytes every 200 ms, captured at A; B acknowledges one round trip later."""
    found = []
    for n in range(rounds):
        found.append(packet(200 * n + 10, a, b, 1000 + 100 * n, 100, (500 + n, 7)))
        found.append(packet(200 * n + 10 + rtt_ms, b, a, 1, 0, (900 + n, 500 + n)))
    return found


def reading(tmp_path: Path, content: bytes, hosts: Hosts | None = AT_A) -> Evidence:
    path = tmp_path / "night.pcap"
    path.write_bytes(content)
    return read(path, Asked({}, hosts=hosts))


@pytest.mark.parametrize("link", [ETHERNET, COOKED, COOKED2, RAW, LOOP])
def test_a_time_stamp_that_comes_back_is_a_round_trip(tmp_path: Path, link: int) -> None:
    found = reading(tmp_path, pcap(talk(), link))
    assert [look.rtt_us for look in found.looks] == [30_000] * 10
    assert [look.at_ms - T0_NS // MS for look in found.looks] == [200 * n + 10 for n in range(10)]
    assert {look.loss_ppm for look in found.looks} == {0}
    assert found.sha256 == hashlib.sha256((tmp_path / "night.pcap").read_bytes()).hexdigest()
    assert found.warnings == ()


def test_every_kind_of_file_says_the_same(tmp_path: Path) -> None:
    looks = reading(tmp_path, pcap(talk())).looks
    assert reading(tmp_path, pcap(talk(), order=">")).looks == looks
    assert reading(tmp_path, pcapng(talk())).looks == looks
    six = Hosts((A6[0], B6[0]), A6[0])
    assert reading(tmp_path, pcap(talk(a=A6, b=B6)), six).looks == looks


def test_between_the_hosts_both_loops_add_up(tmp_path: Path) -> None:
    """30 ms to B and back; then A answers B's data within 12 ms."""
    both = [*talk(rounds=1), packet(50, B, A, 1, 10, (950, 500)),
            packet(62, A, B, 1100, 0, (560, 950))]  # fmt: skip
    between = Hosts((A[0], B[0]), BETWEEN)
    assert [x.rtt_us for x in reading(tmp_path, pcap(both), between).looks] == [42_000]
    at_b = Hosts((A[0], B[0]), B[0])
    assert [x.rtt_us for x in reading(tmp_path, pcap(both), at_b).looks] == [12_000]


def test_what_is_sent_again_was_lost_and_what_overtook_was_not(tmp_path: Path) -> None:
    stream = [
        packet(0, A, B, 1000, 100, (500, 1)), packet(1, A, B, 1100, 100, (501, 1)),
        packet(2, A, B, 1300, 100, (503, 1)),
        # Overtaken: older than what came before it. Then sent again, later.
        packet(3, A, B, 1200, 100, (502, 1)), packet(80, A, B, 1300, 100, (580, 1)),
        # A keepalive is no loss.
        packet(90, A, B, 1399, 1, (590, 1)), packet(120, B, A, 1, 0, (9, 580)),
    ]  # fmt: skip
    (look,) = reading(tmp_path, pcap(stream)).looks
    assert look.loss_ppm == 1_000_000 // 5
    assert look.rtt_us == 40_000


def test_the_least_of_a_fifth_of_a_second_counts(tmp_path: Path) -> None:
    stream = [
        packet(10, A, B, 1000, 100, (500, 1)), packet(80, B, A, 1, 0, (9, 500)),
        packet(100, A, B, 1100, 100, (501, 1)), packet(130, B, A, 1, 0, (9, 501)),
        packet(131, B, A, 1, 0, (9, 501)),
    ]  # fmt: skip
    (look,) = reading(tmp_path, pcap(stream)).looks
    assert (look.at_ms - T0_NS // MS, look.rtt_us) == (100, 30_000)


def test_a_file_that_was_cut_counts_up_to_there(tmp_path: Path) -> None:
    for whole in (pcap(talk()), pcapng(talk())):
        found = reading(tmp_path, whole[:-3])
        assert len(found.looks) == 9
        assert "ends in the middle of packet 20" in found.warnings[0]


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (pcap([packet(0, A, B, 1, 5, None)]), "none of 1 TCP segments between 10.0.0.1 and"),
        (pcap(talk(), RAW, snap=40), "the snaplen is too short"),
        (pcap(talk(a=("10.0.0.9", 1)), RAW), "it has 10.0.0.2,10.0.0.9 (20 segments)"),
        (pcap([(T0_NS, b"\x45" + bytes(30))], RAW), "no TCP at all"),
        (struct.pack("<IHHiIII", 0xA1B23C4D, 2, 4, 0, 0, 99, 127)
         + struct.pack("<IIII", 1, 0, 4, 4) + bytes(4), "link type 127 is not one that is read"),
        (pcap([packet(0, A, B, 1, 5, (5, 0))]), "does the capture have both directions?"),
        (pcap([packet(5000, A, B, 1, 5), packet(3000, A, B, 6, 5)]), "was a clock set?"),
        (pcap(talk())[:15], "ends within its head"),
        (pcap([]) + struct.pack("<IIII", 1, 0, 2**31, 2**31), "is damaged after packet 0"),
        (pcapng(talk())[:28] + block(3, bytes(40)), "simple packet blocks"),
        (pcapng(talk())[:28] + block(6, bytes(40)), "is damaged after packet 0"),
        (pcapng(talk())[:28] + b"\1\0\0\0\5\0\0\0", "is damaged after packet 0"),
        (pcapng(talk())[:20], "is damaged after packet 0"),
    ],
)  # fmt: skip
def test_what_a_capture_does_not_say(tmp_path: Path, content: bytes, words: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        reading(tmp_path, content)
    assert words in "\n".join([str(caught.value), *caught.value.problems])


def test_without_hosts_its_pairs_are_listed(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput) as caught:
        reading(tmp_path, pcap(talk()), None)
    assert "10.0.0.1,10.0.0.2 (20 segments)" in "\n".join(caught.value.problems)


@pytest.mark.parametrize(
    ("ends", "at"),
    [("10.0.0.1", "between"), ("a,b", "between"), ("10.0.0.1,10.0.0.2", ""),
     ("10.0.0.1,10.0.0.2", "10.0.0.3"), ("10.0.0.1,10.0.0.1", "between")],
)  # fmt: skip
def test_hosts_are_addresses_and_the_place_is_said(ends: str, at: str) -> None:
    with pytest.raises(InvalidInput):
        parse_hosts(ends, at)


def test_numbers_wrap() -> None:
    assert _later(3, 2**32 - 3) and not _later(2**32 - 3, 3) and not _later(5, 5)


def test_memory_is_bounded_whatever_is_never_echoed() -> None:
    one = Connections()
    for n in range(3 * WAITING_MAX):
        one.add(T0_NS + n * MS, Segment(A, B, n * 10, 10, 0, n, 0))
    (way,) = one._ways.values()
    assert len(way.waiting) == WAITING_MAX
    assert len(one.buckets) == 3 * WAITING_MAX // BUCKET_MS + 1
