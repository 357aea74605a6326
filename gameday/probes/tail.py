# SPDX-License-Identifier: Apache-2.0
"""Follow a file by its name through rotation, for lines that are complete. Python 3.9 syntax."""

from __future__ import annotations

import os
from typing import BinaryIO, List, Optional

from gameday import clock

LINE_BYTES_MAX = 8192
"""What is longer is cut: a pattern that matches only beyond is not found."""

CHUNK_BYTES = 1 << 16
OLD_NS = 30 * clock.NS_PER_S
"""A program writes to the rotated file until it has opened the new one: so long it is read too."""


class Lines:
    """Whole lines of one open file, from where it stands on."""

    def __init__(self, file: BinaryIO) -> None:
        self.file = file
        self._part = b""

    def read(self) -> List[bytes]:
        """Lines completed since the last call, to the end of the file."""
        found: List[bytes] = []
        if os.fstat(self.file.fileno()).st_size < self.file.tell():
            # Truncated in place (copytruncate); what is there now is new.
            self.file.seek(0)
            self._part = b""
        while True:
            chunk = self.file.read(CHUNK_BYTES)
            if not chunk:
                return found
            head, *rest = chunk.split(b"\n")
            self._part = (self._part + head)[:LINE_BYTES_MAX]
            for piece in rest:
                found.append(self._part)
                self._part = piece[:LINE_BYTES_MAX]

    def last(self) -> List[bytes]:
        """What is left, and the unfinished last line of a file that nobody will go on with."""
        found = self.read()
        return [*found, self._part] if self._part else found


class Tail:
    """A file by its name: from its end on, or from its beginning where it comes later.

    Attributes:
        missing: whether there was no such file at the last look.
    """

    def __init__(self, path: str) -> None:
        self._path = path
        self._now: Optional[Lines] = None
        self._old: Optional[Lines] = None
        self._old_until_ns = 0
        self.missing = not self._open(at_end=True)

    def _open(self, at_end: bool) -> bool:
        try:
            file = open(self._path, "rb", buffering=0)  # noqa: SIM115 - followed as long as we live
        except FileNotFoundError:
            return False
        if at_end:
            file.seek(0, os.SEEK_END)
        self._now = Lines(file)
        return True

    def read(self) -> List[bytes]:
        """Lines completed since the last call, of the rotated file first.

        Raises:
            OSError: where the file is there and cannot be read.
        """
        found: List[bytes] = []
        if self._old is not None:
            if clock.mono_ns() > self._old_until_ns:
                found += self._drop_old()
            else:
                found += self._old.read()
        if self._now is not None and self._rotated(self._now):
            found += self._drop_old()
            self._old, self._now = self._now, None
            self._old_until_ns = clock.mono_ns() + OLD_NS
            found += self._old.read()
        self.missing = self._now is None and not self._open(at_end=False)
        return found + (self._now.read() if self._now is not None else [])

    def _rotated(self, lines: Lines) -> bool:
        """Whether the name now stands for another file; where it stands for none, not yet."""
        try:
            there = os.stat(self._path)
        except FileNotFoundError:
            return False
        ours = os.fstat(lines.file.fileno())
        return (there.st_dev, there.st_ino) != (ours.st_dev, ours.st_ino)

    def _drop_old(self) -> List[bytes]:
        if self._old is None:
            return []
        found = self._old.last()
        self._old.file.close()
        self._old = None
        return found

    def close(self) -> None:
        """Let go of the files."""
        for lines in (self._now, self._old):
            if lines is not None:
                lines.file.close()
