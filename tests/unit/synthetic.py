# SPDX-License-Identifier: Apache-2.0
"""A run made from a known truth: plan, events and samples as the real parts write them.

    truth = Truth(reelected_ns=1_600_000_000)
    record = make_record(truth)          # in memory
    write_run(directory, truth)          # as files, unsigned and not yet judged

Every node has a monotonic clock of its own (hours apart) and a wall clock that is off by up
to ``Truth.wall_error_ns``; samples are stamped by the node, exchanges bound the offset.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field, replace
from pathlib import Path
from random import Random
from typing import Any

from gameday.record import kinds
from gameday.record.journal import dump_line
from gameday.record.record import EVENTS, EXPERIMENT, INVENTORY, PLAN, SAMPLES_LIVE, Record
from gameday.record.types import Event, Sample, to_json
from tests.unit.synthetic_plan import MEMBERS, NODES, ROUTERS, make_plan
from tests.unit.synthetic_samples import make_samples

S = 1_000_000_000
MS = 1_000_000

MONO_START_NS = 5_000 * S
"""The controller's monotonic clock when the run starts."""

WALL_START_NS = 1_767_225_600 * S
"""The controller's wall clock at that moment: 2026-01-01T00:00:00Z."""


@dataclass(frozen=True)
class Truth:
    """What really happened. Moments are nanoseconds after true onset unless said otherwise.

    Attributes:
        steady_s, fault_s, recover_s: the plan's timeline.
        reelected_ns: the majority acknowledges writes again.
        minority_writes: whether the minority goes on acknowledging (a split brain).
        withdrawn_ns: per authoritative server, the site is gone from its answers; a server
            that is absent never withdraws it.
        detected_ns: the alert reaches the webhook; None: never.
        rejoined_ns: after the end of the fault, all members agree again; None: never.
        left_ns: users who took its addresses in turn are sent to the site no more; None: there are
            no such users.
        terms_lost: elections before that one which nobody won.
        returned_ns: the site is in the answers again; None: at the end of the fault.
        writes_back_ns: after the end of the fault, Frankfurt's members acknowledge again.
        added_us: what the fault adds to round trips between Frankfurt and London, of 24 ms that
            are asked for, as a mesh sees it; None: there is no mesh.
        counted: members count their leaders, too, and one more where one was started again.
        users_ns: (from, to) spans in which user requests fail.
        cut_leak: pairs (node, target) that the fault fails to cut.
        others: whether there are a polled alert, a log line and a person to notice, too.
        polled_ns, logged_ns, said_ns: when each of them did; None: never.
        clean: whether every node is proven clean.
        abort_ns: the operator aborts then; None: not.
        wall_error_ns: how far the nodes' wall clocks are apart, at most.
        period_ns: of the write, status and dns probes.
        drop: samples to leave out, by (probe, node, target, seq).
        seed: of everything that is random.
    """

    steady_s: int = 5
    fault_s: int = 30
    recover_s: int = 15
    reelected_ns: int = 1_640 * MS
    minority_writes: bool = False
    withdrawn_ns: dict[str, int] = field(
        default_factory=lambda: {"lon-2": 4_310 * MS, "ams-1": 5_120 * MS, "fra-2": 0}
    )
    detected_ns: int | None = 2_870 * MS
    rejoined_ns: int | None = 1_210 * MS
    left_ns: int | None = None
    terms_lost: int = 0
    returned_ns: int | None = None
    writes_back_ns: int = 0
    added_us: int | None = None
    counted: bool = False
    users_ns: tuple[tuple[int, int], ...] = ((0, 9_800 * MS), (30_300 * MS, 31_200 * MS))
    cut_leak: frozenset[tuple[str, str]] = frozenset()
    others: bool = False
    polled_ns: int | None = 2_100 * MS
    logged_ns: int | None = 900 * MS
    said_ns: int | None = 12_000 * MS
    clean: bool = True
    abort_ns: int | None = None
    wall_error_ns: int = 300_000
    period_ns: int = 250 * MS
    drop: frozenset[tuple[str, str, str, int]] = frozenset()
    seed: int = 7

    @property
    def onset_ns(self) -> int:
        """True onset on the controller's monotonic clock."""
        return MONO_START_NS + (self.steady_s + 6) * S

    @property
    def end_ns(self) -> int:
        """True end of the fault on the controller's monotonic clock."""
        planned = self.onset_ns + self.fault_s * S
        return planned if self.abort_ns is None else self.onset_ns + self.abort_ns

    @property
    def probes_ns(self) -> int:
        """When probing began."""
        return MONO_START_NS + 2 * S

    @property
    def until_ns(self) -> int:
        """When probing stopped."""
        return self.end_ns + (self.recover_s + 2) * S


