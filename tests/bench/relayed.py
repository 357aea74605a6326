# SPDX-License-Identifier: Apache-2.0
"""Hundreds of nodes behind two remote workers: a whole run, armed and collected in bounded memory.

``gameday run`` as a user starts it, all nodes asked through ansible-runner's transmit, worker and
process. A few nodes have an sshd and an agent each; hundreds are simulated, and nothing but them.
Nodes, workers and controller share this machine's cores, so times are this machine's; memory is
the controller's and the workers' own.
"""

from __future__ import annotations

import contextlib
import json
import sys
import tempfile
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from statistics import median
from typing import Any

import yaml

from gameday import clock
from gameday.clock import NS_PER_MS, NS_PER_S
from gameday.lab import system
from gameday.record import kinds
from gameday.record.journal import read_events
from gameday.record.record import load as load_record
from gameday.record.types import Event
from tests.bench import load
from tests.bench.estate import Estate, share_agent
from tests.bench.session import quantile, session
from tests.bench.simulated_estate import SimulatedEstate

MARK = "GAMEDAY_BENCH_WORKER"
WORKERS = ("west", "east")
RUNNER = str(Path(sys.executable).with_name("ansible-runner"))
PERIOD_MS, STEADY_S, RECOVER_S = 1000, 5, 5
WINDOW_S, WINDOW_S_PER_NODE = 40, 0.3
"""The nodes are read back inside the window, which takes as many rounds as there are batches."""

NOBODY = "198.19.3.250"
LOOK_S = 1.0
CODES = (0, 1, 3)
"""A run whose numbers do not count (a starved machine) still shows what arming it took."""


@dataclass(frozen=True)
class Relayed:
    """One run. Times are in seconds.

    Attributes:
        nodes: how many. simulated: whether they are. window_s: how long they are cut off.
        verdict: of the run. clean: whether all were proven clean.
        preflight_s: reach all, eight clock exchanges each, facts, audit. probes_s: start probes.
        arm_s: first question to last "armed". exempt_s: to the last proof of our own path.
        lead_s: first question to the window's start.
        disarm_s: ending and reading back. collect_s: the last samples of all.
        whole_s: the run, report included.
        round_s: between two fetches of one node's samples, median and 95th percentile.
        bound_ms: by which a node's clock is known: median and most of the nodes.
        delivered, lost, late: samples in the record; absent between; and vantages that were
            not complete in time.
        controller_mb, report_mb: the most that was resident, until the run ended and in all.
        held_mb: resident when the window began, and when it ended.
        worker_mb: the most that a worker's processes held together, the relay included.
        free_mb: the least memory that this machine had left.
    """

    nodes: int
    simulated: bool
    window_s: int
    verdict: str
    reasons: tuple[str, ...]
    clean: bool
    preflight_s: float
    probes_s: float
    arm_s: float
    exempt_s: float
    lead_s: float
    disarm_s: float
    collect_s: float
    whole_s: float
    round_s: tuple[float, float]
    bound_ms: tuple[float, float]
    delivered: int
    lost: int
    late: int
    controller_mb: int
    held_mb: tuple[int, int]
    report_mb: int
    worker_mb: int
    free_mb: int


def window_s(nodes: int) -> int:
    """How long so many nodes are cut off: time to read all of them back."""
    return WINDOW_S + int(nodes * WINDOW_S_PER_NODE)


