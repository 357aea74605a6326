# SPDX-License-Identifier: Apache-2.0
"""A workload added to the synthetic run, call by call, as cases write it.

    {"by": "lon-1", "at": 100, "op": "write", "key": "k0"}
    {"by": "fra-1", "at": 200, "op": "read", "key": "k0", "saw": "lon-1#0"}
    {"by": "lon-1", "at": 46000, "op": "final", "found": ["lon-1:0"]}

``at`` is milliseconds after true onset, ``for`` (5) how many it took. Calls of a vantage are
numbered in the order in which they are given. ``answer`` is "yes", "maybe" (timed out), "no" (not
sent) or "lost" (no sample).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

from gameday.record.record import Record
from gameday.record.types import Sample
from tests.unit.synthetic import MS, Truth, make_clocks, make_record
from tests.unit.synthetic_plan import MEMBERS

PROBE = "calls"


def with_calls(
    rows: Sequence[dict[str, Any]], keys: int = 1, silent: Sequence[str] = ()
) -> Record:  # fmt: skip
    """The synthetic run with a workload on every etcd member.

    Members without a call in ``rows`` make one, which finds nothing long before onset.
    """
    truth = Truth()
    record = make_record(truth)
    quiet = set(MEMBERS) - {row["by"] for row in rows if row["op"] != "final"} - set(silent)
    early = [{"by": n, "at": -4000, "op": "read", "key": "k0", "saw": ""} for n in sorted(quiet)]
    mono = make_clocks(truth).mono
    numbers: Counter[str] = Counter()
    seqs: Counter[str] = Counter()
    samples = list(record.samples)
    for row in [*early, *rows]:
        node, op = row["by"], row["op"]
        value: dict[str, Any] = {"op": op}
        if op == "final":
            value |= {"page": row.get("page", 0), "last": row.get("last", True)}
            value |= {"found": row["found"]}
        else:
            value |= {"key": row["key"], "call": f"{node}#{numbers[node]}"}
            value |= {name: row[name] for name in ("saw", "was") if name in row}
            numbers[node] += 1
        seqs[node] += 1
        answer = row.get("answer", "yes")
        if answer == "lost":
            continue
        if answer != "yes":
            value |= {"applied": answer}
        begin = truth.onset_ns + int(row["at"] * MS) + mono[node]
        end = begin + int(row.get("for", 5) * MS)
        reason = "" if answer == "yes" else "timeout: 250 ms"
        samples.append(
            Sample(PROBE, node, node, seqs[node] - 1, begin, end, answer == "yes", value, reason)
        )
    samplers = [{"node": n, "target": n, "addresses": [], "peers": []} for n in MEMBERS]
    probe = {
        "name": PROBE, "kind": "etcd-workload", "period_ns": 250 * MS, "timeout_ns": 250 * MS,
        "params": {"keys": keys}, "samplers": samplers,
    }  # fmt: skip
    plan = {**record.plan, "probes": [*record.plan["probes"], probe]}
    return Record(plan, record.events, samples)
