# SPDX-License-Identifier: Apache-2.0
"""Workloads on three real etcd members that are cut, paused, set back and split: what is measured.

The faults are made with the kernel and with etcd's own means, never by gameday, so what they do to
data is known: a cut or a hang does nothing, reads that ask one member alone go stale, members that
are set back to an older copy of their data lose what came after it, and a member that is forced
to go on by itself makes a second history.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from gameday.clock import wall_ns
from gameday.measures.base import Measurement
from gameday.measures.runner import measure_one
from gameday.record.record import Record
from tests.lab.trio import GROUP, NODES, PROBE, Trio

BORDER_MAX = 5
"""Of some 800 reads; one was seen, once."""

KINDS = ("linearizable", "stale-reads", "acknowledged-writes-lost", "acknowledged-on-both-sides")


@pytest.fixture
def trio(tmp_path: Path) -> Iterator[Trio]:
    one = Trio(tmp_path)
    try:
        one.open()
        yield one
    finally:
        one.close()


def measured(record: Record) -> dict[str, Measurement]:
    """All four measurements; what a run without lost samples says is exact."""
    found = {}
    for kind in KINDS:
        params = {"probe": PROBE, **({"group": GROUP} if kind == KINDS[3] else {})}
        one = measure_one(record, {"name": kind, "measure": kind, "params": params})
        assert one.status == "measured", one.reason
        assert one.details["missing"] == 0
        found[kind] = one
    return found


def none(found: Measurement) -> bool:
    """Certainly nothing."""
    return (found.lo, found.hi) == (0, 0)


@pytest.mark.parametrize("how", ["cut", "pause"])
def test_a_leader_that_is_lost_harms_no_data(trio: Trio, how: str) -> None:
    trio.begin("3f9a", lasts_s=300)
    for node in NODES:
        trio.more_writes(node)
    leader = trio.leader()
    (trio.cut if how == "cut" else trio.pause)(leader)
    # Until that was done the leader acknowledged writes, and rightly.
    begin = wall_ns()
    for node in NODES:
        if node == leader:
            trio.more_calls(node, 20)
        else:
            trio.more_writes(node, 30)
    end = wall_ns()
    (trio.join if how == "cut" else trio.resume)(leader)
    trio.fault(begin, end, [leader])
    trio.more_writes(leader, 20)
    found = measured(trio.end())
    assert none(found["linearizable"]), found["linearizable"]
    assert none(found["acknowledged-writes-lost"]), found["acknowledged-writes-lost"]
    # A read that begins as another member's write is acknowledged is at the border of what clocks
    # can tell; nobody knows then, and that is said. None is certain, and there are few.
    stale = found["stale-reads"]
    assert stale.lo == 0 and stale.hi is not None and stale.hi <= BORDER_MAX, stale
    # So is a write just before the fault or just after it.
    assert found[KINDS[3]].lo == 0
    assert found[KINDS[3]].details["missing"] == 0
    assert "answer" in found["linearizable"].evidence[0]


def test_reads_that_ask_one_member_alone_go_stale(trio: Trio) -> None:
    trio.begin("3f9b", lasts_s=300, serializable=True)
    for node in NODES:
        trio.more_writes(node)
    alone = trio.leader()
    trio.cut(alone)
    begin = wall_ns()
    for node in NODES:
        if node != alone:
            trio.more_writes(node, 30)
    trio.more_calls(alone, 60)
    end = wall_ns()
    trio.join(alone)
    trio.fault(begin, end, [alone])
    trio.more_writes(alone, 10)
    found = measured(trio.end())
    linear, stale = found["linearizable"], found["stale-reads"]
    assert linear.lo is not None and linear.lo > 0
    assert any(f"that {alone} read" in line for line in linear.evidence)
    assert stale.lo is not None and stale.lo > 10
    assert any(f"{alone} read" in line for line in stale.evidence)
    assert none(found["acknowledged-writes-lost"])
    assert found["acknowledged-on-both-sides"].lo == 0


def test_members_set_back_to_older_data_have_lost_writes(trio: Trio) -> None:
    # A write that was under way when its member was killed may take effect at any later time, and
    # so explains that its key holds it again; there are a few of these, so there are more keys.
    trio.begin("3f9c", lasts_s=300, keys=30)
    for node in NODES:
        trio.more_writes(node)
    begin = wall_ns()
    for node in NODES:
        trio.kill(node)
    trio.copy_data("older")
    for node in NODES:
        trio.start(node)
    before = {node: trio.count(node) for node in NODES}
    for node in NODES:
        trio.more_writes(node, 20)
    for node in NODES:
        trio.kill(node)
    written = sum(trio.count(node) - before[node] for node in NODES)
    trio.restore_data("older")
    for node in NODES:
        trio.start(node)
    end = wall_ns()
    trio.fault(begin, end, ["m1"])
    for node in NODES:
        trio.more_writes(node)
    found = measured(trio.end())
    lost, linear = found["acknowledged-writes-lost"], found["linearizable"]
    assert lost.lo is not None and lost.lo == lost.hi
    # ``written`` counts plain writes; swaps of the same time are lost as well.
    assert written <= lost.lo <= 3 * written
    assert linear.lo is not None and linear.lo > 0


def test_a_member_that_goes_on_alone_is_a_split_brain(trio: Trio) -> None:
    trio.begin("3f9d", lasts_s=300)
    for node in NODES:
        trio.more_writes(node)
    trio.cut("m1")
    begin = wall_ns()
    trio.kill("m1")
    trio.start("m1", "--force-new-cluster")
    for node in NODES:
        trio.more_writes(node, 20)
    end = wall_ns()
    trio.fault(begin, end, ["m1"])
    found = measured(trio.end())
    both, lost = found["acknowledged-on-both-sides"], found["acknowledged-writes-lost"]
    assert both.lo is not None and both.lo >= 20
    assert lost.lo == 0 and lost.hi is not None and lost.hi >= 60
    assert any("found by some only" in line for line in lost.evidence)
    assert found["linearizable"].lo == 5
