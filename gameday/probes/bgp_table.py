# SPDX-License-Identifier: Apache-2.0
"""What a BGP collector has for one prefix, whoever told it. Nodes: Python 3.9 syntax."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Mapping, Tuple


@dataclass(frozen=True)
class Route:
    """One path to the prefix.

    Attributes:
        session: the one it was learnt from, by the collector's own name for it.
        next_hops: addresses. path: numbers of autonomous systems, nearest first, origin last.
    """

    session: str
    next_hops: Tuple[str, ...]
    path: Tuple[int, ...]


@dataclass(frozen=True)
class Table:
    """Every path that the collector has to the prefix, and the state of each of its sessions.

    States are those of RFC 4271: "Established", "Active", …
    """

    routes: Tuple[Route, ...]
    sessions: Mapping[str, str]
