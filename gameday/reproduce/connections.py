# SPDX-License-Identifier: Apache-2.0
"""TCP segments between two hosts, one by one, to round trips and losses. Bounded memory; pure.

A round trip is from a segment with data to the first one back that echoes its time stamp (RFC 7323;
Strowes, "Passively Measuring TCP Round-Trip Times", 2013). It is of the loop between the capture
and the host that echoes, and holds that host's delay before it acknowledges: of every
``BUCKET_MS`` the least counts. A loss is a segment that is sent again: it begins below the highest
sequence number seen, and its time stamp is newer than that one's, which tells it from reordering.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass, field

from gameday.errors import InvalidInput
from gameday.reproduce.segments import FIN, RST, SYN, Segment

BUCKET_MS = 200
NS_PER_MS = 1_000_000
BUCKETS_MAX = 500_000
"""A day of them; captures are cut to the incident before they are given to us."""

CONNECTIONS_MAX = 10_000
"""Between one pair of hosts, at a time; the one seen first is forgotten for the next."""

WAITING_MAX = 4096
"""Time stamps of one connection that nobody has echoed yet."""

WAITED_NS_MAX = 60 * 1_000_000_000
"""No longer round trip can be replayed."""

HALF = 1 << 31


@dataclass
class Way:
    """One direction of a connection.

    Attributes:
        waiting: when a time stamp was first sent with data. newest: time stamp that was last put
        there. highest: end of what was sent. stamp: with which time stamp that was.
    """

    waiting: OrderedDict[int, int] = field(default_factory=OrderedDict)
    newest: int | None = None
    highest: int | None = None
    stamp: int | None = None


@dataclass
class Bucket:
    """What a fifth of a second had: least loops by who echoed, as (round trip, sent), in ns."""

    loops: dict[str, tuple[int, int]] = field(default_factory=dict)
    sent: int = 0
    again: int = 0


@dataclass
class Connections:
    """All connections of one pair of hosts.

    Attributes:
        stamped, bare: segments with and without time stamps. buckets: by number since the epoch.
    """

    stamped: int = 0
    bare: int = 0
    buckets: dict[int, Bucket] = field(default_factory=dict)
    _ways: OrderedDict[tuple[tuple[str, int], tuple[str, int]], Way] = field(
        default_factory=OrderedDict
    )

    def add(self, at_ns: int, one: Segment) -> None:
        """Take the next segment of the capture.

        Raises:
            InvalidInput: where the capture is longer than is borne.
        """
        if one.stamp is None:
            self.bare += 1
        else:
            self.stamped += 1
        if one.flags & RST:
            return
        self._echoed(at_ns, one)
        if one.size:
            self._sent(at_ns, one, self._way(one.source, one.target))

    def _way(self, source: tuple[str, int], target: tuple[str, int]) -> Way:
        found = self._ways.get((source, target))
        if found is None:
            found = self._ways[source, target] = Way()
            if len(self._ways) > 2 * CONNECTIONS_MAX:
                self._ways.popitem(last=False)
        return found

    def _echoed(self, at_ns: int, one: Segment) -> None:
        """Who echoes a time stamp has had everything up to it."""
        way = self._ways.get((one.target, one.source))
        if way is None or one.echo is None or one.echo not in way.waiting:
            return
        sent_ns = way.waiting[one.echo]
        while way.waiting:
            stamp, _ = way.waiting.popitem(last=False)
            if stamp == one.echo:
                break
        took = at_ns - sent_ns
        if 0 < took <= WAITED_NS_MAX:
            loops, host = self._bucket(sent_ns).loops, one.source[0]
            loops[host] = min(loops.get(host, (took, sent_ns)), (took, sent_ns))

    def _sent(self, at_ns: int, one: Segment, way: Way) -> None:
        if one.stamp is not None and (way.newest is None or _later(one.stamp, way.newest)):
            way.newest = one.stamp
            way.waiting[one.stamp] = at_ns
            if len(way.waiting) > WAITING_MAX:
                way.waiting.popitem(last=False)
        end = (one.seq + one.size) % (2 * HALF)
        if way.highest is None or not _later(way.highest, one.seq):
            self._bucket(at_ns).sent += 1
        elif one.size == 1 and not one.flags & (SYN | FIN):
            return  # A keepalive repeats the last byte.
        else:
            known = one.stamp is not None and way.stamp is not None
            reordered = known and not _later(one.stamp or 0, way.stamp or 0)
            bucket = self._bucket(at_ns)
            bucket.sent += 1
            bucket.again += not reordered
        if way.highest is None or _later(end, way.highest):
            way.highest, way.stamp = end, one.stamp

    def _bucket(self, at_ns: int) -> Bucket:
        number = at_ns // (BUCKET_MS * NS_PER_MS)
        found = self.buckets.get(number)
        if found is None:
            if len(self.buckets) >= BUCKETS_MAX:
                long_s = BUCKETS_MAX * BUCKET_MS // 1000
                raise InvalidInput(f"the capture is longer than {long_s} s",
                                   "cut it to the incident: editcap -A … -B …")  # fmt: skip
            found = self.buckets[number] = Bucket()
        return found


def _later(a: int, b: int) -> bool:
    """Whether ``a`` comes after ``b`` in numbers that wrap (RFC 1982)."""
    return a != b and (a - b) % (2 * HALF) < HALF
