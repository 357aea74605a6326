# SPDX-License-Identifier: Apache-2.0
"""Signatures over what a run is going to do, given before it by people who are trusted.

An approval is an in-toto Statement about the four subjects of ``drills.subject`` in a DSSE
envelope, in a file of its own below ``reports/approvals``. A run looks for approvals of exactly
its own subjects; one that names the same experiment and other bytes is stale, and says why.
People are counted, not keys: ``drills.people`` says which keys are one person's.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from gameday import clock
from gameday.drills import people
from gameday.drills.subject import MEANING, Subject
from gameday.errors import NotVerified, Refused
from gameday.plan.policy import Policy
from gameday.record import kinds
from gameday.record.record import EVENTS, EXPERIMENT
from gameday.report.files import read_whole, write_whole
from gameday.report.sign import SigningKey, statement
from gameday.report.trust import Trusted, read_allowed_signers
from gameday.report.verify import open_envelope

APPROVAL_TYPE = "https://gameday.dev/attestation/approval/v1"
DIRECTORY = "approvals"
SUFFIX = ".dsse.json"
DAY_NS = 86_400 * clock.NS_PER_S

AHEAD_S_MAX = 300
"""Clocks of an approver and of the controller may differ by this; what is signed later than that
is dated ahead: it would count longer than the policy allows."""


@dataclass(frozen=True)
class Approval:
    """One signature that counts.

    Attributes:
        principals, fingerprint: who signed. signed_wall_ns: when, by their own clock.
        digest: of all subjects. envelope: the file's text, so that a record holds it whole.
    """

    principals: str
    fingerprint: str
    signed_wall_ns: int
    digest: str
    envelope: str

    def to_json(self) -> dict[str, Any]:
        """As the run's journal keeps it."""
        return asdict(self)


def approve(directory: Path, subject: Subject, key: SigningKey, note: str = "") -> Path:
    """Sign a subject; returns the file with the signature.

    Args:
        directory: of approvals; made where it is not there. note: in the signer's words.
    """
    predicate = {
        "signed_wall_ns": clock.wall_ns(),
        "experiment": subject.experiment,
        "digest": subject.digest,
        "approver": key.principal,
        "note": note,
    }
    envelope = key.sign(statement(APPROVAL_TYPE, predicate, subject.files))
    directory.mkdir(parents=True, exist_ok=True)
    finger = key.identity.fingerprint.removeprefix("SHA256:").replace("/", "_")[:12]
    path = directory / f"{subject.experiment}-{subject.digest[:12]}-{finger}{SUFFIX}"
    write_whole(path, envelope)
    return path


def require(  # noqa: PLR0917 - everything that an approval is about
    directory: Path, subject: Subject, policy: Policy, operator: SigningKey, allowed_signers: Path,
    at_ns: int | None = None,
) -> list[Approval]:  # fmt: skip
    """The approvals that allow this run, one per person.

    Args:
        directory: of approvals. policy: that asks for at least one. operator: who runs it.
        allowed_signers: OpenSSH file of trusted keys. at_ns: wall clock of the run; now if None.

    Raises:
        Refused: where there are too few, with what is wrong with every other one.
        EvidenceError: where the file of trusted keys cannot be read.
    """
    trusted = read_allowed_signers(allowed_signers)
    at_ns = clock.wall_ns() if at_ns is None else at_ns
    found: list[Approval] = []
    wrong: list[str] = []
    for path in sorted(directory.glob(f"*{SUFFIX}")) if directory.is_dir() else []:
        try:
            one = _read(path, subject, policy, trusted, allowed_signers, at_ns)
        except NotVerified as error:
            wrong += error.problems
            continue
        if one is None or one.fingerprint in {other.fingerprint for other in found}:
            continue
        own = people.same_as_key(trusted, one.fingerprint, operator)
        again = [x for x in found if people.same(trusted, x.fingerprint, one.fingerprint)]
        if own and policy.approvals > 1:
            wrong.append(f"{path.name}: it is the operator's own, and {policy.approvals} are asked "
                         "for")  # fmt: skip
        elif again:
            wrong.append(f"{path.name}: {one.principals} has approved with another key already; "
                         "people count, not keys")  # fmt: skip
        else:
            found.append(one)
    if len(found) < policy.approvals:
        names = [f"counts: {one.principals}" for one in found]
        raise Refused(
            f"{len(found)} of {policy.approvals} approvals for {subject.experiment}",
            f"let others read the plan and sign it: gameday approve … (they go to {directory})",
            problems=[*names, *wrong],
        )
    return found


def _read(  # noqa: PLR0917 - everything that an approval is about
    path: Path, subject: Subject, policy: Policy, trusted: list[Trusted], allowed_signers: Path,
    at_ns: int,
) -> Approval | None:  # fmt: skip
    """An approval of this subject; ``None`` where it is about another experiment.

    Raises:
        NotVerified: where it does not count, and why.
    """
    content = read_whole(path)
    signed, who = open_envelope(path.name, content, APPROVAL_TYPE, trusted, allowed_signers)
    predicate = signed["predicate"]
    if predicate.get("experiment") != subject.experiment:
        return None
    changed = _changed(signed, subject)
    if changed:
        raise _wrong(path, f"it is about another plan: {'; '.join(changed)}")
    ahead = int(predicate["signed_wall_ns"]) - clock.wall_ns()
    if ahead > AHEAD_S_MAX * clock.NS_PER_S:
        raise _wrong(path, f"it is dated {ahead // clock.NS_PER_S} s ahead of this clock; sign it "
                           "again with a clock that is right")  # fmt: skip
    age = at_ns - int(predicate["signed_wall_ns"])
    if age > policy.approval_days * DAY_NS:
        raise _wrong(path, f"it is {age // DAY_NS} days old, {policy.approval_days} are allowed")
    signer = next(iter(who))
    return Approval(signer.principals, signer.fingerprint, int(predicate["signed_wall_ns"]),
                    subject.digest, content.decode())  # fmt: skip


def _changed(signed: Mapping[str, Any], subject: Subject) -> list[str]:
    digests = {one["name"]: one["digest"]["sha256"] for one in signed["subject"]}
    return [
        MEANING[name] for name, digest in subject.digests.items() if digests.get(name) != digest
    ]


def recorded(files: Mapping[str, bytes], allowed_signers: Path) -> list[Approval]:
    """The approvals in a run's signed files, each checked again.

    Args:
        files: of the run, as ``verify_run`` found them. allowed_signers: trusted keys.

    Raises:
        NotVerified: where one is not what a trusted key signed, or is about another experiment.
    """
    found: list[Approval] = []
    trusted = read_allowed_signers(allowed_signers)
    for line in files[EVENTS].splitlines():
        event = json.loads(line)
        if event["kind"] != kinds.APPROVED:
            continue
        one = Approval(**{name: event["data"][name] for name in Approval.__dataclass_fields__})
        name = f"approval of {one.principals}"
        signed, who = open_envelope(
            name, one.envelope.encode(), APPROVAL_TYPE, trusted, allowed_signers
        )
        digests = {s["name"]: s["digest"]["sha256"] for s in signed["subject"]}
        ours = hashlib.sha256(files[EXPERIMENT]).hexdigest()
        if digests[EXPERIMENT] != ours or one.fingerprint not in {w.fingerprint for w in who}:
            raise _wrong(Path(name), "it is not about this run")
        found.append(one)
    return found


def _wrong(path: Path, text: str) -> NotVerified:
    return NotVerified(f"{path.name}: {text}", problems=(f"{path.name}: {text}",))
