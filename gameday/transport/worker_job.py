# SPDX-License-Identifier: Apache-2.0
"""One batch of calls through ansible-runner: transmit, worker, process.

The worker is any command that speaks ``ansible-runner worker`` on its input and output: that
program itself, behind ssh, in a container, at the far end of a Receptor mesh. It is started ahead
of its batch, so the moment at which its kernel wrote the batch down bounds its clock closely.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gameday import clock
from gameday.errors import CannotRun, GamedayError

PLAY = Path(__file__).with_name("relay.yaml")
JOB_TIMEOUT_S = 90.0
"""A call to one node gives up after 25 s; a batch that takes longer than this is a lost worker."""

DRIFT = 400e-6
"""Two clocks at 200 ppm each, the most that ``clock`` allows for."""

COARSE_NS = 10 * clock.NS_PER_MS
"""A file's time is read from the kernel's coarse clock: it was written up to a tick later."""

SAID_MAX = 300


class WorkerLost(GamedayError):
    """A worker did not bring a batch to its end; what its calls did is unknown."""


@dataclass(frozen=True)
class Batch:
    """What came back.

    Attributes:
        answers: path of the file with a line per call. directory: that goes with ``discard``.
        sent_ns, received_ns: controller's monotonic clock before the batch left and after the
            worker had said that it is done.
        stamps: the worker's, see ``relay.ask``.
    """

    answers: Path
    directory: Path
    sent_ns: int
    received_ns: int
    stamps: Mapping[str, int]

    def lines(self) -> Iterator[dict[str, Any]]:
        """Answers one by one, without the stamps."""
        with open(self.answers, "rb") as file:
            for line in file:
                found = json.loads(line)
                if "stamps" not in found:
                    yield found

    def ours(self, worker_ns: tuple[int, int]) -> tuple[int, int]:
        """An interval of the worker's monotonic clock, as one of ours that contains it.

        The batch was written down there after it was sent, and the last stamp was taken before it
        was received; between these the clocks drift apart by ``DRIFT`` at most.
        """
        s = self.stamps
        arrived = s["mono_ns"] - (s["wall_ns"] - s["arrived_wall_ns"]) + COARSE_NS
        since, until = max(0, worker_ns[0] - arrived), max(0, s["mono_ns"] - worker_ns[1])
        return (self.sent_ns + int(since * (1 - DRIFT)),
                self.received_ns - int(until * (1 - DRIFT)))  # fmt: skip

    def discard(self) -> None:
        """Remove what was kept on disk of it."""
        shutil.rmtree(self.directory, ignore_errors=True)


class Worker:
    """A worker by its command; one batch at a time."""

    def __init__(self, name: str, command: Sequence[str]) -> None:
        self.name, self.command = name, tuple(command)
        self._spare: subprocess.Popen[bytes] | None = None

    def close(self) -> None:
        """End the process that waits for the next batch."""
        if self._spare is not None:
            end(self._spare)
        self._spare = None

    def run(self, batch: Mapping[str, Any]) -> Batch:
        """Send a batch to the worker and wait for its answers.

        Args:
            batch: JSON, as ``relay`` reads it.

        Raises:
            WorkerLost: where it could not be started, ended early, or took too long.
            CannotRun: where ansible-runner is not installed here.
        """
        process = self._take()
        directory = Path(tempfile.mkdtemp(prefix="gameday-worker-"))
        watchdog = threading.Timer(JOB_TIMEOUT_S, end, [process])
        watchdog.daemon = True
        watchdog.start()
        try:
            found = self._through(process, directory, batch)
        except BaseException:
            shutil.rmtree(directory, ignore_errors=True)
            raise
        finally:
            watchdog.cancel()
            end(process)
        self._spare = self._start()
        return found

    def _take(self) -> subprocess.Popen[bytes]:
        spare, self._spare = self._spare, None
        if spare is not None and spare.poll() is None:
            return spare
        return self._start()

    def _start(self) -> subprocess.Popen[bytes]:
        try:
            # A session of its own: Ctrl-C is for gameday to handle, which still needs its workers.
            return subprocess.Popen(
                self.command, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL, start_new_session=True, env=search_path(),
            )  # fmt: skip
        except OSError as error:
            raise WorkerLost(f"worker {self.name}: cannot start {self.command[0]}: "
                             f"{error.strerror or error}") from error  # fmt: skip

    def _through(
        self, process: subprocess.Popen[bytes], directory: Path, batch: Mapping[str, Any]
    ) -> Batch:
        job = os.urandom(8).hex()
        there, back = directory / "there", directory / "back"
        _write_job(there, batch)
        ask = runner("remote workers need")
        play = _Play()
        sent = clock.mono_ns()
        try:
            ask(streamer="transmit", _output=process.stdin, private_data_dir=str(there),
                playbook=PLAY.name, ident=job, extravars={"gameday_job": job})  # fmt: skip
            if process.stdin is not None:
                process.stdin.close()
            ask(streamer="process", _input=process.stdout, private_data_dir=str(back),
                ident=job, quiet=True, event_handler=play.event,
                status_handler=play.status)  # fmt: skip
        except OSError as error:
            raise WorkerLost(f"worker {self.name} was lost: {error.strerror or error}") from error
        except Exception as error:  # ansible-runner has no error of its own for a broken stream.
            what = f"{type(error).__name__}: {error}"[:SAID_MAX]
            raise WorkerLost(f"worker {self.name} was lost: {what}") from error
        answers = back / "artifacts" / job / "answers.jsonl"
        stamps = _stamps(answers)
        if stamps is None:
            raise WorkerLost(f"worker {self.name} was lost: {play.why() or 'it ended early'}")
        return Batch(answers, directory, sent, play.done_ns or clock.mono_ns(), stamps)


class _Play:
    """What the worker says while it works."""

    def __init__(self) -> None:
        self.done_ns: int | None = None
        self._said: list[str] = []

    def event(self, event: Mapping[str, Any]) -> bool:
        """Note when the calls were done, and failures; nothing is kept on disk of it."""
        kind, data = event.get("event"), event.get("event_data", {})
        if kind == "runner_on_ok":
            self.done_ns = clock.mono_ns()
        elif kind in ("runner_on_failed", "runner_on_unreachable"):
            result = data.get("res", {})
            said = (result.get(key) for key in ("stderr", "module_stderr", "msg"))
            self._said.append(str(next(filter(None, said), kind)))
        elif kind == "verbose" and "not found" in (line := str(event.get("stdout", ""))):
            # What ansible-runner says, as an event like any other, where it finds no Ansible.
            self._said.append(line)
        return False

    def status(self, status: Mapping[str, Any], runner_config: object) -> None:
        """Note what stopped it."""
        if status.get("job_explanation"):
            self._said.append(str(status["job_explanation"]))

    def why(self) -> str:
        """The last thing it said that explains a failure."""
        return self._said[0].strip()[-SAID_MAX:] if self._said else ""


def search_path() -> dict[str, str]:
    """Our environment; where nothing else has them, with the programs beside this Python.

    A virtual environment that nobody activated has ``ansible-playbook``, but not on its PATH.
    """
    beside = str(Path(sys.executable).parent)
    return {**os.environ, "PATH": os.pathsep.join([os.environ.get("PATH", os.defpath), beside])}


def _write_job(directory: Path, batch: Mapping[str, Any]) -> None:
    for name in ("project", "inventory", "env"):
        (directory / name).mkdir(parents=True)
    shutil.copy(PLAY, directory / "project" / PLAY.name)
    (directory / "inventory" / "hosts").write_text("localhost\n", encoding="ascii")
    (directory / "env" / "envvars").write_text(
        json.dumps({"ANSIBLE_LOCALHOST_WARNING": "false", "ANSIBLE_RETRY_FILES_ENABLED": "false"}),
        encoding="ascii",
    )
    with open(directory / "project" / "calls.json", "w", encoding="utf-8") as file:
        json.dump(batch, file)


def _stamps(answers: Path) -> Mapping[str, int] | None:
    """The last line's stamps; ``None`` where the answers did not come to their end."""
    if not answers.exists():
        return None
    with open(answers, "rb") as file:
        # One line at a time: the answers of five hundred nodes need not be in memory together.
        last = deque(file, maxlen=1)
    with contextlib.suppress(ValueError):
        stamps: Mapping[str, int] | None = json.loads(last[-1] if last else b"{}").get("stamps")
        return stamps
    return None


def runner(what: str) -> Any:
    """``ansible_runner.run``.

    Args:
        what: the beginning of a sentence, as in "remote workers need".

    Raises:
        CannotRun: where it is not installed.
    """
    try:
        from ansible_runner.interface import run
    except ImportError as error:
        raise CannotRun(f"{what} ansible-runner, which is not installed",
                        "pip install 'gameday[nodes]'") from error  # fmt: skip
    return run


def end(process: subprocess.Popen[bytes]) -> None:
    """End a worker's process and what it started in its session; idempotent."""
    if process.poll() is None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    for pipe in (process.stdin, process.stdout):
        if pipe is not None:
            # A pipe whose reader is gone says so once more when it is flushed.
            with contextlib.suppress(OSError):
                pipe.close()
