# SPDX-License-Identifier: Apache-2.0
"""What the controller may ask: every call by name, and the loop of the process that answers.

This runs in a child of ``gameday.agent.front``, which comes and goes with the questions.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any, BinaryIO, Callable, Dict

from gameday import clock
from gameday.agent import carried, facts, front, samples, vigil
from gameday.agent.leases import Leases
from gameday.agent.ledger import Ledger
from gameday.agent.system.host import RealHost
from gameday.errors import GamedayError, NodeError
from gameday.record.types import to_json

BEGIN_NS, BEGIN_LOOK_NS = 20 * clock.NS_PER_S, 20_000_000
"""How long a probe loop may take to its first look; under the controller's patience for a call."""


class Server:
    """The calls, by name; each takes keyword arguments and returns JSON."""

    def __init__(self, ledger: Ledger, host: RealHost) -> None:
        self.ledger = ledger
        self.host = host
        self.leases = Leases(ledger, host)
        self.calls: Dict[str, Callable[..., Any]] = {
            "facts": self.facts,
            "able": self.leases.able,
            "arm": self.leases.arm,
            "observe": self.leases.observe,
            "disarm": self.leases.disarm,
            "leases": self.list_leases,
            "audit": self.leases.audit,
            "sweep": self.sweep,
            "carried": self.carried,
            "carry": self.carry,
            "probes_start": self.probes_start,
            "probes_stop": self.probes_stop,
            "forget": self.forget,
        }

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

    def sweep(self, force: bool, look: bool) -> Dict[str, Any]:
        """See ``gameday.agent.sweep``."""
        from gameday.agent.sweep import sweep

        return sweep(self.leases, force, look)

    def carried(self, sha256: str) -> Dict[str, Any]:
        """Whether an archive of carried libraries is here, whole."""
        return {"there": carried.there(sha256)}

    def carry(self, sha256: str, content: str) -> Dict[str, Any]:
        """Keep an archive of carried libraries."""
        carried.keep(sha256, content)
        return {}

    def probes_start(
        self, run: str, probes: Any, lasts_ns: int, carried_sha256: str = ""
    ) -> Dict[str, Any]:
        """Write the specification and start the probe loop as a process of its own.

        Answers once the loop looks: starting an interpreter takes seconds on a busy node, and
        whoever asked may count on every look from the answer on.

        Raises:
            NodeError: where it was started before, or does not begin in ``BEGIN_NS``.
        """
        directory = self.ledger.run_directory(run)
        if (directory / "probes.json").exists():
            raise NodeError(f"the probes of {run} were started before")
        directory.mkdir(mode=0o700, parents=True)
        until = clock.mono_ns() + lasts_ns
        spec = {"probes": probes, "until_mono_ns": until, "carried": carried_sha256}
        (directory / "probes.json").write_text(json.dumps(spec), encoding="utf-8")
        pid = vigil.start_detached("probe", run)
        (directory / "pid").write_text(str(pid), encoding="ascii")
        _await_begun(directory / samples.BEGUN, pid)
        return {"pid": pid, "until_mono_ns": until}

    def probes_stop(self, run: str) -> Dict[str, Any]:
        """Ask the probe loop to finish what it is looking at and to end."""
        directory = self.ledger.run_directory(run)
        if directory.is_dir():
            (directory / "stop").touch()
        return {}

    def forget(self, run: str) -> Dict[str, Any]:
        """Drop what this node still keeps of a run that was read back clean."""
        self.ledger.forget_run(run)
        return {}


def _await_begun(begun: Path, pid: int) -> None:
    """Wait until the probe loop says that it looks.

    Raises:
        NodeError: where it ended instead, or is not there in ``BEGIN_NS``.
    """
    latest = clock.mono_ns() + BEGIN_NS
    while not begun.exists():
        _reap_children()
        if not vigil.may_be_ours(pid, begun.parent.name) and not begun.exists():
            raise NodeError("the probe loop ended before its first look: was it killed?")
        if clock.mono_ns() > latest:
            raise NodeError(
                f"the probe loop did not begin within {BEGIN_NS // clock.NS_PER_S} s: the node is "
                "starved of processor or memory"
            )
        clock.sleep_until_mono(clock.mono_ns() + BEGIN_LOOK_NS)


def answer(server: Server, line: bytes) -> Dict[str, Any]:
    """The answer to one request, whatever is wrong with it."""
    found: Dict[str, Any] = {}
    try:
        request = json.loads(line)
        found["id"] = request["id"]
        found["ok"] = server.calls[request["call"]](**request["with"])
    except GamedayError as error:
        found["error"] = str(error)
    except Exception as error:  # noqa: BLE001 - the controller must hear of every failure
        found["error"] = f"{type(error).__name__}: {error}"
    return found


def work(questions: BinaryIO, answers: BinaryIO) -> None:
    """Answer line by line until there are no more questions."""
    server = Server(Ledger(), RealHost())
    for line in iter(lambda: questions.readline(front.LINE_BYTES_MAX), b""):
        found = answer(server, line)
        _reap_children()
        answers.write(json.dumps(found).encode() + b"\n")
        answers.flush()


def _reap_children() -> None:
    """Collect processes that we started and that ended, so none is left as a zombie."""
    while True:
        try:
            pid, _ = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return
        if pid == 0:
            return
