# SPDX-License-Identifier: Apache-2.0
"""The directory of a run: made, named and filled before anything is touched."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from gameday import clock
from gameday.errors import InvalidInput
from gameday.record.record import EXPERIMENT, INVENTORY, PLAN


def make(
    reports: Path, experiment: bytes, inventory: Mapping[str, Any], plan: Mapping[str, Any]
) -> Path:
    """Make ``reports/<started>-<experiment>-<run id>`` with its three input files.

    Raises:
        InvalidInput: where the directory cannot be written.
    """
    started = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime(clock.wall_ns() // clock.NS_PER_S))
    name = plan["experiment"]["metadata"]["name"]
    directory = reports / f"{started}-{name}-{os.urandom(3).hex()}"
    try:
        directory.mkdir(parents=True)
        (directory / EXPERIMENT).write_bytes(experiment)
        (directory / INVENTORY).write_text(pretty(inventory), encoding="utf-8")
        (directory / PLAN).write_text(pretty(plan), encoding="utf-8")
    except OSError as error:
        raise InvalidInput(f"{directory}: cannot write: {error.strerror}",
                           "choose another place with --reports") from error  # fmt: skip
    return directory


def pretty(data: Mapping[str, Any]) -> str:
    """JSON for people and machines: sorted, indented, newline at the end."""
    return json.dumps(data, indent=2, sort_keys=True, ensure_ascii=False) + "\n"


def find(reports: Path, name: str | None) -> Path:
    """A run by path, by name or part of a name; without one, the newest.

    Raises:
        InvalidInput: where there is none, or several match.
    """
    if name and (Path(name) / PLAN).exists():
        return Path(name)
    runs = all_runs(reports)
    found = [run for run in runs if name is None or name in run.name]
    if not found:
        what = f"no run named {name!r}" if name else "no run"
        raise InvalidInput(f"{what} in {reports}", "gameday status lists them")
    if name and len(found) > 1:
        raise InvalidInput(f"{name!r} fits {len(found)} runs in {reports}", "give more of its name")
    return found[-1]


def all_runs(reports: Path) -> list[Path]:
    """Directories of runs, oldest first; those of searches too, which lie one level deeper."""
    if not reports.is_dir():
        return []
    found = [plan.parent for depth in ("*", "*/*") for plan in reports.glob(f"{depth}/{PLAN}")]
    return sorted(found, key=lambda path: path.name)
