# SPDX-License-Identifier: Apache-2.0
"""When leases are read back while faults are in effect. Pure.

Faults of one experiment begin and end at moments of their own, and one whose window nobody looked
into is not known to have been in effect.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from gameday.clock import NS_PER_S

BEGUN_NS = NS_PER_S
"""After a window's start: what begins it has begun."""


def looks(faults: Sequence[Mapping[str, Any]], late_ns: int) -> list[int]:
    """Moments since T0, in nanoseconds, ascending, each once.

    Per fault one soon after its window's start, and one close to its end, where the counters of
    what it hit are read once more while they are there; a short window gets the first alone.

    Args:
        faults: of the plan, with ``at_s`` and ``for_s``.
        late_ns: how long before a window's end the late look is: time for an answer.
    """
    found: set[int] = set()
    for fault in faults:
        fire, lasts = fault["at_s"] * NS_PER_S, fault["for_s"] * NS_PER_S
        first = min(BEGUN_NS, lasts // 2)
        found.add(fire + first)
        if lasts - first > 2 * late_ns:
            found.add(fire + lasts - late_ns)
    return sorted(found)
