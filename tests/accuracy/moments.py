# SPDX-License-Identifier: Apache-2.0
"""What truly happened in a run, from the oracle's captures and the servers' own logs alone.

Every moment is an interval too, as narrow as the traffic is dense: wall clock, ns.
"""

from __future__ import annotations

import bisect
import json
import re
import struct
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import lru_cache
from itertools import accumulate
from pathlib import Path
from typing import Any

import dns.message
import dns.rdatatype

from gameday.clock import NS_PER_S, Interval
from gameday.lab import topology as t
from tests.accuracy.oracle import PULSE_PORT
from tests.accuracy.pcap import FROM_US, TCP, TO_US, UDP, Packet, packets

STATUS = b"POST /v3/maintenance/status"
FIELDS = (b"leader", b"raftTerm", b"raftAppliedIndex")
BECAME = re.compile(r"raft(\S+ \S+) INFO: \S+ became leader at term (\d+)")
INDEX_LAG_MAX = 100
"""As quorum-recovery has it."""


@dataclass(frozen=True)
class Moments:
    """The true moments of one run; None where the captures do not show it.

    Attributes:
        onset, end: between two numbered packets of which one passed and the other did not; of
        stopped processes, from the first to the last.
        alert: the first notification on the wire that names the fault.
        withdrawn: per server, between its last answer with the site and its first without.
        written: the first acknowledgement of a write that was sent after onset, to a member of
        the majority. recovered: the last member answered that it follows the final leader in the
        final term and was caught up. won: per term, when its leader says that it became so.
    """

    onset: Interval | None
    end: Interval | None
    alert: Interval | None
    withdrawn: dict[str, Interval]
    written: Interval | None
    recovered: Interval | None
    won: dict[int, Interval] = field(default_factory=dict)


def read(directory: Path, site: str, alerts: Sequence[str]) -> Moments:
    """The moments of a run in which ``site`` was hit."""
    known = json.loads((directory / "oracle.json").read_bytes())
    paused = bool(known["paused"])
    if paused:
        onset, end = _stopped(directory)
    else:
        onset, end = _cut(directory, known["sender"], known["receiver"])
    if onset is None or end is None:
        return Moments(onset, end, None, {}, None, None)
    # A site that is cut off hands out what it likes: nobody hears it.
    servers = [one.name for one in t.with_role("gslb") if paused or one.site != site]
    members = [one.name for one in t.with_role("etcd") if one.site != site]
    addresses = frozenset(t.v4(one) for one in t.NODES if one.site == site)
    withdrawn = {s: _withdrawn(directory, s, addresses, end) for s in servers}
    acks = [_acknowledged(directory, member, onset) for member in members]
    found = [ack for ack in acks if ack is not None]
    return Moments(
        onset, end, _alert(directory, alerts, site, onset),
        {s: moment for s, moment in withdrawn.items() if moment is not None},
        min(found, key=lambda i: i.hi) if found else None, _recovered(directory, end),
        _won(directory),
    )  # fmt: skip


def _stopped(directory: Path) -> tuple[Interval | None, Interval | None]:
    """From the first process stopped to the last, and from the first that went on to the last."""
    changes = [
        line for node in t.NODES for line in _lines(directory, node.name) if line["kind"] == "state"
    ]
    stops = [line for line in changes if line["stopped"]]
    resumed = [line for line in changes if not line["stopped"]]
    if not stops or len(stops) != len(resumed):
        return None, None
    return _hull(stops), _hull(resumed)


def _hull(changes: Sequence[Any]) -> Interval:
    return Interval(min(c["lo"] for c in changes), max(c["hi"] for c in changes))


def _cut(
    directory: Path, sender: str, receiver: str
) -> tuple[Interval | None, Interval | None]:  # fmt: skip
    """Where the numbered packets ended and went on: refused on their way out, or not let in."""
    refused = {
        node.name: [line for line in _lines(directory, node.name) if line["kind"] == "refused"]
        for node in t.NODES
    }
    if not refused[sender]:
        return _not_let_in(directory, receiver)
    each = [_never_left(directory, name, lines) for name, lines in refused.items() if lines]
    onsets, ends = [onset for onset, _ in each if onset], [end for _, end in each if end]
    if len(onsets) != len(each) or len(ends) != len(each):
        return None, None
    return _all_of(onsets), _all_of(ends)


