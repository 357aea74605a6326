# SPDX-License-Identifier: Apache-2.0
"""Root qdiscs that gameday can take away and bring back the same, and how."""

from __future__ import annotations

import struct
from typing import Mapping, Tuple

from gameday.agent.system.rtnetlink import attribute, attributes

REBUILT = ("pfifo", "bfifo", "fq_codel", "fq", "sfq", "codel", "tbf", "netem")
"""Kinds that come back the same from what the kernel tells of them."""

SHAPING = ("netem", "tbf")
"""Roots that delay or limit what passes: a fault comes on top of that, not instead of it."""

CODEL_TIMES: Mapping[str, Tuple[int, ...]] = {"fq_codel": (1, 3, 7), "codel": (1, 3, 5)}
"""Attributes that are times: target, interval, ce_threshold."""

NETEM_JITTER_AT = 20
"""Offset of the jitter in ``tc_netem_qopt``."""


def has_untold_jitter(kind: str, options: bytes) -> bool:
    """Whether it is a netem with jitter, whose distribution the kernel does not tell."""
    return kind == "netem" and any(options[NETEM_JITTER_AT : NETEM_JITTER_AT + 4])


def replay(kind: str, options: bytes) -> bytes:
    """What to send so that the kernel holds just what it told.

    CoDel keeps times in units of 1.024 us and rounds down both when it is told and when it
    tells: 100 ms comes back as 99.999 ms, which sent again would become 99.998 ms. One more
    microsecond than told always lands on the same unit.
    """
    times = CODEL_TIMES.get(kind, ())
    if not times:
        return options
    found = b""
    for key, value in attributes(options).items():
        if key in times and len(value) == 4:
            value = struct.pack("=I", struct.unpack("=I", value)[0] + 1)  # noqa: PLW2901
        found += attribute(key, value)
    return found
