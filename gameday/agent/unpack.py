# SPDX-License-Identifier: Apache-2.0
"""Unpack the agent's package, and have its byte code made; each once per package."""

from __future__ import annotations

import hashlib
import importlib
import os
import zipfile
from pathlib import Path

from gameday.agent.vigil import HOME

IMPORTED = ("gameday.agent.front", "gameday.agent.serve", "gameday.agent.keeper",
            "gameday.agent.prober", "pyroute2.ipset", "pyroute2.nftables.main",
            "pyroute2.iproute")  # fmt: skip
"""What a node will import; Python keeps the byte code that it makes while it does."""


def prepare() -> int:
    """Import everything once, so that no later start on this node compiles anything."""
    for name in IMPORTED:
        importlib.import_module(name)
    return 0


def zipped(file: str) -> bool:
    """Whether a file is a package, and not this program as it was unpacked."""
    return zipfile.is_zipfile(file)


def unpack(file: str, home: str = HOME) -> Path:
    """Directory below ``home`` with a package's files, made if it is not there; atomically."""
    package = Path(file).resolve()
    digest = hashlib.sha256(package.read_bytes()).hexdigest()
    target = Path(home) / "agent" / digest
    if not target.is_dir():
        draft = target.with_name(f"{digest}.{os.getpid()}")
        draft.mkdir(mode=0o700, parents=True)
        os.chmod(home, 0o700)
        with zipfile.ZipFile(package) as archive:
            archive.extractall(draft)
        try:
            os.replace(draft, target)
        except OSError:
            # Another call unpacked the same bytes first; a directory is not replaced.
            if not target.is_dir():
                raise
    return target
