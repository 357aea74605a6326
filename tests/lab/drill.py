# SPDX-License-Identifier: Apache-2.0
"""gameday's command line against the lab, as a user runs it, and an observer beside it."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import yaml

from gameday import clock
from gameday.errors import EXIT_UNKNOWN
from gameday.lab import Lab
from gameday.record import kinds
from tests.busy import lost_looks

ROOT = Path(__file__).resolve().parents[2]
SHIPPED = ROOT / "experiments" / "wan-partition-frankfurt.yaml"
RUN_TIMEOUT_S = 300
"""For one whole command. A drill takes a minute; one through two workers took 150 s where the
machine was three times slower."""


class Drill:
    """A user's home directory, reports and inventory."""

    def __init__(self, lab: Lab, home: Path) -> None:
        self.lab, self.home = lab, home
        self.reports = home / "reports"
        self.environment = {
            "PATH": os.environ["PATH"], "HOME": str(home), "XDG_CONFIG_HOME": str(home / "config"),
            "PYTHONPATH": str(ROOT),
        }  # fmt: skip
        self._started: list[subprocess.Popen[str]] = []
        assert self.gameday("keygen").returncode == 0

    def close(self) -> None:
        """End what was started and still runs: a test that failed must not disturb the next."""
        for process in self._started:
            if process.poll() is None:
                process.send_signal(signal.SIGINT)
                process.wait(timeout=RUN_TIMEOUT_S)

    def gameday(self, *argv: str, timeout_s: float = RUN_TIMEOUT_S) -> Any:
        """Run the command line to its end."""
        return subprocess.run(
            [sys.executable, "-m", "gameday.cli.main", *argv], capture_output=True, text=True,
            cwd=self.home, env=self.environment, timeout=timeout_s, check=False,
        )  # fmt: skip

    def start(self, experiment: Path, inventory: Path | None = None) -> subprocess.Popen[str]:
        """Start a run in the background, with its output in a file."""
        log = open(self.home / "run.log", "w", encoding="utf-8")  # noqa: SIM115 - the child's
        process = subprocess.Popen(
            [sys.executable, "-m", "gameday.cli.main", "run", str(experiment), "-i",
             str(inventory or self.lab.inventory), "--yes", "--reports", str(self.reports)],
            stdout=log, stderr=log, cwd=self.home, env=self.environment, text=True,
        )  # fmt: skip
        self._started.append(process)
        return process

    def run(
        self, experiment: Path, inventory: Path | None = None, timeout_s: float = RUN_TIMEOUT_S
    ) -> Any:
        """Run an experiment to its end.

        Nodes of the lab share one machine with everything else that runs there. Where it stalled
        so that probes lost looks, gameday refuses its numbers, as it must, and the run is made
        once more, as an operator would; the test's warnings say so.
        """
        argv = (
            "run", str(experiment), "-i", str(inventory or self.lab.inventory), "--yes",
            "--reports", str(self.reports),
        )  # fmt: skip
        done = self.gameday(*argv, timeout_s=timeout_s)
        if done.returncode == EXIT_UNKNOWN and (lost := self._starved()):
            warnings.warn(f"made again, the machine starved its probes: {lost}", stacklevel=2)
            done = self.gameday(*argv, timeout_s=timeout_s)
        return done

    def _starved(self) -> list[str]:
        """Why the newest run does not count, where lost looks are the only reason.

        Or why it did not begin, where who got no processor time answered too late.
        """
        if not self.reports.is_dir():
            return []
        if not (self.run_directory / "report.json").exists():
            whys = [str(e["data"]["why"]) for e in self.events() if e["kind"] == kinds.ABORT]
            late = ("Timeout", "its clock is known only to")
            return [why for why in whys if "before anything was armed" in why
                    and any(word in why for word in late)]  # fmt: skip
        return lost_looks(self.report()["verdict"])

    @property
    def run_directory(self) -> Path:
        """The newest run."""
        return max(self.reports.iterdir())

    def events(self) -> list[dict[str, Any]]:
        """The newest run's journal, as far as it got."""
        if not self.reports.is_dir() or not any(self.reports.iterdir()):
            return []
        path = self.run_directory / "events.jsonl"
        lines = path.read_text(encoding="utf-8").split("\n")[:-1] if path.exists() else []
        return [json.loads(line) for line in lines]

    def wait_step(self, step: str, timeout_s: float = 60) -> None:
        """Wait until the journal says that a step has begun."""
        wait(lambda: any(e["data"].get("step") == step for e in self.events()), timeout_s,
             lambda: f"no step {step}: {(self.home / 'run.log').read_text()[-2000:]}")  # fmt: skip

    def window(self) -> tuple[float, float]:
        """(fire_at, expire_at) of the newest run's leases, wall clock in seconds."""
        lease = next(e for e in self.events() if e["kind"] == "lease.arm-intent")["data"]["lease"]
        return lease["fire_at_ns"] / clock.NS_PER_S, lease["expire_at_ns"] / clock.NS_PER_S

    def report(self) -> dict[str, Any]:
        """report.json of the newest run."""
        found: dict[str, Any] = json.loads((self.run_directory / "report.json").read_bytes())
        return found

    def experiment(self, change: Callable[[dict[str, Any]], None], name: str = "x.yaml") -> Path:
        """The shipped experiment, shortened for tests and changed."""
        data = yaml.safe_load(SHIPPED.read_text(encoding="utf-8"))
        data["steady_state"]["for_s"] = 2
        data["faults"][0]["for_s"] = 8
        data["recover_s"] = 4
        change(data)
        path = self.home / name
        path.write_text(yaml.safe_dump(data, sort_keys=False), encoding="utf-8")
        return path

    def meets(self, name: str, for_s: int) -> None:
        """Run an experiment as it ships, but short: met, proven clean, and nothing left."""

        def shape(data: dict[str, Any]) -> None:
            data.clear()
            shipped = (ROOT / "experiments" / f"{name}.yaml").read_text(encoding="utf-8")
            data.update(yaml.safe_load(shipped))
            data["steady_state"]["for_s"] = 2
            data["faults"][0]["for_s"] = for_s

        done = self.run(self.experiment(shape))
        assert done.returncode == 0, done.stdout + done.stderr
        report = self.report()
        assert report["verdict"]["verdict"] == "met"
        assert report["clean"]["proven"] is True
        assert self.leftovers() == []

    def inventory(self, change: Callable[[dict[str, Any]], None]) -> Path:
        """The lab's inventory, changed."""
        data = yaml.safe_load(self.lab.inventory.read_text(encoding="utf-8"))
        change(data["all"])
        path = self.home / "inventory.yaml"
        path.write_text(yaml.safe_dump(data, sort_keys=False), encoding="utf-8")
        return path

    def leftovers(self) -> list[str]:
        """Rules and sets of gameday on any node of the lab, seen with the node's own tools."""
        found = []
        for node in ("fra-1", "fra-2", "lon-1", "lon-2", "ams-1", "cli-1", "mon-1"):
            for argv in (["iptables-save"], ["ip6tables-save"], ["ipset", "list", "-n"]):
                out = self.lab.exec(node, argv).stdout
                found += [
                    f"{node}: {x}" for x in out.splitlines() if re.search("gameday|GD-|gd-", x)
                ]
        return found


