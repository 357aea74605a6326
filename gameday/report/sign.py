# SPDX-License-Identifier: Apache-2.0
"""Signs with an OpenSSH Ed25519 private key: in-toto Statements in DSSE envelopes.

Deliberately absent: RSA and ECDSA keys (one algorithm is enough for evidence), hardware
``sk-`` keys and ssh-agent (an agent signs the SSHSIG form, which is not a bare Ed25519
signature over what DSSE asks for unless the agent is asked for exactly these bytes).
"""

from __future__ import annotations

import base64
import hashlib
import stat
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    PublicFormat,
    load_ssh_private_key,
)
from securesystemslib.dsse import Envelope
from securesystemslib.signer import CryptoSigner, SSlibKey

from gameday.errors import InvalidInput
from gameday.record.journal import dump_line
from gameday.report.places import default_key

PAYLOAD_TYPE = "application/vnd.in-toto+json"
STATEMENT_TYPE = "https://in-toto.io/Statement/v1"
MEASUREMENTS_TYPE = "https://gameday.dev/attestation/measurements/v1"
TEST_RESULT_TYPE = "https://in-toto.io/attestation/test-result/v0.1"

PRIVATE_BITS = stat.S_IRWXG | stat.S_IRWXO

Passphrase = Callable[[str], bytes]
"""Asked with the key's path when it is encrypted; no code here reads a terminal."""


@dataclass(frozen=True)
class Identity:
    """Who signs: ``fingerprint`` as ``ssh-keygen -l`` prints it, and the key's comment."""

    fingerprint: str
    comment: str


class SigningKey:
    """An Ed25519 key that signs envelopes."""

    def __init__(self, private: Ed25519PrivateKey, comment: str) -> None:
        public = private.public_key()
        self.identity = Identity(fingerprint(public), comment)
        self._signer = CryptoSigner(private, as_key(public))

    @property
    def principal(self) -> str:
        """Who the key stands for: its comment, or its fingerprint where it has none."""
        return self.identity.comment or self.identity.fingerprint

    def sign(self, statement: Mapping[str, Any]) -> bytes:
        """The statement in an envelope, as the bytes of its file."""
        envelope = Envelope(dump_line(statement).rstrip("\n").encode(), PAYLOAD_TYPE, {})
        return self.add_to(envelope)

    def add_to(self, envelope: Envelope) -> bytes:
        """Sign an envelope beside whoever signed it before; returns the bytes of its file."""
        envelope.sign(self._signer)
        return envelope_bytes(envelope)


def public_line(public: Ed25519PublicKey) -> str:
    """``ssh-ed25519 AAAA…``, without a comment."""
    return public.public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH).decode()


def fingerprint(public: Ed25519PublicKey) -> str:
    """``SHA256:…`` as OpenSSH prints it; it is the key id in our envelopes."""
    blob = base64.b64decode(public_line(public).split()[1])
    return "SHA256:" + base64.b64encode(hashlib.sha256(blob).digest()).decode().rstrip("=")


def as_key(public: Ed25519PublicKey) -> SSlibKey:
    """The form in which securesystemslib verifies."""
    return SSlibKey.from_crypto(public, keyid=fingerprint(public))


def envelope_bytes(envelope: Envelope) -> bytes:
    """The one byte form of an envelope file, so that no byte of it can change unnoticed."""
    return dump_line(envelope.to_dict()).encode()


def statement(
    predicate_type: str, predicate: Mapping[str, Any], files: Mapping[str, bytes]
) -> dict[str, Any]:
    """An in-toto Statement about files, each by its SHA-256."""
    subjects = [
        {"name": name, "digest": {"sha256": hashlib.sha256(content).hexdigest()}}
        for name, content in sorted(files.items())
    ]
    return {
        "_type": STATEMENT_TYPE,
        "subject": subjects,
        "predicateType": predicate_type,
        "predicate": dict(predicate),
    }


def load_signing_key(path: Path | None = None, passphrase: Passphrase | None = None) -> SigningKey:
    """The signing key in an OpenSSH private key file.

    Args:
        path: of the private key, by default where ``gameday keygen`` puts it; its comment
            is read from ``<path>.pub`` where that exists.
        passphrase: asked where the key is encrypted.

    Raises:
        InvalidInput: where there is no usable key, or others may read it.
    """
    path = path or default_key()
    try:
        content, mode = path.read_bytes(), path.stat().st_mode
    except OSError as error:
        reason = error.strerror or str(error)
        raise InvalidInput(
            f"signing key {path}: {reason}", "make one with `gameday keygen`"
        ) from error
    if mode & PRIVATE_BITS:
        raise InvalidInput(f"signing key {path} can be read by others", f"chmod 600 {path}")
    return SigningKey(_private(path, content, passphrase), _comment(path))


def _private(path: Path, content: bytes, passphrase: Passphrase | None) -> Ed25519PrivateKey:
    attempts: Sequence[Callable[[], bytes | None]] = [lambda: None]
    if passphrase is not None:
        ask = passphrase
        attempts = [lambda: None, lambda: ask(str(path))]
    reason = "no key"
    for attempt in attempts:
        try:
            key = load_ssh_private_key(content, attempt())
        except (ValueError, TypeError, UnsupportedAlgorithm) as error:
            reason = str(error)
            if "password" not in reason.lower():
                break
            continue
        if isinstance(key, Ed25519PrivateKey):
            return key
        raise InvalidInput(
            f"signing key {path} is not an Ed25519 key", "make one with `gameday keygen`"
        )
    raise InvalidInput(f"signing key {path}: {reason}")


def _comment(path: Path) -> str:
    try:
        words = path.with_name(path.name + ".pub").read_text().split(maxsplit=2)
    except OSError:
        return ""
    return words[2].strip() if len(words) > 2 else ""
