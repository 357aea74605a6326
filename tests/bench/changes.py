# SPDX-License-Identifier: Apache-2.0
"""CPU of a profile that changes a link a hundred times a second, on a kernel with netem.

Measured in user-mode-linux, where a system call costs several times what it does on a node: so
the figure is an upper bound.
"""

from __future__ import annotations

import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path

from gameday.lab import system
from tests.uml.harness import Machine

CHANGES_PER_S = 100
SECONDS = 20
CORE_SHARE_MAX = 0.05


@dataclass(frozen=True)
class Changes:
    """What a keeper needed for ``changes`` changes.

    Attributes:
        wall_s, cpu_s: of the keeper's process. late_ms: the worst change behind its schedule.
    """

    changes: int
    wall_s: float
    cpu_s: float
    late_ms: float


def measure() -> Changes | None:
    """Drive an excursion on a veth; ``None`` where user-mode-linux is not installed."""
    if not shutil.which("linux.uml", path=system.PATH):
        return None
    with tempfile.TemporaryDirectory(prefix="gameday-bench-") as directory:
        machine = Machine(Path(directory))
        try:
            arguments = {"every_ms": 1000 // CHANGES_PER_S, "seconds": SECONDS}
            found = machine.run("shaping.py", arguments, function="cost", timeout_s=120)
        finally:
            machine.down()
    return Changes(**found)
