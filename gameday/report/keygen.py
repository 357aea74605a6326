# SPDX-License-Identifier: Apache-2.0
"""Makes a signing key for people who have none, and trusts it on this machine."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
)

from gameday.errors import InvalidInput
from gameday.report.places import default_allowed_signers, default_key
from gameday.report.sign import fingerprint, public_line

PRINCIPAL = re.compile(r"[A-Za-z0-9._+@-]{1,128}")


@dataclass(frozen=True)
class NewKey:
    """Files written, and the key's fingerprint and principal."""

    private: Path
    public: Path
    allowed_signers: Path
    fingerprint: str
    principal: str


def generate(principal: str, passphrase: bytes = b"", path: Path | None = None) -> NewKey:
    """Write a new Ed25519 key, its public half, and a line that trusts it.

    Args:
        principal: who the key stands for, "user@host".
        passphrase: encrypts the private key; empty leaves it in the clear (mode 0600).
        path: of the private key; the default is ``default_key()``.

    Raises:
        InvalidInput: where a file is there already, or the principal has odd characters.
    """
    if not PRINCIPAL.fullmatch(principal):
        raise InvalidInput(f"{principal!r} cannot be a principal", "use a form like user@host")
    private_path = path or default_key()
    public_path = private_path.with_name(private_path.name + ".pub")
    for existing in (private_path, public_path):
        if existing.exists() or existing.is_symlink():
            raise InvalidInput(f"{existing} is there already and is never overwritten")
    key = Ed25519PrivateKey.generate()
    encryption = BestAvailableEncryption(passphrase) if passphrase else NoEncryption()
    line = f"{public_line(key.public_key())} {principal}\n"
    private_path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    content = key.private_bytes(Encoding.PEM, PrivateFormat.OpenSSH, encryption)
    _create(private_path, content, 0o600)
    _create(public_path, line.encode(), 0o644)
    trusted = default_allowed_signers() if path is None else private_path.parent / "allowed_signers"
    _append(trusted, f'{principal} namespaces="gameday" {line}')
    return NewKey(private_path, public_path, trusted, fingerprint(key.public_key()), principal)


def _create(path: Path, content: bytes, mode: int) -> None:
    """Write a new file; fails where somebody made it in between."""
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, mode)
    with os.fdopen(handle, "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())


def _append(path: Path, line: str) -> None:
    """Add a line; one that the last writer left without its end is ended first."""
    with open(path, "a+b") as file:
        file.seek(0)
        before = file.read()
        if before and not before.endswith(b"\n"):
            file.write(b"\n")
        file.write(line.encode())
