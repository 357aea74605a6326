# SPDX-License-Identifier: Apache-2.0
"""Whether a run's controller lives is asked of the kernel: in pods, each gameday is process 1."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from gameday import clock
from gameday.cli.view import Lines
from gameday.conduct.collect import Recorder
from gameday.conduct.recover import recover, state_of
from gameday.errors import Refused
from gameday.record import kinds

ANOTHER = """
import sys
from pathlib import Path
from gameday.conduct.collect import Recorder
recorder = Recorder(Path(sys.argv[1]))
sys.stdout.write("held")
sys.stdout.flush()
sys.stdin.read()
"""


def started(directory: Path, pid: int) -> None:
    recorder = Recorder(directory)
    recorder.event(kinds.RUN_STARTED, boot_id=clock.boot_id(), pid=pid)
    recorder.close()


def test_a_run_of_another_pod_is_left_alone_until_it_is_dead(tmp_path: Path) -> None:
    """Its process has our own number, and the boot is the same."""
    started(tmp_path, os.getpid())
    before = (tmp_path / "events.jsonl").read_bytes()
    with subprocess.Popen(
        [sys.executable, "-c", ANOTHER, str(tmp_path)],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE,
    ) as other:  # fmt: skip
        assert other.stdout is not None and other.stdout.read(4) == b"held"
        assert state_of(tmp_path) == "running"
        for broken in (lambda: recover(tmp_path, Lines()), lambda: Recorder(tmp_path)):
            with pytest.raises(Refused, match="its controller is alive"):
                broken()
        other.kill()
    assert (tmp_path / "events.jsonl").read_bytes() == before
    assert state_of(tmp_path) == "unfinished"


def test_a_number_that_another_gameday_has_now_is_no_life(tmp_path: Path) -> None:
    """A pod's process 1 may be ``gameday``, or a shell that starts it, and the run still dead."""
    with subprocess.Popen(["sh", "-c", "read x", "gameday"], stdin=subprocess.PIPE) as other:
        started(tmp_path, other.pid)
        assert state_of(tmp_path) == "unfinished"
        other.kill()


def test_who_only_asks_is_in_nobodys_way(tmp_path: Path) -> None:
    started(tmp_path, 1)
    recorder = Recorder(tmp_path)
    assert [state_of(tmp_path) for _ in range(3)] == ["running"] * 3
    recorder.event(kinds.RUN_ENDED, outcome="aborted", clean=True)
    recorder.close()
    assert state_of(tmp_path) == "ended"
