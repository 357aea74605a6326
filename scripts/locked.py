# SPDX-License-Identifier: Apache-2.0
"""Print the part of requirements.lock that gameday itself needs, without what develops it.

    python scripts/locked.py kubernetes nodes power

It asks the installed packages what they need, so all of requirements.lock is installed before.
"""

from __future__ import annotations

import re
import sys
import tomllib
from collections.abc import Iterable
from importlib.metadata import PackageNotFoundError, requires
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parents[1]


def needed(wanted: Iterable[str]) -> set[str]:
    """Names of everything that these requirements need on this platform, themselves included."""
    found: set[tuple[str, frozenset[str]]] = set()
    todo = [Requirement(one) for one in wanted]
    while todo:
        one = todo.pop()
        extras = frozenset(one.extras)
        key = (canonicalize_name(one.name), extras)
        if key in found or not _applies(one, frozenset()):
            continue
        found.add(key)
        try:
            inner = requires(one.name) or []
        except PackageNotFoundError:
            sys.exit(f"locked: {one.name} is not installed; install requirements.lock first")
        for text in inner:
            further = Requirement(text)
            if _applies(further, extras):
                further.marker = None
                todo.append(further)
    return {name for name, _ in found}


def _applies(one: Requirement, extras: frozenset[str]) -> bool:
    return one.marker is None or any(
        one.marker.evaluate({"extra": extra}) for extra in extras or {""}
    )


def part(lock: str, names: set[str]) -> str:
    """Entries of a lock file, each with its hashes."""
    entries = re.split(r"(?m)^(?=[A-Za-z0-9])", lock)
    return "".join(one for one in entries if canonicalize_name(re.split("[=\\s]", one)[0]) in names)


def main(extras: list[str]) -> None:
    """Print it."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    wanted = [*project["dependencies"]]
    for extra in extras:
        wanted += project["optional-dependencies"][extra]
    lock = (ROOT / "requirements.lock").read_text(encoding="utf-8")
    sys.stdout.write(part(lock, needed(wanted)))


if __name__ == "__main__":
    main(sys.argv[1:])
