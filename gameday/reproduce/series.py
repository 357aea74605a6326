# SPDX-License-Identifier: Apache-2.0
"""What evidence is once it has been read: looks at one path, in order of time."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from statistics import median

MS_PER_S = 1000
US_PER_MS = 1000
PPM = 1_000_000


@dataclass(frozen=True)
class Look:
    """One recorded answer, or the lack of one.

    Attributes:
        line: where it stands in the evidence, from 1.
        at_ms: since the Unix epoch.
        rtt_us: the round trip; None where the answer was lost or only loss was recorded.
        loss_ppm: share of packets lost: all or none where every look is one packet.
    """

    line: int
    at_ms: int
    rtt_us: int | None
    loss_ppm: int = 0


def spacing_ms(looks: Sequence[Look]) -> int:
    """The usual time from one look to the next; 0 for fewer than two looks."""
    gaps = [b.at_ms - a.at_ms for a, b in itertools.pairwise(looks)]
    return round(median(gaps)) if gaps else 0


def show_time(at_ms: int) -> str:
    """RFC 3339 in UTC, to the millisecond."""
    found = datetime.fromtimestamp(at_ms / MS_PER_S, UTC).isoformat(timespec="milliseconds")
    return found.replace("+00:00", "Z")


def show_ms(us: int) -> str:
    """Microseconds as milliseconds."""
    return f"{us / US_PER_MS:g} ms"
