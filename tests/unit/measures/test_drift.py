# SPDX-License-Identifier: Apache-2.0
"""Nodes whose clocks are off by 90 s and drift by 200 ppm: every measurement still holds the truth.

The stamps of a run are shifted and drifted as a node with such a clock would have written them,
samples and comparisons of clocks alike; nothing else of the run changes.
"""

from __future__ import annotations

import dataclasses
from random import Random

import pytest

from gameday.clock import NS_PER_S
from gameday.measures.runner import measure_all
from gameday.record import kinds
from gameday.record.record import Record
from tests.unit.synthetic import Truth, make_record
from tests.unit.synthetic_plan import NODES

OFF_NS, DRIFT_PPM = 90 * NS_PER_S, 200


def with_clocks(record: Record, clocks: dict[str, tuple[int, int]]) -> Record:
    """The same run, where each node's clock is off by some ns and drifts by some ppm."""
    pivots: dict[str, int] = {}
    for event in record.of_kind(kinds.CLOCK):
        pivots.setdefault(event.data["node"], event.data["node_mono_ns"])

    def shown(node: str, stamp: int) -> int:
        off, ppm = clocks[node]
        return stamp + off + (stamp - pivots[node]) * ppm // 1_000_000

    samples = [
        dataclasses.replace(
            s, start_ns=shown(s.node, s.start_ns), end_ns=shown(s.node, s.end_ns)
        )
        for s in record.samples
    ]  # fmt: skip
    events = []
    for event in record.events:
        if event.kind == kinds.CLOCK:
            mono = shown(event.data["node"], event.data["node_mono_ns"])
            event = dataclasses.replace(event, data={**event.data, "node_mono_ns": mono})  # noqa: PLW2901
        events.append(event)
    return Record(record.plan, events, samples)


@pytest.mark.parametrize("seed", range(4))
def test_wrong_clocks_change_no_measurement_by_more_than_its_bound(seed: int) -> None:
    random = Random(seed)  # noqa: S311 - reproducible, not secret
    truth = Truth(seed=seed, fault_s=15, recover_s=8)
    straight = make_record(truth)
    clocks = {
        node: (random.randrange(-OFF_NS, OFF_NS), random.choice((-DRIFT_PPM, 0, DRIFT_PPM)))
        for node in NODES
    }
    before = {m.name: m for m in measure_all(straight)}
    after = {m.name: m for m in measure_all(with_clocks(straight, clocks))}
    assert truth.detected_ns is not None and truth.rejoined_ns is not None
    true = {"time-to-detect": truth.detected_ns, "re-election": truth.reelected_ns,
            "time-to-withdraw": max(truth.withdrawn_ns.values()),
            "quorum-recovery": truth.rejoined_ns}  # fmt: skip
    for name, one in after.items():
        was = before[name]
        assert one.status == was.status, name
        if one.lo is None or one.hi is None or was.lo is None or was.hi is None:
            continue
        assert one.lo <= was.hi and was.lo <= one.hi, f"{name}: the answers exclude each other"
        if one.kind in true:
            assert one.lo <= true[one.kind] <= one.hi, name
