# SPDX-License-Identifier: Apache-2.0
"""Uploads have a deadline of their own, whatever the path does with their packets."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

AGENT_BYTES = 800_000
JOB = Path(__file__).with_name("upload_job.py")
OWN = 'mount -t tmpfs tmpfs /run && mount -t tmpfs tmpfs /var/tmp && exec "$@"'


def upload(**arguments: Any) -> dict[str, Any]:
    """What ``upload_job.py`` found, in namespaces that go with it."""
    done = subprocess.run(
        ["unshare", "--net", "--mount", "--pid", "--mount-proc", "--fork", "--kill-child",
         "sh", "-c", OWN, "sh", sys.executable, str(JOB), json.dumps(arguments)],
        capture_output=True, text=True, timeout=120, check=False,
        env={**os.environ, "PYTHONPATH": str(JOB.parents[2])},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return found


@pytest.mark.parametrize(
    ("path", "limits", "has", "said"),
    [
        ("good", {"silent_s": 10, "whole_s": 30}, "new", "done"),
        ("loses large packets", {"silent_s": 2, "whole_s": 40}, "old", "SFTP of"),
        ("slow", {"silent_s": 10, "whole_s": 3}, "old", "more than 3 s"),
    ],
)
def test_upload_ends_in_time(path: str, limits: dict[str, int], has: str, said: str) -> None:
    """Done, or Unreachable soon after its limit; the file is the new one or the old one."""
    found = upload(path=path, size=AGENT_BYTES, **limits)
    assert said in found["said"]
    assert found["has"] == has
    limit = min(limits.values()) if has == "old" else limits["whole_s"]
    assert found["took_s"] < limit * 2 + 6
