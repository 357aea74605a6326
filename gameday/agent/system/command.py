# SPDX-License-Identifier: Apache-2.0
"""Run one program of the node, with a bound on its time and its output."""

from __future__ import annotations

import os
import shutil
import subprocess
from dataclasses import dataclass
from typing import Callable, Optional, Sequence

from gameday.errors import NodeError


@dataclass(frozen=True)
class Check:
    """One thing that a fault kind may need of a node.

    Attributes:
        name: as kinds ask for it in ``Facts.missing``.
        look: returns where it is there; raises GamedayError, OSError or ImportError where not.
        advice: what helps, for people.
    """

    name: str
    look: Callable[[], object]
    advice: str


TIMEOUT_S = 20
"""No tool of ours takes longer unless it hangs on a lock that somebody holds."""

PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


def find(program: str) -> Optional[str]:
    """Full path of a program, looked for where system tools live; ``None`` if absent."""
    return shutil.which(program, path=PATH)


def run(argv: Sequence[str], stdin: str = "", timeout_s: int = TIMEOUT_S) -> str:
    """Standard output of a program that must succeed.

    Raises:
        NodeError: where it is missing, fails or does not end in time; with its message.
    """
    program = find(argv[0])
    if program is None:
        raise NodeError(f"{argv[0]} is not installed on this node")
    environment = {**os.environ, "PATH": PATH, "LC_ALL": "C"}
    try:
        done = subprocess.run(
            [program, *argv[1:]],
            input=stdin, capture_output=True, text=True, timeout=timeout_s,
            env=environment, check=False,
        )  # fmt: skip
    except subprocess.TimeoutExpired as error:
        raise NodeError(f"{argv[0]} did not end within {timeout_s} s") from error
    if done.returncode != 0:
        raise NodeError(f"{' '.join(argv)} failed ({done.returncode}): {done.stderr.strip()[:500]}")
    return done.stdout
