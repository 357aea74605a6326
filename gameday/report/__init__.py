# SPDX-License-Identifier: Apache-2.0
"""Verdict, report.json, signatures, HTML. Says met, not met or unknown; never touches a node.

finish_run(directory, key)             judge, render and sign a recorded run
verify.verify_run(directory, trust)    who signed it, or NotVerified
build.build_report(record)             report.json as a dictionary; pure
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from gameday.report.sign import SigningKey


def finish_run(directory: Path, key: SigningKey) -> dict[str, Any]:
    """Judge, render and sign a recorded run; see ``gameday.report.finish``.

    Imported on use, so that what only reads a report stays quick.
    """
    from gameday.report import finish

    return finish.finish_run(directory, key)
