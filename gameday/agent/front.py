# SPDX-License-Identifier: Apache-2.0
"""Answers the controller: one JSON request a line on standard input, one answer a line.

    {"id": 7, "call": "observe", "with": {"lease": "1a2b3c4d"}}
    {"id": 7, "ok": {...}}   or   {"id": 7, "error": "..."}

This process stays on the node through the whole run, so it is small: what is asked all the
time (clock, samples) it answers itself, and for everything else it forks a worker, which
imports what arms and observes, netlink too, and ends once nobody has asked for a while.

Ends at end of input: leases and probes do not depend on it.
"""

from __future__ import annotations

import json
import os
import select
import signal
import sys

from gameday.agent import samples, vigil
from gameday.ticks import boot_id, mono_ns, wall_ns

if vigil.TYPE_CHECKING:
    from typing import Any, BinaryIO, Callable, Dict, NoReturn, Optional

WORKER_IDLE_S = 2.0
"""Once something is armed: its parts are asked about several times a second, then not at all."""

WORKER_READY_S = 300.0
"""Before anything is armed: arming shall not wait until a worker has imported everything again."""

FILES_MAX = 256
"""This process has a handful of open files; asking the kernel for its limit may say a million."""

LINE_BYTES_MAX = 8 << 20


def clock() -> Dict[str, Any]:
    """Both clocks, read as close to each other as Python can."""
    return {"mono_ns": mono_ns(), "wall_ns": wall_ns(), "boot_id": boot_id()}


LIGHT: Dict[str, Callable[..., Any]] = {"clock": clock, "samples": samples.read}


class Worker:
    """A child of this process that answers what is not light; forked when it is needed."""

    def __init__(self, work: Callable[[BinaryIO, BinaryIO], None]) -> None:
        self._work = work
        self._pid = 0
        self._to: Optional[BinaryIO] = None
        self._from: Optional[BinaryIO] = None

    @property
    def runs(self) -> bool:
        """Whether there is a child, as far as we know."""
        return self._pid != 0

    def ask(self, line: bytes) -> bytes:
        """The answer to one request; empty where the child died over it."""
        if not self.runs:
            self._start()
        if self._to is None or self._from is None:
            return b""
        try:
            self._to.write(line)
            self._to.flush()
            found = self._from.readline()
        except BrokenPipeError:
            found = b""
        if not found.endswith(b"\n"):
            self.end()
            return b""
        return found

    def end(self) -> None:
        """Let the child end, and collect it."""
        if not self.runs:
            return
        for end in (self._to, self._from):
            if end is not None:
                try:
                    end.close()
                except BrokenPipeError:
                    # It died before it read what we had written; closed is closed.
                    continue
        os.waitpid(self._pid, 0)
        self._pid, self._to, self._from = 0, None, None

    def _start(self) -> None:
        ours, theirs = os.pipe(), os.pipe()
        sys.stdout.flush()
        self._pid = os.fork()
        if self._pid == 0:
            self._be_child(ours[0], theirs[1])
        os.close(ours[0])
        os.close(theirs[1])
        self._to, self._from = open(ours[1], "wb"), open(theirs[0], "rb")  # noqa: SIM115

    def _be_child(self, questions: int, answers: int) -> NoReturn:
        code = 1
        try:
            # The controller's questions and answers pass through the parent only, and whatever
            # of the parent's this process held would stay open when the parent closes it.
            null = os.open(os.devnull, os.O_RDWR)
            os.dup2(null, 0)
            os.dup2(null, 1)
            low, high = sorted((questions, answers))
            for first, end in ((3, low), (low + 1, high), (high + 1, FILES_MAX)):
                os.closerange(first, end)
            with open(questions, "rb") as source, open(answers, "wb") as sink:
                self._work(source, sink)
            code = 0
        finally:
            # What the parent registered to be run at its own end must not run twice.
            os._exit(code)


class Front:
    """One controller's session: reads requests, answers each, in order."""

    def __init__(self, worker: Worker, source: int = 0, sink: int = 1) -> None:
        self._worker, self._source, self._sink = worker, source, sink
        self._idle_s = WORKER_READY_S

    def run(self) -> int:
        """Answer until the input ends; returns the exit code."""
        rest = b""
        while True:
            idle = self._idle_s if self._worker.runs else None
            if not select.select([self._source], [], [], idle)[0]:
                self._worker.end()
                continue
            chunk = os.read(self._source, 1 << 16)
            if not chunk or len(rest) > LINE_BYTES_MAX:
                self._worker.end()
                return 0
            *lines, rest = (rest + chunk).split(b"\n")
            for line in lines:
                self._write(self._answer(line + b"\n"))

    def _answer(self, line: bytes) -> bytes:
        found: Dict[str, Any] = {}
        try:
            request = json.loads(line)
            found["id"] = request["id"]
            if request["call"] == "arm":
                self._idle_s = WORKER_IDLE_S
            if request["call"] not in LIGHT:
                return self._worker.ask(line) or _line(
                    {**found, "error": "the agent's worker died; ask again"}
                )
            found["ok"] = LIGHT[request["call"]](**request["with"])
        except Exception as error:  # noqa: BLE001 - the controller must hear of every failure
            found["error"] = f"{type(error).__name__}: {error}"
        return _line(found)

    def _write(self, data: bytes) -> None:
        while data:
            data = data[os.write(self._sink, data) :]


def serve() -> int:
    """Answer until standard input ends."""
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)

    def work(questions: BinaryIO, answers: BinaryIO) -> None:
        # Imported in the child only: this is what shall not stay in memory.
        from gameday.agent.serve import work as answer_all

        answer_all(questions, answers)

    return Front(Worker(work)).run()


def _line(found: Dict[str, Any]) -> bytes:
    return json.dumps(found).encode() + b"\n"