def measure(estate: Estate, for_s: int) -> Relayed:
    """Run it on all nodes of an estate, half of them behind each worker.

    Args:
        for_s: how long they are cut off.

    Raises:
        CannotRun: where the run did not get to its end.
    """
    simulated = isinstance(estate, SimulatedEstate)
    if not simulated:
        with session(estate, 1) as one:
            one.open()
        share_agent(estate)
    with tempfile.TemporaryDirectory(prefix="gameday-bench-") as name:
        home = Path(name)
        (home / "inventory.yaml").write_text(_inventory(estate), encoding="utf-8")
        (home / "relayed.yaml").write_text(yaml.safe_dump(_experiment(for_s)), encoding="utf-8")
        load.gameday(home, "keygen")
        begin = clock.mono_ns()
        with Watch() as watch:
            usage, memory_kb = load.gameday(
                home, "run", str(home / "relayed.yaml"), "-i", str(home / "inventory.yaml"),
                "--yes", "--reports", str(home / "reports"), codes=CODES, look=watch.controller,
            )  # fmt: skip
        whole_s = (clock.mono_ns() - begin) / NS_PER_S
        (run,) = (home / "reports").glob("*-relayed-*")
        report = json.loads((run / "report.json").read_bytes())
        events = list(read_events(run / "events.jsonl"))
        bounds = _bounds_ms(run)
    steps = {e.data["step"]: e.at_ns for e in events if e.kind == kinds.STEP}
    ended = max(e.at_ns for e in events if e.kind == kinds.RUN_ENDED)
    return Relayed(
        len(estate.names), simulated, for_s, report["verdict"]["verdict"],
        tuple(report["verdict"]["reasons"][:3]),
        report["clean"]["proven"],
        (steps["probes"] - steps["preflight"]) / NS_PER_S,
        (steps["steady-state"] - steps["probes"]) / NS_PER_S,
        *_armed(events), (steps["collect"] - steps["heal"]) / NS_PER_S - RECOVER_S,
        (ended - steps["collect"]) / NS_PER_S, whole_s,
        _rounds(events), bounds, *_collected(report, events), memory_kb // 1024,
        (watch.held_mb(steps["fire"]), watch.held_mb(steps["heal"])),
        usage.ru_maxrss // 1024, watch.worker_kb // 1024, watch.free_kb // 1024,
    )  # fmt: skip


def _armed(events: Sequence[Event]) -> tuple[float, float, float]:
    """Arming, proving the exemption, and the lead, each from the first question."""
    asked = [e for e in events if e.kind == kinds.ARM_INTENT]
    first = min(e.at_ns for e in asked)
    armed = max(e.at_ns for e in events if e.kind == kinds.ARMED)
    exempt = max(e.at_ns for e in events if e.kind == kinds.EXEMPT)
    fire = next(e.at_ns for e in events if e.kind == kinds.STEP and e.data["step"] == "fire")
    return (armed - first) / NS_PER_S, (exempt - first) / NS_PER_S, (fire - first) / NS_PER_S


def _rounds(events: Sequence[Event]) -> tuple[float, float]:
    """Between exchanges of one node, which go with its samples, while faults are in effect."""
    since = next(e.at_ns for e in events if e.kind == kinds.STEP and e.data["step"] == "fire")
    until = next(e.at_ns for e in events if e.kind == kinds.STEP and e.data["step"] == "heal")
    by_node: dict[str, list[int]] = {}
    for event in events:
        if event.kind == kinds.CLOCK and since <= event.at_ns <= until:
            by_node.setdefault(event.data["node"], []).append(event.at_ns)
    gaps = [(b - a) / NS_PER_S for at in by_node.values() for a, b in pairwise(at)]
    return (median(gaps), quantile(gaps, 0.95)) if gaps else (0.0, 0.0)


def _collected(report: Mapping[str, Any], events: Sequence[Event]) -> tuple[int, int, int]:
    ours = [one for one in report["coverage"] if one["probe"] == "look"]
    late = [e for e in events if e.kind == kinds.COLLECTED and not e.data["complete"]]
    return sum(one["delivered"] for one in ours), sum(one["gaps"] for one in ours), len(late)


def _bounds_ms(run: Path) -> tuple[float, float]:
    """How closely nodes' clocks are known by all exchanges of the run, as its measures use them."""
    record = load_record(run)
    widths = []
    for target in record.seen("look").values():
        look = target[len(target) // 2]
        widths.append(look.start.width / NS_PER_MS)
    return median(widths), max(widths)


class Watch:
    """Looks at the workers' processes and at this machine's memory while a run goes on.

    Attributes:
        worker_kb, free_kb: as in ``Relayed``.
    """

    def __init__(self) -> None:
        self.worker_kb, self.free_kb = 0, 1 << 40
        self._held: list[tuple[int, int]] = []
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._loop, daemon=True)

    def __enter__(self) -> Watch:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    def controller(self, pid: int) -> None:
        """Look at the controller's memory, about once a second."""
        now = clock.mono_ns()
        if not self._held or now - self._held[-1][0] > LOOK_S * NS_PER_S:
            with contextlib.suppress(OSError):
                self._held.append((now, _field(f"/proc/{pid}/status", "VmRSS:")))

    def held_mb(self, at_ns: int) -> int:
        """What the controller held at a moment of the monotonic clock, by the nearest look."""
        return min(self._held, key=lambda look: abs(look[0] - at_ns))[1] // 1024

    def _loop(self) -> None:
        while not self._stop.wait(LOOK_S):
            for worker in WORKERS:
                held = sum(_resident_kb(pid) for pid in system.marked(f"{MARK}={worker}"))
                self.worker_kb = max(self.worker_kb, held)
            self.free_kb = min(self.free_kb, _field("/proc/meminfo", "MemAvailable:"))


