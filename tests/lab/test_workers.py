# SPDX-License-Identifier: Apache-2.0
"""Nodes asked through two of ansible-runner's workers, which live in the lab's own network."""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path
from typing import Any

from gameday.errors import EXIT_UNKNOWN
from gameday.record import kinds
from gameday.record.record import load
from tests.lab.drill import RUN_TIMEOUT_S, Drill, wait

RUNNER = str(Path(sys.executable).with_name("ansible-runner"))


def worker(drill: Drill, name: str) -> list[str]:
    """A worker that leaves its process id behind, and can be switched off for good."""
    at = f"{drill.home}/{name}"
    return ["sh", "-c", f"[ ! -e {at}.off ] && echo $$ > {at}.pid && exec {RUNNER} worker"]


def relayed(drill: Drill) -> Path:
    """The lab's inventory: Frankfurt through one worker, London and Amsterdam through another."""

    def shape(data: dict[str, Any]) -> None:
        data["vars"]["gameday_workers"] = {n: worker(drill, n) for n in ("west", "east")}
        sites = data["children"]["sites"]["children"]
        for site, workers in (("frankfurt", ["west", "east"]), ("london", ["east", "west"]),
                              ("amsterdam", "east")):  # fmt: skip
            sites[site].setdefault("vars", {})["gameday_worker"] = workers

    return drill.inventory(shape)


def test_a_drill_through_two_workers(drill: Drill) -> None:
    """The same leases and the same end; clocks are known less closely, and the report says so."""

    def shape(data: dict[str, Any]) -> None:
        data["faults"][0]["for_s"] = 15

    done = drill.run(drill.experiment(shape), relayed(drill))
    assert (drill.run_directory / "report.json").exists(), done.stdout + done.stderr
    report = drill.report()
    assert report["verdict"]["outcome"] == "completed", done.stdout + done.stderr
    assert report["clean"]["proven"] is True
    assert drill.leftovers() == []
    exchanges = [e["data"] for e in drill.events() if e["kind"] == kinds.CLOCK]
    widths = {e["node"]: e["received_ns"] - e["sent_ns"] for e in exchanges}
    assert widths["fra-1"] > 5 * widths["cli-1"], "the client is reached directly"
    window = load(drill.run_directory).window()
    assert window.onset.lo <= window.planned.hi and window.planned.lo <= window.onset.hi, window


def test_a_worker_lost_in_the_middle_of_arming(drill: Drill) -> None:
    """The run is called off by name; the other worker takes away what had been armed."""
    process = drill.start(drill.experiment(lambda data: None), relayed(drill))

    def asked() -> bool:
        return any(e["kind"] == kinds.ARM_INTENT and e["data"]["node"].startswith("fra")
                   for e in drill.events())  # fmt: skip

    log = drill.home / "run.log"
    # What arms Frankfurt waits for west's next batch by now, or is in it.
    wait(asked, 240, lambda: log.read_text(encoding="utf-8"))
    (drill.home / "west.off").touch()
    os.killpg(int((drill.home / "west.pid").read_text(encoding="ascii")), signal.SIGKILL)
    code = process.wait(timeout=RUN_TIMEOUT_S)
    said = log.read_text(encoding="utf-8")
    assert code == EXIT_UNKNOWN, said
    assert "worker west was lost" in said and "not armed" in said, said
    ended = {e["data"]["node"] for e in drill.events() if e["kind"] == kinds.DISARMED}
    assert ended == {"fra-1", "fra-2", "lon-1", "lon-2", "ams-1"}, said
    assert drill.leftovers() == []
