# SPDX-License-Identifier: Apache-2.0
"""The files of a finished run, and how they are written."""

from __future__ import annotations

import os
from pathlib import Path

from gameday.errors import EvidenceError
from gameday.record.record import EVENTS, EXPERIMENT, INVENTORY, PLAN, REPORT, SAMPLES

SCHEMA = "gameday/report/v1"
HTML = "report.html"
MEASUREMENTS_ENVELOPE = "report.dsse.json"
TEST_RESULT_ENVELOPE = "test-result.dsse.json"

SUBJECTS = (EXPERIMENT, INVENTORY, PLAN, EVENTS, SAMPLES, REPORT, HTML)
"""Every file that is signed for; a finished run has these, the envelopes and nothing else."""

ENVELOPES = (MEASUREMENTS_ENVELOPE, TEST_RESULT_ENVELOPE)

FILE_BYTES_MAX = 1 << 30
"""A run's file is read whole; one beyond a gigabyte is not one of ours."""


def write_whole(path: Path, content: bytes) -> None:
    """Replace a file so that a reader sees the old one or the new one, on disk on return."""
    part = path.with_name(path.name + ".part")
    with open(part, "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    os.replace(part, path)


def read_whole(path: Path) -> bytes:
    """A regular file's content.

    Raises:
        EvidenceError: where it is missing, too large, or not a regular file.
    """
    try:
        if path.is_symlink() or not path.is_file():
            missing = not path.exists() and not path.is_symlink()
            raise EvidenceError(f"{path} is " + ("missing" if missing else "not a regular file"))
        if path.stat().st_size > FILE_BYTES_MAX:
            raise EvidenceError(f"{path} is larger than {FILE_BYTES_MAX} bytes")
        return path.read_bytes()
    except OSError as error:
        raise EvidenceError(f"{path}: {error.strerror or error}") from error