def _resident_kb(pid: int) -> int:
    try:
        return _field(f"/proc/{pid}/smaps_rollup", "Pss:")
    except OSError:
        return 0  # It ended meanwhile.


def _field(path: str, name: str) -> int:
    lines = Path(path).read_text(encoding="ascii").splitlines()
    return next((int(line.split()[1]) for line in lines if line.startswith(name)), 0)


def _inventory(estate: Estate) -> str:
    data = yaml.safe_load(estate.inventory.read_text(encoding="utf-8"))
    data["all"]["vars"]["gameday_workers"] = {
        name: ["env", f"{MARK}={name}", RUNNER, "worker"] for name in WORKERS
    }
    sites = data["all"]["children"]["sites"]["children"]
    # Nobody logs in there; a cut towards the address at which somebody did would be refused.
    sites["far"]["hosts"]["sender"]["ansible_host"] = NOBODY
    for number, node in enumerate(sites["near"]["hosts"].values()):
        node["gameday_worker"] = WORKERS[number % len(WORKERS)]
    return str(yaml.safe_dump(data, sort_keys=False))


def _experiment(for_s: int) -> dict[str, Any]:
    return {
        "schema": "gameday/v1",
        "metadata": {"name": "relayed", "title": "Many nodes behind workers",
                     "owner": "bench@corp.example",
                     "why": "Shows that hundreds of nodes are armed and collected by two workers.",
                     "links": {"runbook": "https://wiki.corp.example/runbooks/game-day"}},
        "steady_state": {"for_s": STEADY_S, "checks": [{"probe": "look", "ok_percent": 90}]},
        "faults": [{"name": "cut", "kind": "partition", "at_s": 0,
                    "for_s": for_s,
                    "params": {"side_a": {"site": "near"}, "side_b": {"site": "far"}}}],
        "probes": [{"name": "look", "kind": "icmp", "from": {"site": "near"},
                    "to": {"node": ["b01"]}, "period_ms": PERIOD_MS, "timeout_ms": 1000}],
        "recover_s": RECOVER_S,
        "objectives": [{"name": "lost echoes", "measure": "client-failure-share",
                        "at_most_percent": 5, "params": {"probe": "look"}}],
        "abort": [{"name": "nobody answers", "probe": "look", "failed_for_s": 30}],
    }  # fmt: skip


def table(found: Sequence[Relayed]) -> str:
    """Rows of the page."""
    lines = [
        "| nodes | preflight | probes | **arm** | arm and prove | lead | window "
        "| disarm, read back | last samples | run, with its report |",
        "|---|---|---|---|---|---|---|---|---|---|",
    ]
    lines += [
        f"| {_nodes(one)} | {one.preflight_s:.0f} | {one.probes_s:.0f} | {one.arm_s:.0f} "
        f"| {one.exempt_s:.0f} | {one.lead_s:.0f} | {one.window_s} | {one.disarm_s:.0f} "
        f"| {one.collect_s:.0f} | {one.whole_s:.0f} |"
        for one in found
    ]
    lines += [
        "",
        "| nodes | samples | lost | vantages cut short | samples come every, s | clock bound, ms "
        "| verdict |",
        "|---|---|---|---|---|---|---|",
    ]
    lines += [
        f"| {_nodes(one)} | {one.delivered:,} | {one.lost} | {one.late} "
        f"| {one.round_s[0]:.1f} (95 %: {one.round_s[1]:.1f}) "
        f"| {one.bound_ms[0]:.0f} (most: {one.bound_ms[1]:.0f}) "
        f"| {one.verdict}, {'clean' if one.clean else 'NOT proven clean'} |"
        for one in found
    ]
    lines += [
        "",
        "| nodes | window, s | controller, MB: most until the run's end "
        "| as the window began, ended | most in the report | a worker, MB |",
        "|---|---|---|---|---|---|",
    ]
    lines += [
        f"| {_nodes(one)} | {one.window_s} | {one.controller_mb} "
        f"| {one.held_mb[0]}, {one.held_mb[1]} | {one.report_mb} | {one.worker_mb} |"
        for one in found
    ]
    return "\n".join(lines)


def _nodes(one: Relayed) -> str:
    return f"{one.nodes} {'simulated' if one.simulated else 'real'}"
