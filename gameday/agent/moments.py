# SPDX-License-Identifier: Apache-2.0
"""When a process of ours began and ended an effect: what a node knows better than its plan.

Beside the receipt lie ``<lease>.began`` and ``<lease>.gone``, a few lines each: ``try NS``, put
there before the first attempt, and ``done NS`` after the first that succeeded. The effect began,
or ended, between the two.
"""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import List, Tuple

BEGAN, GONE = "began", "gone"
TRY, DONE = "try", "done"


class Moments:
    """The moments kept in a directory of the ledger, by the node's monotonic clock."""

    def __init__(self, entries: Path) -> None:
        self._entries = entries

    def stamp(self, lease: str, what: str, word: str, now_ns: int) -> bool:
        """Keep a moment; only the first of its word counts. A full disk makes it unknown.

        Returns whether this was the first.

        Args:
            what: ``BEGAN`` or ``GONE``. word: ``TRY`` or ``DONE``.
        """
        if any(line.startswith(word) for line in self._lines(lease, what)):
            return False
        path = self._path(lease, what)
        # Neither the effect nor its end waits for a number: without one the report says so.
        with contextlib.suppress(OSError), open(path, "a", encoding="ascii") as file:
            file.write(f"{word} {now_ns}\n")
        return True

    def forget(self, lease: str, what: str) -> None:
        """Drop the moments of an attempt that changed nothing: the next one is the first."""
        self._path(lease, what).unlink(missing_ok=True)

    def read(self, lease: str, what: str) -> Tuple[int, ...]:
        """(before the first attempt, after the first success) in ns; empty where not known."""
        lines = self._lines(lease, what)
        with contextlib.suppress(ValueError, IndexError):
            # A later attempt than the one that succeeded would be too late a beginning.
            if len(lines) > 1 and [line.split()[0] for line in lines[:2]] == [TRY, DONE]:
                return int(lines[0].split()[1]), int(lines[1].split()[1])
        return ()

    def _lines(self, lease: str, what: str) -> List[str]:
        try:
            return self._path(lease, what).read_text(encoding="ascii").splitlines()
        except (OSError, ValueError):
            return []

    def _path(self, lease: str, what: str) -> Path:
        return self._entries / f"{lease}.{what}"