def wait(condition: Callable[[], bool], timeout_s: float, message: Callable[[], str]) -> None:
    """Poll until a condition holds; fails with the message where it does not in time."""
    deadline = clock.mono_ns() + int(timeout_s * clock.NS_PER_S)
    while not condition():
        assert clock.mono_ns() < deadline, message()
        time.sleep(0.05)


class Ping:
    """An observer that gameday does not know: ping in a node, with the kernel's stamps."""

    INTERVAL_S = 0.1

    def __init__(self, lab: Lab, node: str, address: str) -> None:
        self._process = lab.popen(
            node, ["ping", "-n", "-D", "-i", str(self.INTERVAL_S), "-W", "1", address]
        )

    def replies(self) -> list[float]:
        """Stop, and return the wall-clock stamps of all replies."""
        self._process.send_signal(2)
        out, _ = self._process.communicate(timeout=10)
        return [float(x) for x in re.findall(r"^\[(\d+\.\d+)\] \d+ bytes from", out, re.M)]


def assert_cut_exactly(replies: list[float], fire: float, expire: float) -> None:
    """Replies stop at ``fire`` and are back within a second of ``expire``."""
    inside = [r for r in replies if fire + 0.3 < r < expire - 0.3]
    assert not inside, f"{len(inside)} replies inside the window"
    before = [r for r in replies if r <= fire + 0.3]
    assert before and fire - max(before) < 0.5, "the cut began early"
    after = [r for r in replies if r >= expire - 0.3]
    assert after, "the fault did not end"
    assert min(after) < expire + 1.0, f"the fault ended {min(after) - expire:.3f} s late"
