# SPDX-License-Identifier: Apache-2.0
"""Whom we believe: an OpenSSH ``allowed_signers`` file, as ssh-keygen(1) describes it.

    alice@corp.example namespaces="gameday",valid-before="20271231Z" ssh-ed25519 AAAA…

Honoured: principals, ``namespaces``, ``valid-after``, ``valid-before``. Lines with keys other
than ssh-ed25519 are passed over, since no report can carry their signatures.
``cert-authority`` is refused rather than ignored: certificates are not read here, and an
administrator who wrote such a line expects them to be.
"""

from __future__ import annotations

import base64
import binascii
import fnmatch
import re
import struct
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from gameday.errors import EvidenceError
from gameday.report.sign import fingerprint

NAMESPACE = "gameday"
KEY_TYPE = "ssh-ed25519"
KEY_TYPES = re.compile(r"(sk-)?(ssh|ecdsa)-[a-z0-9@.-]+")
OPTION = re.compile(r'([a-z-]+)(?:="([^"]*)")?')
TIMES = {8: "%Y%m%d", 12: "%Y%m%d%H%M", 14: "%Y%m%d%H%M%S"}
NS_PER_S = 1_000_000_000


@dataclass(frozen=True)
class Trusted:
    """One line of the file.

    Attributes:
        principals: as written. fingerprint: ``SHA256:…``. key: the public key.
        valid_after_ns, valid_before_ns: wall clock; None where there is no such bound.
        line: for messages.
    """

    principals: str
    fingerprint: str
    key: Ed25519PublicKey
    valid_after_ns: int | None
    valid_before_ns: int | None
    line: int

    def why_not(self, wall_ns: int) -> str:
        """Why this key does not count for a signature of that moment; empty where it does."""
        if self.valid_after_ns is not None and wall_ns < self.valid_after_ns:
            return "the key was not valid yet when it signed"
        if self.valid_before_ns is not None and wall_ns > self.valid_before_ns:
            return "the key was not valid any more when it signed"
        return ""


def read_allowed_signers(path: Path) -> list[Trusted]:
    """Every Ed25519 key that the file trusts for gameday.

    Raises:
        EvidenceError: where the file cannot be read or a line cannot be understood; a trust
            list that is half understood would verify the wrong thing.
    """
    try:
        content = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise EvidenceError(
            f"allowed signers {path}: {reason}", "name the file with --allowed-signers"
        ) from error
    found = []
    for number, line in enumerate(content.splitlines(), start=1):
        text = line.strip()
        if text and not text.startswith("#"):
            trusted = _line(f"{path}:{number}", text, number)
            if trusted is not None:
                found.append(trusted)
    return found


def _line(where: str, text: str, number: int) -> Trusted | None:
    words = _words(text)
    if len(words) < 3:
        raise EvidenceError(f"{where}: expected principals, key type and key")
    principals, rest = words[0].strip('"'), words[1:]
    options: dict[str, str] = {}
    if not KEY_TYPES.fullmatch(rest[0]):
        options, rest = _options(where, rest[0]), rest[1:]
    if len(rest) < 2 or not KEY_TYPES.fullmatch(rest[0]):
        raise EvidenceError(f"{where}: no key type and key after the options")
    if rest[0] != KEY_TYPE:
        return None
    namespaces = options.get("namespaces")
    if namespaces is not None and not any(
        fnmatch.fnmatchcase(NAMESPACE, pattern.strip()) for pattern in namespaces.split(",")
    ):
        return None
    key = _key(where, rest[1])
    return Trusted(
        principals, fingerprint(key), key,
        _time(where, options.get("valid-after")), _time(where, options.get("valid-before")), number,
    )  # fmt: skip


def _words(text: str) -> list[str]:
    """Split at blanks outside double quotes; the quotes stay."""
    return re.findall(r'(?:[^\s"]|"[^"]*")+', text)


def _options(where: str, text: str) -> dict[str, str]:
    found: dict[str, str] = {}
    for word in re.findall(r'(?:[^,"]|"[^"]*")+', text):
        match = OPTION.fullmatch(word)
        if match is None:
            raise EvidenceError(f"{where}: cannot read the option {word}")
        name, value = match.group(1).lower(), match.group(2)
        if name == "cert-authority":
            raise EvidenceError(
                f"{where}: cert-authority is not supported", "list the signers' own keys"
            )
        if name not in ("namespaces", "valid-after", "valid-before") or value is None:
            raise EvidenceError(f"{where}: unknown option {word}")
        found[name] = value
    return found


def _key(where: str, encoded: str) -> Ed25519PublicKey:
    try:
        blob = base64.b64decode(encoded, validate=True)
        sizes = struct.unpack(">I", blob[:4])[0]
        name, rest = blob[4 : 4 + sizes], blob[4 + sizes :]
        if name != KEY_TYPE.encode() or rest[:4] != struct.pack(">I", 32) or len(rest) != 36:
            raise EvidenceError(f"{where}: the key is not the Ed25519 key it says it is")
        return Ed25519PublicKey.from_public_bytes(rest[4:])
    except (binascii.Error, struct.error, ValueError) as error:
        raise EvidenceError(f"{where}: the key cannot be read: {error}") from error


def _time(where: str, text: str | None) -> int | None:
    """A timestamp of ssh-keygen's form as wall clock nanoseconds; local time without a Z."""
    if text is None:
        return None
    digits, zone = (text[:-1], UTC) if text.endswith("Z") else (text, None)
    form = TIMES.get(len(digits))
    try:
        if form is None or not digits.isdigit():
            raise ValueError("expected YYYYMMDD[HHMM[SS]][Z]")
        moment = datetime.strptime(digits, form)
        moment = moment.replace(tzinfo=zone) if zone else moment.astimezone()
    except ValueError as error:
        raise EvidenceError(f"{where}: cannot read the time {text}: {error}") from error
    return int(moment.timestamp()) * NS_PER_S
