# SPDX-License-Identifier: Apache-2.0
"""The lab's nodes for a user of gameday's own: what they have, and gameday's words about it.

The nodes' /etc, /home and /var/lib are their own; /usr is the machine's, and nothing is put there.
The lab's sudoers reads no directory: tests add the line that every real system has.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from tests.lab.drill import Drill

INCLUDE = "@includedir /etc/sudoers.d"
OURS = ("--as", "gameday")
STEP_S = 900
"""A playbook takes twenty seconds a node, and minutes on a machine that others use."""

LISTED = """
find /etc /home /root /var/lib/gameday -type f ! -path '/etc/.pwd.lock' ! -name '*-' \
    -exec sha256sum {} + 2>&1 | sort -k 2
find /etc /home /root ! -path '/etc/.pwd.lock' ! -name '*-' | sort
"""
"""Files with their content. Names that end in a dash are what useradd keeps of the last version."""


def includes(drill: Drill, names: Sequence[str]) -> None:
    """Have sudo read /etc/sudoers.d on these nodes."""
    for node in names:
        done = drill.lab.exec(node, ["sh", "-c", f"echo '{INCLUDE}' >> /etc/sudoers"])
        assert done.returncode == 0, done.stderr
        # What earlier tests left of an agent is not ours to find again.
        drill.lab.exec(node, ["rm", "-rf", "/var/lib/gameday"])


def without(drill: Drill, names: Sequence[str]) -> None:
    """Their sudo does not read that directory any more."""
    for node in names:
        drill.lab.exec(node, ["sed", "-i", f"\\|^{INCLUDE}$|d", "/etc/sudoers"])


def nodes(drill: Drill, *argv: str) -> Any:
    """``gameday nodes`` as a user has it."""
    return drill.gameday("nodes", *argv, timeout_s=STEP_S)


def listed(drill: Drill, node: str) -> str:
    """What a node has, without gameday's help."""
    done = drill.lab.exec(node, ["sh", "-c", LISTED], timeout_s=120)
    assert done.returncode == 0 and "/etc/passwd" in done.stdout, done.stderr
    return str(done.stdout)


def assert_code(done: Any, code: int) -> str:
    """The exit code is as told; returns everything that was said."""
    said = str(done.stdout + done.stderr)
    assert done.returncode == code, said
    return said
