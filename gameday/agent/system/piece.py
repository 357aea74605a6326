# SPDX-License-Identifier: Apache-2.0
"""One thing on a node that carries gameday's tag, and how it goes away.

A field of the host that makes things which outlive their lease's receipt has a method
``tagged(spared)``: a ``Piece`` for each of them that does not belong to one of the leases in
``spared``. ``gameday sweep`` and every proof of a clean node are made from these.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Callable, Protocol, Sequence, Tuple

from gameday.record.types import Lease


@dataclass(frozen=True)
class Piece:
    """One leftover.

    Attributes:
        what: in words, with where it is. undo: the command that removes it by hand.
        remove: removes it; raises NodeError or OSError where it cannot.
    """

    what: str
    undo: str
    remove: Callable[[], object]

    @property
    def line(self) -> str:
        """For people."""
        return f"{self.what}: remove with `{self.undo}`"


class Sweepable(Protocol):
    """A field that can tell what is left in it."""

    def tagged(self, spared: Sequence[Lease]) -> Tuple[Piece, ...]:
        """What carries gameday's tag, but for that of these leases. Changes nothing."""
