# SPDX-License-Identifier: Apache-2.0
"""CPU of a profile that changes a link a hundred times a second; needs a kernel with netem.

The slot is here so that the page says what is still to be measured.
"""

from __future__ import annotations

from dataclasses import dataclass

CHANGES_PER_S = 100
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
    """Drive ``gameday.faults.excursion`` on a veth; ``None`` where it was not measured."""
    return None
