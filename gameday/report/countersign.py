# SPDX-License-Identifier: Apache-2.0
"""A second signature on a run's envelopes, by somebody who has verified the first."""

from __future__ import annotations

import json
from pathlib import Path

from securesystemslib.dsse import Envelope

from gameday.errors import InvalidInput
from gameday.report.files import ENVELOPES, read_whole, write_whole
from gameday.report.sign import SigningKey
from gameday.report.verify import Verified, verify_run


def countersign_run(directory: Path, key: SigningKey, allowed_signers: Path) -> Verified:
    """Add a signature to both envelopes of a run; returns what was verified before that.

    Raises:
        NotVerified, EvidenceError: as ``verify_run``; then nothing is signed.
        InvalidInput: where this key has signed it already.
    """
    verified = verify_run(directory, allowed_signers)
    if any(one.fingerprint == key.identity.fingerprint for one in verified.signers):
        raise InvalidInput(f"{key.principal} has signed {directory} already",
                           "name another key with --key")  # fmt: skip
    for name in ENVELOPES:
        path = directory / name
        envelope = Envelope.from_dict(json.loads(read_whole(path)))
        write_whole(path, key.add_to(envelope))
    return verified
