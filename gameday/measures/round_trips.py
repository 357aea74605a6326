# SPDX-License-Identifier: Apache-2.0
"""What measures of round trips share: who has any, how exactly, and whom a fault slows down."""

from __future__ import annotations

import numpy as np

from gameday.measures.common import Stream
from gameday.record.columns import Ints
from gameday.record.looks import Looks
from gameday.record.record import Record

KINDS = ("rtt-mesh", "icmp", "tcp-connect", "udp-echo")
"""Probes whose looks are round trips."""


def trips(looks: Looks) -> tuple[Ints, Ints]:
    """Every round trip in ns, least and most; of an echo without what the prober may have spent."""
    took = looks.end_ns - looks.start_ns
    known = looks.codes(lambda s: int(s.value.get("rtt_ns", s.value.get("connect_ns", -1))))
    most = np.where(known < 0, took, known)
    return most - looks.codes(lambda s: int(s.value.get("wait_ns", 0))), most


def slowed(record: Record, fault: str) -> frozenset[Stream]:
    """Pairs whose packets, there or back, the fault slows down."""
    planned = record.plan.get("effect", {}).get(fault) or {}
    found = {(a, b) for a, b in planned.get("shifted", ())}
    for entry in record.plan["faults"]:
        sides = entry.get("sides") or {}
        if entry["name"] == fault and "from" in sides and "to" in sides:
            found |= {(a, b) for a in sides["from"] for b in sides["to"]}
    return frozenset(found | {(b, a) for a, b in found})
