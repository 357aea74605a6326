# SPDX-License-Identifier: Apache-2.0
"""Answers the controller: one JSON request a line on standard input, one answer a line.

    {"id": 7, "call": "observe", "with": {"lease": "1a2b3c4d"}}
    {"id": 7, "ok": {...}}   or   {"id": 7, "error": "..."}

Ends at end of input: leases and probes do not depend on it.
"""

from __future__ import annotations

import json
import os
import signal
import sys
from pathlib import Path
from typing import Any, Callable, Dict

from gameday import clock
from gameday.agent import facts
from gameday.agent.guards import start_detached
from gameday.agent.leases import Leases
from gameday.agent.ledger import Ledger
from gameday.agent.system.host import RealHost
from gameday.errors import GamedayError, NodeError
from gameday.record.types import to_json

CHUNK_BYTES_MAX = 1 << 20
"""Samples handed over in one answer; more wait for the next question."""

LINE_BYTES_MAX = 8 << 20


class Server:
    """The calls, by name; each takes keyword arguments and returns JSON."""

    def __init__(self, ledger: Ledger, host: RealHost) -> None:
        self.ledger = ledger
        self.host = host
        self.leases = Leases(ledger, host)
        self.calls: Dict[str, Callable[..., Any]] = {
            "clock": self.clock,
            "facts": self.facts,
            "arm": self.leases.arm,
            "observe": self.leases.observe,
            "disarm": self.leases.disarm,
            "leases": self.list_leases,
            "audit": self.leases.audit,
            "probes_start": self.probes_start,
            "probes_stop": self.probes_stop,
            "samples": self.samples,
            "forget": self.forget,
        }

    def clock(self) -> Dict[str, Any]:
        """Both clocks, read as close to each other as Python can."""
        return {"mono_ns": clock.mono_ns(), "wall_ns": clock.wall_ns(), "boot_id": clock.boot_id()}

    def facts(self) -> Dict[str, Any]:
        """See ``Facts``."""
        return to_json(facts.collect(self.host.iptables, self.ledger))

    def list_leases(self) -> Dict[str, Any]:
        """Receipts of open leases, with what is there of each."""
        found = []
        for receipt in self.ledger.open_leases():
            observation = self.leases.observe(str(receipt.lease["id"]))
            found.append({"receipt": to_json(receipt), "observation": observation})
        return {"leases": found}

    def probes_start(self, run: str, probes: Any, lasts_ns: int) -> Dict[str, Any]:
        """Write the specification and start the probe loop as a process of its own."""
        directory = self.ledger.run_directory(run)
        if (directory / "probes.json").exists():
            raise NodeError(f"the probes of {run} were started before")
        directory.mkdir(mode=0o700, parents=True)
        until = clock.mono_ns() + lasts_ns
        spec = {"probes": probes, "until_mono_ns": until}
        (directory / "probes.json").write_text(json.dumps(spec), encoding="utf-8")
        pid = start_detached("probe", run)
        (directory / "pid").write_text(str(pid), encoding="ascii")
        return {"pid": pid, "until_mono_ns": until}

    def probes_stop(self, run: str) -> Dict[str, Any]:
        """Ask the probe loop to finish what it is looking at and to end."""
        directory = self.ledger.run_directory(run)
        if directory.is_dir():
            (directory / "stop").touch()
        return {}

    def samples(self, run: str, offset: int) -> Dict[str, Any]:
        """Whole lines of the sample file from ``offset`` on, and whether more may come."""
        directory = self.ledger.run_directory(run)
        alive = _alive(directory)
        path = directory / "samples.jsonl"
        if not path.exists():
            return {"lines": "", "next": offset, "running": alive, "found": directory.is_dir()}
        with open(path, "rb") as file:
            file.seek(offset)
            chunk = file.read(CHUNK_BYTES_MAX)
        whole = chunk[: chunk.rfind(b"\n") + 1]
        after = offset + len(whole)
        more = after < os.path.getsize(path) and bool(whole)
        text = whole.decode()
        return {"lines": text, "next": after, "running": alive or more, "found": True}

    def forget(self, run: str) -> Dict[str, Any]:
        """Drop what this node still keeps of a run that was read back clean."""
        self.ledger.forget_run(run)
        return {}


def _alive(directory: Path) -> bool:
    """Whether the run's probe loop is a living process; a zombie is not."""
    try:
        pid = int((directory / "pid").read_text(encoding="ascii"))
        state = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
        name = Path(f"/proc/{pid}/cmdline").read_bytes()
    except (OSError, ValueError):
        return False
    return state.rsplit(")", 1)[1].split()[0] != "Z" and b"probe" in name


def serve() -> int:
    """Answer until standard input ends."""
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    server = Server(Ledger(), RealHost())
    for line in iter(lambda: sys.stdin.buffer.readline(LINE_BYTES_MAX), b""):
        answer: Dict[str, Any] = {}
        try:
            request = json.loads(line)
            answer["id"] = request["id"]
            answer["ok"] = server.calls[request["call"]](**request["with"])
        except GamedayError as error:
            answer["error"] = str(error)
        except Exception as error:  # noqa: BLE001 - the controller must hear of every failure
            answer["error"] = f"{type(error).__name__}: {error}"
        _reap_children()
        sys.stdout.write(json.dumps(answer) + "\n")
        sys.stdout.flush()
    return 0


def _reap_children() -> None:
    """Collect processes that we started and that ended, so none is left as a zombie."""
    while True:
        try:
            pid, _ = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return
        if pid == 0:
            return