def _all_of(found: Sequence[Interval]) -> Interval:
    return Interval(min(i.lo for i in found), max(i.hi for i in found))


def _never_left(
    directory: Path, sender: str, refused: Sequence[Any]
) -> tuple[Interval | None, Interval | None]:
    """Between packets on the sender's wire and those for which its kernel had no way."""
    left = [
        packet.at
        for packet in packets(directory / f"{sender}.pcap")
        if packet.protocol == UDP and packet.way == FROM_US and packet.target[1] == PULSE_PORT
    ]
    first, last = refused[0], refused[-1]
    before = bisect.bisect_left(left, first["end"])
    after = bisect.bisect_right(left, last["begin"])
    if before == 0 or after == len(left):
        return None, None
    return Interval(left[before - 1], first["end"]), Interval(last["begin"], left[after])


def _not_let_in(
    directory: Path, receiver: str
) -> tuple[Interval | None, Interval | None]:  # fmt: skip
    """The longest run of numbered packets that arrived at the node and were not let in."""
    taken = {line["number"] for line in _lines(directory, receiver) if line["kind"] == "pulse"}
    arrived = [
        (struct.unpack("!Q", packet.payload[:8])[0], packet.at)
        for packet in packets(directory / f"{receiver}.pcap")
        if packet.protocol == UDP and packet.way == TO_US and packet.target[1] == PULSE_PORT
    ]
    best, begin = (0, 0), None
    for place, (number, _) in enumerate([*arrived, (-1, 0)]):
        inside = number >= 0 and number not in taken
        if inside and begin is None:
            begin = place
        elif not inside and begin is not None:
            best, begin = max(best, (begin, place), key=lambda r: r[1] - r[0]), None
    first, after = best
    if not 0 < first < after < len(arrived):
        return None, None
    onset = Interval(arrived[first - 1][1], arrived[first][1])
    return onset, Interval(arrived[after - 1][1], arrived[after][1])


def _withdrawn(
    directory: Path, server: str, addresses: frozenset[str], end: Interval
) -> Interval | None:
    """Between the last answer with the site before the fault's end and the first without."""
    answers = [
        (packet.at, bool(addresses & _addresses(packet.payload[2:])))
        for packet in packets(directory / f"{server}.pcap")
        if packet.protocol == UDP and packet.source == (t.v4(t.node(server)), 53)
        and packet.at < end.lo and packet.way in (TO_US, FROM_US)
    ]  # fmt: skip
    withs = [at for at, handed in answers if handed]
    withouts = [at for at, handed in answers if not handed and withs and at > withs[-1]]
    return Interval(withs[-1], withouts[0]) if withs and withouts else None


@lru_cache(maxsize=256)
def _addresses(answer_without_id: bytes) -> frozenset[str]:
    message = dns.message.from_wire(b"\0\0" + answer_without_id)
    return frozenset(
        item.address
        for rrset in message.answer if rrset.rdtype == dns.rdatatype.A
        for item in rrset
    )  # fmt: skip


def _acknowledged(directory: Path, member: str, onset: Interval) -> Interval | None:
    """The first "200" to a write whose request was on the wire after onset."""
    address = t.v4(t.node(member))
    asked: dict[tuple[str, int], int] = {}
    for packet in packets(directory / f"{member}.pcap"):
        if packet.protocol != TCP:
            continue
        if packet.target[1] == t.ETCD_CLIENT and packet.payload.startswith(b"POST /v3/kv/put"):
            asked[packet.source] = packet.at
        elif packet.source[0] in (address, "127.0.0.1") and packet.source[1] == t.ETCD_CLIENT:
            sent = asked.get(packet.target)
            if sent is not None and packet.payload.startswith(b"HTTP/1.1 "):
                if sent > onset.hi and packet.payload.startswith(b"HTTP/1.1 200"):
                    return Interval(packet.at, packet.at)
                asked.pop(packet.target)
    return None


