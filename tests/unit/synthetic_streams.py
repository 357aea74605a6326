# SPDX-License-Identifier: Apache-2.0
"""Streams of further probes added to the synthetic run, as cases write them.

    {"probe": "bgp", "kind": "bgp", "node": "mon-1", "params": {},
     "states": [[-9000, true, {"present": true}], [4310, true, {"present": false}]],
     "drop": [[3000, 4000]]}

Each state holds from so many milliseconds after true onset until the next; the first as the probe
begins. It is [from, ok, value] with a reason where it failed. Looks are every 250 ms and take 10;
each sees the state at its middle. Those that begin in a span of ``drop`` are missing.

A value may count, see ``counted``:

    {"role": "primary", "as_of": null}      beats and log as of the look itself
    {"role": "standby", "as_of": 2000}      … as of that moment; "behind": 500: of so long ago
    {"paused_ns": 7, "growing": true}       grows with time, from 7 as the state begins
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from gameday.record.record import Record
from gameday.record.types import Sample
from tests.unit.synthetic import MS, Truth, make_clocks

PERIOD = 250 * MS
TOOK = 10 * MS


def with_streams(record: Record, streams: Sequence[dict[str, Any]]) -> Record:
    """The run with these probes besides; of a run with the usual onset and end."""
    truth = Truth()
    samples, probes = list(record.samples), list(record.plan["probes"])
    for one in streams:
        node, target = one["node"], one.get("target", one["node"])
        mono = make_clocks(truth).mono[node]
        for seq, at in enumerate(range(truth.probes_ns, truth.until_ns, PERIOD)):
            since_ms = (at - truth.onset_ns) / MS
            gone = any(lo <= since_ms < hi for lo, hi in one.get("drop", ()))
            seen = (at + TOOK // 2 - truth.onset_ns) / MS
            held = [state for state in one["states"] if state[0] <= seen]
            since, ok, value, *reason = held[-1] if held else one["states"][0]
            value = counted(value, seen, since, truth)
            if not gone:
                span = (at + mono, at + TOOK + mono)
                why = reason[0] if reason else ""
                samples.append(Sample(one["probe"], node, target, seq, *span, ok, value, why))
        sampler = {"node": node, "target": target, "addresses": [], "peers": []}
        planned = [probe for probe in probes if probe["name"] == one["probe"]]
        for probe in planned:
            probe["samplers"].append(sampler)
        if not planned:
            probes.append({
                "name": one["probe"], "kind": one["kind"], "period_ns": PERIOD,
                "timeout_ns": PERIOD, "params": one.get("params", {}), "samplers": [sampler],
            })  # fmt: skip
    return Record({**record.plan, "probes": probes}, record.events, samples)


def counted(value: dict[str, Any], seen_ms: float, since_ms: float, truth: Truth) -> dict[str, Any]:
    """The value with what it counts at the moment it was seen.

    The primary writes a beat at the middle of each look, from 1 on, and a thousand bytes of log in
    each millisecond.
    """
    found = dict(value)
    if found.pop("growing", False):
        found["paused_ns"] += int((seen_ms - since_ms) * MS)
    if "as_of" in found or "behind" in found:
        as_of = found.pop("as_of", None)
        at_ms = seen_ms if as_of is None else as_of
        at_ms -= found.pop("behind", 0)
        first_ms = (truth.probes_ns + TOOK // 2 - truth.onset_ns) / MS
        beat = int((at_ms - first_ms) * MS // PERIOD) + 1
        name = "wal_bytes" if found["role"] == "primary" else "replayed_bytes"
        found = {"beat": beat, "beat_timeline": 1, name: int((at_ms + 60_000) * 1000), **found}
    return found
