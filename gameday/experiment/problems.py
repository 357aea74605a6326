# SPDX-License-Identifier: Apache-2.0
"""Mistakes in a file, collected so that all are reported at once."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import NoReturn

from gameday.errors import InvalidInput
from gameday.experiment import limits

Path_ = tuple[str | int, ...]
"""A field path: keys and list positions (from 0)."""

SIMILAR = 0.6
"""How alike a name must be to be offered as what was meant; difflib's own default."""

LISTED_MAX = 12
"""Names listed where none is alike; more is not read."""


@dataclass(frozen=True, order=True)
class Problem:
    """One mistake: where, what is wrong, what to do. Line and column count from 1; 0 is unknown."""

    line: int
    column: int
    path: Path_
    what: str
    todo: str = ""

    def text(self, file: str) -> str:
        """``file:line:column: field.path: what is wrong; what to do``."""
        at = f"{file}:{self.line}:{self.column}" if self.line else file
        where = f"{show_path(self.path)}: " if self.path else ""
        return f"{at}: {where}{self.what}" + (f"; {self.todo}" if self.todo else "")


class Problems:
    """The mistakes of one file; at most one per field path and saying."""

    def __init__(self, file: str) -> None:
        self.file = file
        self._found: list[Problem] = []

    def add(self, problem: Problem) -> None:
        """Take note of one mistake."""
        if problem not in self._found:
            self._found.append(problem)

    def add_file(self, what: str, todo: str = "") -> None:
        """A mistake of the file as a whole."""
        self.add(Problem(0, 0, (), what, todo))

    def at_or_above(self, path: Path_) -> bool:
        """Whether a mistake is known at ``path`` or at a field that holds it."""
        return any(p.path and path[: len(p.path)] == p.path for p in self._found)

    def __bool__(self) -> bool:
        return bool(self._found)

    def __iter__(self) -> Iterator[Problem]:
        return iter(sorted(self._found, key=lambda p: (p.line, p.column, show_path(p.path))))

    def raise_if_any(self) -> None:
        """Report all mistakes together.

        Raises:
            InvalidInput: where there is any.
        """
        if self._found:
            fail_with(self.file, [problem.text(self.file) for problem in self])


def fail_with(file: str, texts: list[str]) -> NoReturn:
    """Raise ``InvalidInput`` with these mistakes of ``file``."""
    shown = texts[: limits.PROBLEMS_MAX]
    if len(texts) > len(shown):
        shown.append(f"{file}: and {len(texts) - len(shown)} more")
    count = f"{len(texts)} mistakes" if len(texts) > 1 else "a mistake"
    raise InvalidInput(f"{file} has {count}", "nothing was touched", problems=shown)


def show_path(path: Path_) -> str:
    """``faults[0].params.side_a``."""
    text = ""
    for part in path:
        text += f"[{part}]" if isinstance(part, int) else f".{part}" if text else part
    return text


def nearest(word: object, names: Iterable[str]) -> str:
    """What to do about an unknown name: the nearest valid one, else the list of all."""
    valid = sorted({str(name) for name in names})
    by_lower = {name.lower(): name for name in valid}
    close = difflib.get_close_matches(str(word).lower(), by_lower, n=1, cutoff=SIMILAR)
    if close:
        return f"did you mean {by_lower[close[0]]}?"
    if not valid:
        return "there is none"
    more = f" and {len(valid) - LISTED_MAX} more" if len(valid) > LISTED_MAX else ""
    return f"valid: {', '.join(valid[:LISTED_MAX])}{more}"
