# SPDX-License-Identifier: Apache-2.0
"""What an approval is about: experiment, inventory, plan and code, as bytes that do not vary.

Two people who plan the same experiment on the same inventory with the same gameday get the same
bytes, wherever their files lie: lease ids count up instead of being random, and paths below the
inventory's own directory are written relative to it. Host keys are part of the inventory.
"""

from __future__ import annotations

import hashlib
import itertools
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import gameday
from gameday.experiment.load import Loaded
from gameday.plan import Inventory, make_plan

CODE = "code"
NAMES = ("experiment.yaml", "inventory.json", "plan.json", CODE)

MEANING = {
    "experiment.yaml": "the experiment has changed",
    "inventory.json": "the inventory, or its known_hosts, has changed",
    "plan.json": "the plan comes out differently",
    CODE: "gameday itself is another version",
}


@dataclass(frozen=True)
class Subject:
    """The bytes of everything that is approved, by name."""

    experiment: str
    files: Mapping[str, bytes]

    @property
    def digests(self) -> dict[str, str]:
        """SHA-256 by name."""
        return {name: hashlib.sha256(self.files[name]).hexdigest() for name in NAMES}

    @property
    def digest(self) -> str:
        """One SHA-256 over all of it."""
        return hashlib.sha256(canonical(self.digests)).hexdigest()


def subject(text: bytes, loaded: Loaded, inventory: Inventory) -> Subject:
    """What is to be approved before this experiment is run on this inventory.

    Raises:
        InvalidInput, Refused: as ``make_plan``.
    """
    numbers = itertools.count(1)
    plan = make_plan(loaded, inventory, new_id=lambda: f"{next(numbers):08x}")
    files = {
        "experiment.yaml": text,
        "inventory.json": canonical(_portable(inventory)),
        "plan.json": canonical(plan.to_json()),
        CODE: canonical(code()),
    }
    return Subject(loaded.experiment.metadata.name, files)


def code() -> dict[str, str]:
    """SHA-256 of every file of the installed package, by its path in it."""
    root = Path(gameday.__file__).parent
    return {
        str(path.relative_to(root)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(root.rglob("*"))
        if path.is_file() and "__pycache__" not in path.parts
    }


def canonical(data: Any) -> bytes:
    """JSON in one form only."""
    return json.dumps(data, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()


def _portable(inventory: Inventory) -> dict[str, Any]:
    """The inventory without where it lies, and with what its known_hosts holds."""
    data = inventory.to_json()
    source = Path(data.pop("source")).resolve()
    base = source if source.is_dir() else source.parent
    known = Path(inventory.known_hosts)
    hosts = known.read_bytes() if known.is_file() else b""
    found: dict[str, Any] = _relative(data, f"{base}/")
    return {**found, "known_hosts_sha256": hashlib.sha256(hosts).hexdigest()}


def _relative(value: Any, base: str) -> Any:
    if isinstance(value, Mapping):
        return {key: _relative(one, base) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [_relative(one, base) for one in value]
    return value.removeprefix(base) if isinstance(value, str) else value
