# SPDX-License-Identifier: Apache-2.0
"""What a conductor tells whoever watches: the terminal, or nobody."""

from __future__ import annotations

from typing import Protocol

from gameday.conduct.board import Board


class Watcher(Protocol):
    """Told of steps as they begin, and of the time about ten times a second."""

    def step(self, name: str, text: str) -> None:
        """A step begins."""

    def note(self, text: str) -> None:
        """Something worth a line happened within a step."""

    def tick(self, board: Board, t0_ns: int | None, next_ns: int | None, next_text: str) -> None:
        """The run goes on: ``t0_ns`` is when the first fault fires (monotonic), if that is
        known; ``next_ns`` and ``next_text`` say when the next step is due and what it is."""
