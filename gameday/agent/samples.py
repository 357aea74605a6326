# SPDX-License-Identifier: Apache-2.0
"""Hand over what a run's probe loop has stored; asked for all the time, so it imports nothing."""

from __future__ import annotations

import os

from gameday.agent import vigil

if vigil.TYPE_CHECKING:
    from typing import Any, Dict

CHUNK_BYTES_MAX = 1 << 20
"""Samples handed over in one answer; more wait for the next question."""

BEGUN = "begun"
"""Name of the empty file in a run's directory that says that its probe loop looks."""


def read(run: str, offset: int, home: str = vigil.HOME) -> Dict[str, Any]:
    """Whole lines of the sample file from ``offset`` on, and whether more may come.

    Raises:
        ValueError: where the run's name could leave the directory.
    """
    if not run or "/" in run or run.startswith("."):
        raise ValueError("not a run's name: %r" % run)
    directory = f"{home}/runs/{run}"
    alive = _alive(directory)
    path = f"{directory}/samples.jsonl"
    if not os.path.exists(path):
        return {"lines": "", "next": offset, "running": alive, "found": os.path.isdir(directory)}
    with open(path, "rb") as file:
        file.seek(offset)
        chunk = file.read(CHUNK_BYTES_MAX)
    whole = chunk[: chunk.rfind(b"\n") + 1]
    after = offset + len(whole)
    more = after < os.path.getsize(path) and bool(whole)
    return {"lines": whole.decode(), "next": after, "running": alive or more, "found": True}


def _alive(directory: str) -> bool:
    """Whether the run's probe loop is a living process."""
    try:
        with open(f"{directory}/pid", encoding="ascii") as file:
            pid = int(file.read())
    except (OSError, ValueError):
        return False
    return vigil.may_be_ours(pid, "probe")
