# SPDX-License-Identifier: Apache-2.0
"""A whole run with many samples: none lost, little taken from the controller.

``gameday run`` as a user starts it, in a process of its own, against nodes with their own sshd.
Forty vantages each send an ICMP echo to five peers ten times a second. Nodes and controller share
this machine's cores, so the nodes' own lateness is that of a machine that is busy.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Container
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from gameday import clock
from gameday.clock import NS_PER_MS, NS_PER_S
from gameday.errors import CannotRun
from tests.bench.estate import Estate
from tests.bench.session import quantile

VANTAGES, PEERS, PERIOD_MS = 40, 5, 100
SECONDS = 600
STEADY_S = RECOVER_S = 2
CORE_SHARE_MAX, MEMORY_MB_MAX = 1.0, 300
ROOT = Path(__file__).resolve().parents[2]
LOOK_NS = 100 * NS_PER_MS
TAIL_BYTES = 1000
"""The last event of a journal is shorter."""


@dataclass(frozen=True)
class Load:
    """What one run of many samples cost.

    Attributes:
        vantages: nodes that look. per_s: samples a second that the schedule asks for.
        seconds: of the fault's window. delivered: samples in the record.
        lost: numbers that are absent between a sampler's first and last sample.
        short: samplers that delivered less than their schedule asks for.
        core_share: CPU of the controller over the whole run, its report included, in cores.
        memory_mb: the most that was resident on the controller while the run went on.
        report_mb: the same, its measurements and report included.
        late_ms: 99th percentile, over samplers, of how late the 99th percentile of looks began.
        late_max_ms: the latest look of all.
    """

    vantages: int
    per_s: int
    seconds: int
    delivered: int
    lost: int
    short: int
    core_share: float
    memory_mb: int
    report_mb: int
    late_ms: float
    late_max_ms: float


def measure(estate: Estate, seconds: int = SECONDS) -> Load:
    """Run it on the first nodes of an estate; the last ones are looked at.

    Raises:
        CannotRun: where the run did not end as a drill that found nothing wrong.
    """
    vantages = estate.names[: min(VANTAGES, len(estate.names) - 1)]
    peers = estate.names[len(vantages) :][:PEERS]
    with tempfile.TemporaryDirectory(prefix="gameday-bench-") as name:
        home = Path(name)
        path = home / "load.yaml"
        path.write_text(yaml.safe_dump(_experiment(vantages, peers, seconds)), encoding="utf-8")
        gameday(home, "keygen")
        begin = clock.mono_ns()
        usage, memory_kb = gameday(
            home, "run", str(path), "-i", str(estate.inventory), "--yes",
            "--reports", str(home / "reports"),
        )  # fmt: skip
        wall_s = (clock.mono_ns() - begin) / NS_PER_S
        report = json.loads(next((home / "reports").glob("*/report.json")).read_bytes())
    samplers = [one for one in report["coverage"] if one["probe"] == "look"]
    per_s = len(vantages) * len(peers) * 1000 // PERIOD_MS
    return Load(
        len(vantages), per_s, seconds, sum(one["delivered"] for one in samplers),
        sum(one["gaps"] for one in samplers),
        sum(one["delivered"] < one["due"] for one in samplers),
        (usage.ru_utime + usage.ru_stime) / wall_s, memory_kb // 1024, usage.ru_maxrss // 1024,
        quantile([one["late_p99_ns"] / NS_PER_MS for one in samplers], 0.99),
        max(one["late_max_ns"] for one in samplers) / NS_PER_MS,
    )  # fmt: skip


def _experiment(vantages: list[str], peers: list[str], seconds: int) -> dict[str, Any]:
    return {
        "schema": "gameday/v1",
        "metadata": {"name": "load", "title": "Many samples", "owner": "bench@corp.example",
                     "why": "Shows what many samples cost the controller, and that none is lost.",
                     "links": {"runbook": "https://wiki.corp.example/runbooks/game-day"}},
        "steady_state": {"for_s": STEADY_S, "checks": [{"probe": "look", "ok_percent": 90}]},
        "faults": [{"name": "nothing", "kind": "noop", "at_s": 0, "for_s": seconds,
                    "params": {"nodes": {"node": vantages[:1]}}}],
        "probes": [{"name": "look", "kind": "icmp", "from": {"node": vantages},
                    "to": {"node": peers}, "period_ms": PERIOD_MS, "timeout_ms": 1000}],
        "recover_s": RECOVER_S,
        "objectives": [{"name": "lost echoes", "measure": "client-failure-share",
                        "at_most_percent": 5, "params": {"probe": "look"}}],
        "abort": [{"name": "nobody answers", "probe": "look", "failed_for_s": 60}],
    }  # fmt: skip


def gameday(
    home: Path, *argv: str, codes: Container[int] = (0,), look: Callable[[int], None] | None = None
) -> tuple[Any, int]:
    """Run a command of gameday; what it used (``resource``), and KiB at most until a run ended.

    Args:
        look: is called ten times a second with the number of its process.

    Raises:
        CannotRun: where it ended with another exit code than these.
    """
    environment = {**os.environ, "HOME": str(home), "XDG_CONFIG_HOME": str(home / "config"),
                   "PYTHONPATH": str(ROOT)}  # fmt: skip
    log = home / "log"
    with open(log, "w", encoding="utf-8") as out:
        process = subprocess.Popen(
            [sys.executable, "-m", "gameday.cli.main", *argv], stdout=out, stderr=out,
            stdin=subprocess.DEVNULL, cwd=home, env=environment,
        )  # fmt: skip
        memory_kb, ended = 0, 0
        try:
            while not ended:
                if look is not None:
                    look(process.pid)
                if not _run_ended(home):
                    memory_kb = max(memory_kb, _resident_kb(process.pid))
                clock.sleep_until_mono(clock.mono_ns() + LOOK_NS)
                ended, status, usage = os.wait4(process.pid, os.WNOHANG)
        finally:
            if not ended:
                # Its nodes go away with the benchmark: there is nothing to be put back in order.
                process.kill()
                process.wait()
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode not in codes:
        said = log.read_text(encoding="utf-8")[-2000:]
        raise CannotRun(f"gameday {argv[0]} ended with {process.returncode}: {said}")
    return usage, memory_kb


def _run_ended(home: Path) -> bool:
    """Whether the run is over and is being measured: its journal has its last event."""
    for path in (home / "reports").glob("*/events.jsonl"):
        with open(path, "rb") as file:
            file.seek(max(0, path.stat().st_size - TAIL_BYTES))
            return b'"run.ended"' in file.read()
    return False


def _resident_kb(pid: int) -> int:
    try:
        status = Path(f"/proc/{pid}/status").read_text(encoding="ascii")
    except OSError:
        return 0
    found = [line.split()[1] for line in status.splitlines() if line.startswith("VmHWM:")]
    return int(found[0]) if found else 0


def missed(found: Load) -> list[str]:
    """What is asked and was not reached, in words."""
    wrong = []
    if found.lost or found.short:
        wrong.append(f"load: {found.lost} samples lost, {found.short} samplers short")
    if found.core_share >= CORE_SHARE_MAX:
        wrong.append(f"load: {found.core_share:.2f} cores of the controller")
    if found.memory_mb >= MEMORY_MB_MAX:
        wrong.append(f"load: {found.memory_mb} MB of the controller")
    return wrong


def describe(found: Load) -> str:
    """A paragraph of the page."""
    return (
        f"{found.vantages} vantages, {found.per_s:,} samples a second for {found.seconds} s: "
        f"{found.delivered:,} samples in the record, {found.lost} lost; {found.short} samplers "
        f"delivered less than their schedule. The controller took {found.core_share:.2f} of a core "
        f"over the whole run, report included, and {found.memory_mb} MB while it went on "
        f"({found.report_mb} MB with its report). Looks began at most "
        f"{found.late_ms:.0f} ms late in 99 of 100 cases (99th percentile of samplers), the latest "
        f"{found.late_max_ms:.0f} ms."
    )
