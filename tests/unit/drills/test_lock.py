# SPDX-License-Identifier: Apache-2.0
"""Nobody begins a run where another one is going on."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from gameday.drills import lock
from gameday.errors import CannotRun

HOLDS = """\
import sys
from gameday.drills import lock
with lock.hold(["10.0.0.1", "10.0.0.2"], "run of q3.yaml"):
    sys.stdout.write("held\\n")
    sys.stdout.flush()
    sys.stdin.read()
"""


def test_the_second_one_hears_who_is_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also where only one node is common; and death frees the lock."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    first = subprocess.Popen([sys.executable, "-c", HOLDS], stdin=subprocess.PIPE,
                             stdout=subprocess.PIPE, env={**os.environ})  # fmt: skip
    assert first.stdout is not None and first.stdout.readline() == b"held\n"
    told = pytest.raises(CannotRun, match=f"run of q3.yaml, process {first.pid}")
    with told, lock.hold(["10.0.0.2", "10.0.0.9"], "another"):
        pytest.fail("both have it")
    with lock.hold(["10.0.0.9"], "somewhere else"):
        pass
    first.kill()
    first.wait()
    with lock.hold(["10.0.0.2", "10.0.0.9"], "another"):
        pass
