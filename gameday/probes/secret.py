# SPDX-License-Identifier: Apache-2.0
"""Secrets by reference: ``env:NAME`` or ``file:/path``, read where they are used.

An experiment, a plan and a record hold the reference alone. Nodes: Python 3.9 syntax.
"""

from __future__ import annotations

import os
import re
import stat

from gameday.errors import InvalidInput

SECRET_BYTES_MAX = 4096
REFERENCE = re.compile(r"env:[A-Za-z_][A-Za-z0-9_]*|file:/.+")


def check_reference(name: str, reference: str) -> None:
    """Refuse what is not a reference; whoever pastes a secret itself shall hear of it.

    Raises:
        ValueError: without repeating what was given.
    """
    if reference and not REFERENCE.fullmatch(reference):
        raise ValueError(f"{name} is no reference; write env:NAME or file:/path, never the secret")


def read_secret(reference: str) -> str:
    """The secret that ``reference`` names, without white space at its ends.

    Raises:
        InvalidInput: where it is not there, or its file can be read by others than its owner.
    """
    kind, _, place = reference.partition(":")
    found = os.environ.get(place, "") if kind == "env" else _of_file(place)
    secret = found.strip()
    if not secret or not secret.isprintable():
        raise InvalidInput(f"{reference} holds no secret", "set it where the probe runs")
    return secret


def _of_file(path: str) -> str:
    try:
        with open(path, encoding="utf-8") as file:
            about = os.fstat(file.fileno())
            if not stat.S_ISREG(about.st_mode) or about.st_mode & 0o077:
                raise InvalidInput(
                    f"file:{path} must be a file that nobody but its owner can read",
                    f"chmod 600 {path}",
                )
            return file.read(SECRET_BYTES_MAX)
    except (OSError, UnicodeDecodeError) as error:
        word = getattr(error, "strerror", None) or type(error).__name__
        raise InvalidInput(f"file:{path} cannot be read: {word}") from error
