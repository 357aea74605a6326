# SPDX-License-Identifier: Apache-2.0
"""The front answers what is light itself, the rest through a worker that comes and goes."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO

import pytest

from gameday.agent import front
from gameday.agent.front import Front, Worker

ROOT = Path(__file__).resolve().parents[3]


def work(questions: BinaryIO, answers: BinaryIO) -> None:
    """A worker that says who it is, and can be told to die."""
    for line in questions:
        request = json.loads(line)
        if request["call"] == "die":
            os.kill(os.getpid(), signal.SIGKILL)
        answers.write(json.dumps({"id": request["id"], "ok": os.getpid()}).encode() + b"\n")
        answers.flush()


class Session:
    """The controller's end of a front that runs in a thread."""

    def __init__(self) -> None:
        source, self._to = os.pipe()
        self._from, sink = os.pipe()
        self.worker = Worker(work)
        self._thread = threading.Thread(target=Front(self.worker, source, sink).run)
        self._thread.start()
        self._reader = open(self._from, "rb")  # noqa: SIM115 - closed in ``close``

    def ask(self, call: str, **arguments: Any) -> Any:
        """One question, and its answer."""
        request = {"id": 7, "call": call, "with": arguments}
        os.write(self._to, json.dumps(request).encode() + b"\n")
        found = json.loads(self._reader.readline())
        assert found["id"] == 7
        return found

    def write(self, data: bytes) -> None:
        """Anything."""
        os.write(self._to, data)

    def read(self) -> Any:
        """The next answer."""
        return json.loads(self._reader.readline())

    def close(self) -> None:
        """End of input; the front ends, and its worker."""
        os.close(self._to)
        self._thread.join(timeout=10)
        assert not self._thread.is_alive()
        self._reader.close()


@pytest.fixture
def session(monkeypatch: pytest.MonkeyPatch) -> Iterator[Session]:
    monkeypatch.setattr(front, "WORKER_IDLE_S", 0.2)
    one = Session()
    yield one
    one.close()
    assert not one.worker.runs


def test_light_calls_need_no_worker(session: Session) -> None:
    assert session.ask("clock")["ok"]["mono_ns"] > 0
    assert "not a run's name" in session.ask("samples", run="../x", offset=0)["error"]
    assert not session.worker.runs


def test_before_anything_is_armed_a_worker_stays(session: Session) -> None:
    first = session.ask("audit")["ok"]
    threading.Event().wait(0.5)
    assert session.ask("audit")["ok"] == first


def test_a_worker_stays_while_it_is_asked_and_then_goes(session: Session) -> None:
    first = session.ask("arm")["ok"]
    assert first != os.getpid() and session.ask("observe")["ok"] == first
    for _ in range(100):
        if not session.worker.runs:
            break
        threading.Event().wait(0.05)
    assert not session.worker.runs, "nobody asked: its memory is given back"
    with pytest.raises(ProcessLookupError):
        os.kill(first, 0)
    assert session.ask("observe")["ok"] not in (first, os.getpid())


def test_a_worker_that_dies_is_an_error_and_the_next_call_has_a_new_one(session: Session) -> None:
    assert "worker died" in session.ask("die")["error"]
    assert session.ask("observe")["ok"] > 0


def test_lines_may_come_in_pieces_and_several_at_once(session: Session) -> None:
    line = b'{"id": 1, "call": "clock", "with": {}}\n'
    session.write(line[:9])
    session.write(line[9:] + line + line[:-1])
    assert session.read()["id"] == 1 and session.read()["id"] == 1
    session.write(b"\n")
    assert session.read()["ok"]["boot_id"]


def test_nonsense_is_answered(session: Session) -> None:
    session.write(b"nonsense\n")
    assert "JSONDecodeError" in session.read()["error"]
    session.write(b'{"id": 3}\n')
    assert session.read()["id"] == 3


@pytest.mark.parametrize("module", ["gameday.agent.front", "gameday.agent.keeper"])
def test_what_waits_through_a_fault_holds_nothing_heavy(module: str) -> None:
    """Each of these costs 0.5 to 14 MB on every node for as long as the fault lasts."""
    heavy = {"typing", "dataclasses", "hashlib", "pathlib", "subprocess", "pyroute2", "dns"}
    code = f"import sys; sys.path[:0] = [{str(ROOT)!r}]; import {module}; "
    code += "sys.exit(' '.join(sys.modules))"
    argv = [sys.executable, "-I", "-S", "-c", code]
    done = subprocess.run(argv, capture_output=True, text=True, check=False)
    assert module in done.stderr.split()
    assert not heavy & set(done.stderr.split())
