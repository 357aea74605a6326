# SPDX-License-Identifier: Apache-2.0
"""A run's round trips as evidence that ``gameday reproduce`` and others read. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime

from gameday.errors import EvidenceError
from gameday.measures.common import Stream, probe_plan
from gameday.measures.round_trips import KINDS, trips
from gameday.record import kinds
from gameday.record.record import Record

HEAD = "time,path,rtt_ms,wait_ms"
"""The columns. A round trip lies between rtt_ms and rtt_ms + wait_ms, which its prober may have
spent itself; it is empty where no answer came. The time is when it was sent, by the controller's
wall clock at the run's start."""

NS_PER_US = 1000


def pairs(record: Record, probe: str) -> list[Stream]:
    """The pairs that a probe was to look at.

    Raises:
        EvidenceError: where there is no such probe, or it measures no round trip.
    """
    planned = probe_plan(record, probe)
    if planned["kind"] not in KINDS:
        raise EvidenceError(f"{probe} is {planned['kind']}, which measures no round trip")
    return [(sampler["node"], sampler["target"]) for sampler in planned["samplers"]]


def csv(record: Record, probe: str, stream: Stream) -> Iterator[str]:
    """The looks of one pair as lines of CSV, with their head.

    Raises:
        EvidenceError: where the run has no beginning, or the pair no looks.
    """
    started = next(iter(record.of_kind(kinds.RUN_STARTED)), None)
    looks = record.seen(probe).get(stream)
    if started is None or looks is None:
        raise EvidenceError(f"the record has no looks of {probe} from {stream[0]} at {stream[1]}")
    wall_ns = started.wall_ns - started.at_ns
    least, most = trips(looks)
    sent = (looks.start_lo + looks.start_hi) // 2 + wall_ns
    yield HEAD + "\n"
    for at, ok, low, high in zip(
        sent.tolist(), looks.ok.tolist(), least.tolist(), most.tolist(), strict=True
    ):
        values = f"{_ms(low)},{_ms(high - low)}" if ok else ","
        yield f"{_time(at)},{stream[0]}>{stream[1]},{values}\n"


def _time(wall_ns: int) -> str:
    """RFC 3339 in UTC, to the microsecond."""
    whole_s, rest_ns = divmod(wall_ns, 1_000_000_000)
    found = datetime.fromtimestamp(whole_s, UTC).strftime("%Y-%m-%dT%H:%M:%S")
    return f"{found}.{rest_ns // NS_PER_US:06d}Z"


def _ms(ns: int) -> str:
    us = ns // NS_PER_US
    return f"{us // 1000}.{us % 1000:03d}"