@dataclass(frozen=True)
class Clocks:
    """The true offsets of the nodes' clocks, in ns; only the generator may know them."""

    mono: dict[str, int]
    wall: dict[str, int]


def make_clocks(truth: Truth) -> Clocks:
    """Random but fixed offsets."""
    random = Random(truth.seed)  # noqa: S311 - reproducible, not secret
    mono = {n: random.randrange(-4_000 * S, 40_000 * S) for n in NODES}
    error = truth.wall_error_ns
    wall = {n: random.randrange(-error, error + 1) for n in NODES}
    return Clocks(mono, wall)


class Journal:
    """Events in the order of their time, numbered as the real journal does."""

    def __init__(self) -> None:
        self.items: list[tuple[int, str, dict[str, Any]]] = []

    def write(self, at_ns: int, kind: str, **data: Any) -> None:
        """Add one event."""
        self.items.append((at_ns, kind, data))

    def events(self) -> list[Event]:
        """All of them, numbered."""
        ordered = sorted(self.items, key=lambda item: item[0])
        return [
            Event(seq, at, at - MONO_START_NS + WALL_START_NS, kind, data)
            for seq, (at, kind, data) in enumerate(ordered)
        ]


def make_events(truth: Truth, clocks: Clocks) -> list[Event]:
    """What the conductor would have written."""
    random, journal = Random(truth.seed + 1), Journal()  # noqa: S311 - reproducible, not secret
    t0 = MONO_START_NS
    journal.write(
        t0, kinds.RUN_STARTED, run="3f9a1c20", experiment="wan-partition-frankfurt",
        version="0.1.0", argv=["gameday", "run", "experiments/wan-partition-frankfurt.yaml"],
        boot_id="1b4e28ba-2fa1-11d2-883f-0016d3cca427", operator="platform@controller", pid=4242,
        nodes=sorted(NODES),
    )  # fmt: skip
    for offset, step, text in (
        (1, "preflight", "preflight of every node"),
        (2 * S - 1, "probes", "start probing"),
        (3 * S, "steady-state", f"watch {truth.steady_s} s without a fault"),
        (3 * S + truth.steady_s * S, "arm", "arm a lease on every node"),
    ):
        journal.write(t0 + offset, kinds.STEP, step=step, text=text)
    journal.write(truth.onset_ns - S, kinds.STEP, step="fire", text="wait for the window")
    journal.write(truth.end_ns + 1, kinds.STEP, step="heal", text="watch the recovery")
    _exchanges(journal, truth, clocks, random)
    for check in ("etcd-write", "etcd-status", "dns", "user-http", "alerts"):
        journal.write(
            t0 + 3 * S + truth.steady_s * S - 2, kinds.STEADY,
            check=check, held=True, ok=100, total=100, reason="",
        )  # fmt: skip
    for node in sorted(NODES):
        journal.write(
            truth.probes_ns, kinds.PROBES_STARTED, node=node, probes=["etcd-write"],
            until_wall_ns=truth.until_ns - MONO_START_NS + WALL_START_NS,
        )  # fmt: skip
    if truth.others:
        journal.write(t0 + 2, kinds.ACKS_OPENED)
        if truth.said_ns is not None:
            said = truth.onset_ns + truth.said_ns
            journal.write(
                said + 80 * MS, kinds.HUMAN_ACK, user="kim", said_by="", said_ns=said,
                text="Frankfurt is gone from the map",
            )  # fmt: skip
        journal.write(truth.until_ns + S // 2, kinds.ACKS_CLOSED)
    _leases(journal, truth)
    finish = truth.until_ns + S
    if truth.abort_ns is not None:
        journal.write(truth.end_ns - 1, kinds.ABORT, why="Ctrl-C", by="operator")
    journal.write(finish, kinds.STEP, step="prove-clean", text="read back every node")
    for node in sorted(NODES):
        good = truth.clean or node != "fra-1"
        left = [] if good else ["iptables chain gameday-1a2b3c00 in filter"]
        journal.write(finish + 1, kinds.CLEAN, node=node, clean=good, left=left, foreign_changed=[])
    outcome = "completed" if truth.abort_ns is None else "aborted"
    journal.write(finish + S, kinds.RUN_ENDED, outcome=outcome, clean=truth.clean)
    return journal.events()


def _exchanges(journal: Journal, truth: Truth, clocks: Clocks, random: Random) -> None:
    for node in sorted(NODES):
        at = MONO_START_NS + 10 * MS
        while at < truth.until_ns:
            there, back = random.randrange(150_000, 900_000), random.randrange(150_000, 900_000)
            middle = at + there
            journal.write(
                at + there + back, kinds.CLOCK, node=node, sent_ns=at,
                received_ns=at + there + back, node_mono_ns=middle + clocks.mono[node],
                node_wall_ns=middle - MONO_START_NS + WALL_START_NS + clocks.wall[node],
            )  # fmt: skip
            at += 2 * S


def _leases(journal: Journal, truth: Truth) -> None:
    fire = truth.onset_ns - MONO_START_NS + WALL_START_NS
    nodes = [n for n in sorted(NODES) if n not in ("cli-1", "mon-1") and n not in ROUTERS]
    for number, node in enumerate(nodes):
        lease = {
            "id": f"1a2b3c{number:02x}", "run": "3f9a1c20", "node": node,
            "fault": "cut-frankfurt", "kind": "partition", "spec": {},
            "fire_at_ns": fire, "expire_at_ns": fire + truth.fault_s * S,
        }  # fmt: skip
        armed = truth.onset_ns - 3 * S + number * 20 * MS
        journal.write(armed - 5 * MS, kinds.ARM_INTENT, node=node, lease=lease)
        journal.write(
            armed, kinds.ARMED, node=node, lease=lease, receipt_digest="ab" * 32,
            observation=_observation("armed"),
        )  # fmt: skip
        for when, state, at in (
            ("active", "active", truth.onset_ns + S),
            ("ended", "absent", truth.end_ns + S // 2),
        ):
            journal.write(
                at + number * MS, kinds.OBSERVED, node=node, lease=lease["id"], when=when,
                observation=_observation(state),
            )  # fmt: skip
        sent = truth.end_ns + (0 if truth.abort_ns is not None else S)
        journal.write(sent + number * MS, kinds.DISARM_INTENT, node=node, lease=lease["id"], why="")
        journal.write(
            sent + number * MS + 20 * MS, kinds.DISARMED, node=node, lease=lease["id"],
            sent_ns=sent + number * MS, done=["removed chain gameday-" + str(lease["id"])],
        )  # fmt: skip


def _observation(state: str) -> dict[str, Any]:
    return {"state": state, "left": [], "counters": {"drop": 812}, "foreign_changed": []}


def make_record(truth: Truth | None = None, **changes: Any) -> Record:
    """The run in memory; ``changes`` are fields of ``Truth``."""
    truth = replace(truth or Truth(), **changes)
    clocks = make_clocks(truth)
    return Record(
        make_plan(truth), make_events(truth, clocks), make_samples(truth, clocks, MEMBERS)
    )


def write_run(directory: Path, truth: Truth | None = None) -> Record:
    """The run as files, as the conductor leaves it before it is judged."""
    record = make_record(truth)
    directory.mkdir(parents=True, exist_ok=True)
    (directory / EXPERIMENT).write_text("schema: gameday/v1\nmetadata: {name: synthetic}\n")
    (directory / INVENTORY).write_text('{"nodes":{}}\n')
    (directory / PLAN).write_text(json.dumps(record.plan, sort_keys=True, indent=1) + "\n")
    lines = "".join(dump_line(to_json(event)) for event in record.events)
    (directory / EVENTS).write_text(lines)
    samples: tuple[Sample, ...] = record.samples
    (directory / SAMPLES_LIVE).write_text("".join(dump_line(to_json(s)) for s in samples))
    return record