def _alert(directory: Path, alerts: Sequence[str], site: str, onset: Interval) -> Interval | None:
    """When the last byte of the first notification that names the fault was on the wire."""
    bodies: dict[tuple[str, int], bytes] = {}
    for packet in packets(directory / "mon-1.pcap"):
        if not _to_webhook(packet) or packet.at < onset.lo:
            continue
        if packet.payload.startswith(b"POST "):
            bodies[packet.source] = b""
        bodies[packet.source] = bodies.get(packet.source, b"") + packet.payload
        told = _notification(bodies[packet.source])
        for alert in told.get("alerts", ()):
            labels = alert["labels"]
            named = labels["alertname"] in alerts and labels.get("site") == site
            if named and alert["status"] == "firing":
                return Interval(packet.at, packet.at)
    return None


def _to_webhook(packet: Packet) -> bool:
    to_us = packet.protocol == TCP and packet.target[1] == t.WEBHOOK_PORT
    # On the loopback every packet is captured twice, leaving and arriving.
    return to_us and packet.way == TO_US and bool(packet.payload)


def _notification(request: bytes) -> dict[str, Any]:
    head, _, body = request.partition(b"\r\n\r\n")
    size = re.search(rb"content-length: (\d+)", head, re.I)
    if size is None or len(body) < int(size[1]):
        return {}
    found: dict[str, Any] = json.loads(body[: int(size[1])])
    return found


@dataclass(frozen=True)
class Stood:
    """How a member stood at some moment between its question and its answer."""

    asked: int
    answered: int
    final: tuple[bytes, bytes]
    index: int


def _recovered(directory: Path, end: Interval) -> Interval | None:
    """When the last member had the final leader and term and was caught up, and stayed so."""
    stood = {one.name: _stood(directory, one.name) for one in t.with_role("etcd")}
    if not all(stood.values()) or len({each[-1].final for each in stood.values()}) != 1:
        return None
    reached = sorted((s.answered, s.index) for each in stood.values() for s in each)
    moments, highest = [r[0] for r in reached], list(accumulate((r[1] for r in reached), max))
    changes = []
    for each in stood.values():
        final, olds = each[-1].final, []
        for one in each:
            at = bisect.bisect_right(moments, one.asked)
            behind = (highest[at - 1] if at else 0) - one.index
            if one.final != final or behind >= INDEX_LAG_MAX:
                olds.append(one)
        if olds:
            news = [one for one in each if one.asked >= olds[-1].answered]
            if not news:
                return None
            changes.append(Interval(olds[-1].asked, news[0].answered))
    if not changes:
        return end
    return Interval(max(c.lo for c in changes), max(c.hi for c in changes))


def _won(directory: Path) -> dict[int, Interval]:
    """Per term, the second in which its leader wrote that it became one."""
    found = {}
    for member in t.with_role("etcd"):
        text = (directory / f"{member.name}.etcd.log").read_text(encoding="utf-8", errors="replace")
        for stamp, term in BECAME.findall(text):
            # etcd writes local time, in whole seconds.
            second = int(datetime.strptime(stamp, "%Y/%m/%d %H:%M:%S").timestamp())
            found[int(term)] = Interval(second * NS_PER_S, (second + 1) * NS_PER_S)
    return found


def _stood(directory: Path, member: str) -> list[Stood]:
    asked: dict[tuple[str, int], int] = {}
    found = []
    for packet in packets(directory / f"{member}.pcap"):
        if packet.protocol != TCP:
            continue
        if packet.target[1] == t.ETCD_CLIENT and packet.payload.startswith(STATUS):
            asked[packet.source] = packet.at
        elif packet.source[1] == t.ETCD_CLIENT and packet.payload.startswith(b"HTTP/1.1 200"):
            values = {name: _value(packet.payload, name) for name in FIELDS}
            sent = asked.pop(packet.target, None)
            if sent is None or not values[b"raftTerm"]:
                continue
            final = (values[b"leader"], values[b"raftTerm"])
            index = int(values[b"raftAppliedIndex"] or 0)
            found.append(Stood(sent, packet.at, final, index))
    return found


def _value(answer: bytes, name: bytes) -> bytes:
    found = re.search(rb'"' + name + rb'":"([^"]*)"', answer)
    return found[1] if found else b""


def _lines(directory: Path, node: str) -> list[dict[str, Any]]:
    path = directory / f"{node}.jsonl"
    text = path.read_text(encoding="utf-8") if path.exists() else ""
    return [json.loads(line) for line in text.split("\n")[:-1]]
