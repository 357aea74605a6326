# SPDX-License-Identifier: Apache-2.0
"""Archives of carried libraries on a node, by digest. Python 3.9 syntax."""

from __future__ import annotations

import base64
import hashlib
import os
import sys
from pathlib import Path

from gameday.agent import vigil
from gameday.agent.vigil import HOME
from gameday.errors import NodeError

ALLOWED = Path("/etc/gameday/carried")
"""Digests, one a line, on a node that was prepared: whoever may only start the agent there must not
bring programs of their own as libraries."""


def check_allowed(sha256: str, allowed: Path = ALLOWED) -> None:
    """Refuse an archive that a prepared node was not prepared for.

    Raises:
        NodeError: where there is a list, and it has not got this digest.
    """
    if not vigil.LOCAL and allowed.exists():
        if sha256 in allowed.read_text(encoding="ascii").split():
            return
        raise NodeError(f"this node takes no library {sha256[:12]}: prepare it for this version "
                        "(gameday nodes prepare)")  # fmt: skip


def path_of(sha256: str, home: str = HOME) -> Path:
    """Where the archive with this digest is kept.

    Raises:
        NodeError: where this is no digest.
    """
    if len(sha256) != 64 or set(sha256) - set("0123456789abcdef"):
        raise NodeError("a carried archive is named by its SHA-256")
    return Path(home) / "carried" / f"{sha256}.zip"


def there(sha256: str, home: str = HOME) -> bool:
    """Whether the archive is kept, with the bytes that its name says."""
    path = path_of(sha256, home)
    return path.is_file() and hashlib.sha256(path.read_bytes()).hexdigest() == sha256


def keep(sha256: str, content: str, home: str = HOME) -> None:
    """Keep an archive (base64); atomically.

    Raises:
        NodeError: where the bytes are not those of the digest.
    """
    check_allowed(sha256)
    path, data = path_of(sha256, home), base64.b64decode(content)
    if hashlib.sha256(data).hexdigest() != sha256:
        raise NodeError("a carried archive differs from what was sent")
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    draft = path.with_name(f"{sha256}.{os.getpid()}")
    draft.write_bytes(data)
    os.replace(draft, path)


def use(sha256: str, home: str = HOME) -> None:
    """Make the archive's libraries importable; after all others.

    Raises:
        NodeError: where it is not there as it was sent.
    """
    check_allowed(sha256)
    if not there(sha256, home):
        raise NodeError(f"the carried archive {sha256[:16]} is not on this node")
    path = str(path_of(sha256, home))
    if path not in sys.path:
        sys.path.append(path)
