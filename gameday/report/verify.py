# SPDX-License-Identifier: Apache-2.0
"""Is a run's directory what somebody trusted signed, all of it and nothing else?

"Wrong" is ``NotVerified`` (exit 1) and names every file that is wrong; "could not check" is
``EvidenceError`` (exit 3). There is no yes or no: the answer is who signed.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from securesystemslib.dsse import Envelope
from securesystemslib.exceptions import UnverifiedSignatureError, VerificationError

from gameday.errors import EvidenceError, NotVerified
from gameday.report.files import (
    ENVELOPES,
    MEASUREMENTS_ENVELOPE,
    SUBJECTS,
    TEST_RESULT_ENVELOPE,
    read_whole,
)
from gameday.report.sign import (
    MEASUREMENTS_TYPE,
    PAYLOAD_TYPE,
    STATEMENT_TYPE,
    TEST_RESULT_TYPE,
    as_key,
    envelope_bytes,
)
from gameday.report.trust import Trusted, read_allowed_signers

PREDICATES = {MEASUREMENTS_ENVELOPE: MEASUREMENTS_TYPE, TEST_RESULT_ENVELOPE: TEST_RESULT_TYPE}
SIGNATURES_MAX = 64


@dataclass(frozen=True)
class SignedBy:
    """A trusted signer of both envelopes."""

    principals: str
    fingerprint: str


@dataclass(frozen=True)
class Verified:
    """Proof that a run is what was signed.

    Attributes:
        signers: who signed both envelopes.
        statement: the in-toto Statement with the measurements, from the signed bytes.
        files: content of every signed file, as it was verified; render from these.
    """

    signers: tuple[SignedBy, ...]
    statement: Mapping[str, Any]
    files: Mapping[str, bytes]


def verify_run(directory: Path, allowed_signers: Path) -> Verified:
    """Check every byte of a run's directory against what a trusted key signed.

    Args:
        directory: of the run. allowed_signers: OpenSSH file of trusted keys.

    Raises:
        NotVerified: with one problem per file that differs, is missing or is not signed,
            and per signature that does not count.
        EvidenceError: where it could not be checked (no directory, no trust file).
    """
    if not directory.is_dir():
        raise EvidenceError(f"{directory} is not a directory", "name a run, as in reports/<run>")
    trusted = read_allowed_signers(allowed_signers)
    problems: list[str] = []
    files = _files(directory, problems)
    statements: dict[str, Mapping[str, Any]] = {}
    signers: list[set[SignedBy]] = []
    for name in ENVELOPES:
        if name not in files:
            problems.append(f"{name}: missing, so nothing is signed by it")
            continue
        try:
            statements[name], who = open_envelope(
                name, files[name], PREDICATES[name], trusted, allowed_signers
            )
            signers.append(who)
        except NotVerified as error:
            problems += error.problems
    for name, found in statements.items():
        problems += _subjects(name, found, files)
    both = set.intersection(*signers) if len(signers) == len(ENVELOPES) else set()
    if not problems and not both:
        problems.append("no one signer signed both envelopes")
    if problems:
        unique = tuple(dict.fromkeys(problems))
        raise NotVerified(f"{directory} is not verified", problems=unique)
    ordered = tuple(sorted(both, key=lambda s: (s.principals, s.fingerprint)))
    content = {name: files[name] for name in SUBJECTS}
    return Verified(ordered, statements[MEASUREMENTS_ENVELOPE], content)


def _files(directory: Path, problems: list[str]) -> dict[str, bytes]:
    """Content of every file that belongs to a run; what does not belong is a problem."""
    found = {}
    for path in sorted(directory.iterdir()):
        if path.name not in (*SUBJECTS, *ENVELOPES):
            problems.append(f"{path.name}: not signed, and not a file of a run")
        elif path.is_symlink() or not path.is_file():
            problems.append(f"{path.name}: not a regular file")
        else:
            found[path.name] = read_whole(path)
    return found


def open_envelope(
    name: str, content: bytes, predicate_type: str, trusted: Sequence[Trusted],
    allowed_signers: Path,
) -> tuple[Mapping[str, Any], set[SignedBy]]:  # fmt: skip
    """The statement in an envelope and who signed it.

    Args:
        name: of the file, for messages. content: of the file. predicate_type: what it must be.
        trusted: keys that count, from the file ``allowed_signers``.

    Raises:
        NotVerified: where anything about the envelope is wrong.
    """

    def wrong(text: str) -> NotVerified:
        return NotVerified(f"{name}: {text}", problems=(f"{name}: {text}",))

    try:
        envelope = Envelope.from_dict(json.loads(content))
        canonical = envelope_bytes(envelope)
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise wrong("differs, it is not an envelope any more") from error
    if canonical != content:
        raise wrong("differs from the form in which it was written")
    if envelope.payload_type != PAYLOAD_TYPE:
        raise wrong(f"differs, its payload type is {envelope.payload_type!r}")
    if not 0 < len(envelope.signatures) <= SIGNATURES_MAX:
        raise wrong(f"{len(envelope.signatures)} signatures")
    if any(signature.unrecognized_fields for signature in envelope.signatures.values()):
        raise wrong("differs, a signature has fields that are not signed")
    try:
        statement = json.loads(envelope.payload)
        moment = _signed_at(statement["predicate"])
        meant = (statement["_type"], statement["predicateType"])
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise wrong("differs, it holds no statement about a run") from error
    who: set[SignedBy] = set()
    bad: list[str] = []
    for keyid in envelope.signatures:
        try:
            who.add(_signature(envelope, keyid, trusted, allowed_signers, moment))
        except NotVerified as error:
            bad.append(f"{name}: {error.message}")
    if bad:
        raise NotVerified(bad[0], problems=bad)
    if meant != (STATEMENT_TYPE, predicate_type):
        raise wrong("signed, but for something else")
    return statement, who


def _signature(
    envelope: Envelope,
    keyid: str,
    trusted: Sequence[Trusted],
    allowed_signers: Path,
    moment: int,
) -> SignedBy:
    """The trusted signer of one signature.

    Raises:
        NotVerified: where the key is not trusted, was not valid, or did not sign this.
        EvidenceError: where the check itself failed.
    """
    lines = [line for line in trusted if line.fingerprint == keyid]
    if not lines:
        raise NotVerified(f"signed by a key that {allowed_signers} does not trust: {keyid}")
    try:
        as_key(lines[0].key).verify_signature(envelope.signatures[keyid], envelope.pae())
    except VerificationError as error:
        raise EvidenceError(f"a signature could not be checked: {error}") from error
    except UnverifiedSignatureError as error:
        raise NotVerified(f"differs from what {lines[0].principals} signed") from error
    valid = [line for line in lines if not line.why_not(moment)]
    if not valid:
        raise NotVerified(f"{lines[0].principals}: {lines[0].why_not(moment)}")
    return SignedBy(valid[0].principals, keyid)


def _signed_at(predicate: Mapping[str, Any]) -> int:
    """When it was signed, by the signer's own word inside the signed bytes."""
    found = predicate.get("signed_wall_ns", predicate.get("annotations", {}).get("signed_wall_ns"))
    if not isinstance(found, int):
        raise TypeError("no signing time")
    return found


def _subjects(name: str, statement: Mapping[str, Any], files: Mapping[str, bytes]) -> list[str]:
    """Files that are not what a statement says they are."""
    try:
        signed = {s["name"]: s["digest"]["sha256"] for s in statement["subject"]}
    except (KeyError, TypeError):
        return [f"{name}: signed, but it is no statement about files"]
    problems = []
    for subject in SUBJECTS:
        if subject not in signed:
            problems.append(f"{subject}: not signed by {name}")
        elif subject not in files:
            problems.append(f"{subject}: missing")
        elif hashlib.sha256(files[subject]).hexdigest() != signed[subject]:
            problems.append(f"{subject}: differs from what was signed")
    problems += [f"{other}: signed, but not a file of a run" for other in set(signed) - {*SUBJECTS}]
    return problems
