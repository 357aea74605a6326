# SPDX-License-Identifier: Apache-2.0
"""``log-line``: the moment at which a line that matches comes into a file or the journal.

Only what the pattern matched enters the record, since a log may hold what is nobody's
business. Nodes: Python 3.9 syntax.
"""

from __future__ import annotations

import re
import threading
from dataclasses import dataclass
from typing import List, Optional

from gameday import clock
from gameday.probes import journal
from gameday.probes.base import Emit, Listening, Value
from gameday.probes.tail import Tail

POLL_S = 0.05
"""Between two looks at a file: a line's moment is known to about as much."""

LATE_NS = 2 * clock.NS_PER_S
"""A file that was not read to its end for so long is not being listened to."""

MATCHES_MAX = 1000
"""More samples of a pattern tell nothing new; what comes then is not recorded, and said so."""

TEXT_MAX = 200
TARGET = "line"


@dataclass(frozen=True)
class LogLineParams:
    """Parameters of ``log-line``.

    Attributes:
        pattern: a regular expression, as in Python's re; it may match anywhere in the line.
        file: the file to follow, by its name, through rotation; the journal where it is empty.
        unit: only lines of this systemd unit, for the journal.
    """

    pattern: str
    file: str = ""
    unit: str = ""

    def __post_init__(self) -> None:
        try:
            re.compile(self.pattern.encode())
        except re.error as error:
            raise ValueError(f"pattern is no regular expression: {error}") from error
        if self.file and self.unit:
            raise ValueError("unit belongs to the journal; leave out either file or unit")
        if self.file and not self.file.startswith("/"):
            raise ValueError(f"file {self.file!r} does not begin with /")


class LogLine:
    """Listens to a log on the vantage itself."""

    kind = "log-line"
    Params: type = LogLineParams
    summary = "the moment at which a line that matches is logged, in a file or the journal"
    fan_out = "none"
    listens = True

    def listen(self, params: LogLineParams, emit: Emit) -> Listening:
        """Follow until stopped; a sample for each line that matches."""
        matches = Matches(params.pattern, emit)
        if params.file:
            return FileListening(params.file, matches)
        return JournalListening(journal.command(params.unit), matches)


class Matches:
    """Turns lines into samples, so many and no more."""

    def __init__(self, pattern: str, emit: Emit) -> None:
        self._pattern, self._emit = re.compile(pattern.encode()), emit
        self._count = 0

    def take(self, line: bytes, since_ns: Optional[int]) -> None:
        """Emit a sample where the line matches; it was written at or after ``since_ns``."""
        found = self._pattern.search(line)
        if found is None:
            return
        self._count += 1
        if self._count <= MATCHES_MAX:
            text = found.group(0)[:TEXT_MAX].decode("utf-8", "replace")
            self._emit(TARGET, Value({"line": text}), since_ns)

    def trouble(self) -> str:
        """Why further lines are not recorded; empty while they are."""
        return f"flood: {self._count} lines matched" if self._count > MATCHES_MAX else ""


class FileListening:
    """Reads a file to its end, many times a second."""

    def __init__(self, path: str, matches: Matches) -> None:
        self._path, self._matches, self._tail = path, matches, Tail(path)
        self._read_ns = clock.mono_ns()
        self._trouble = ""
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._loop, daemon=True)
        self._thread.start()

    def _loop(self) -> None:
        while not self._stop.wait(POLL_S):
            self._once()
        self._once()
        self._tail.close()

    def _once(self) -> None:
        began = clock.mono_ns()
        try:
            # A line that is here now was not when the last reading began.
            for line in self._tail.read():
                self._matches.take(line, self._read_ns)
        except OSError as error:
            self._trouble = f"{self._path}: {error.strerror or error}"
            return
        self._trouble = ""
        self._read_ns = began

    def trouble(self) -> str:
        """Why the file is not listened to; empty while it is."""
        if self._tail.missing:
            return f"{self._path}: no such file"
        late = clock.mono_ns() - self._read_ns > LATE_NS
        return self._trouble or self._matches.trouble() or ("late" if late else "")

    def close(self) -> None:
        """Read once more and stop."""
        self._stop.set()
        self._thread.join(timeout=5)


class JournalListening:
    """Reads what ``journalctl`` says."""

    def __init__(self, argv: List[str], matches: Matches) -> None:
        self._matches, self._follower = matches, journal.Follower(argv)
        self._boot = clock.boot_id()
        self._trouble = ""
        self._thread = threading.Thread(target=self._loop, daemon=True)
        self._thread.start()

    def _loop(self) -> None:
        for line in iter(self._follower.next, b""):
            try:
                found = journal.parse(line, self._boot)
            except ValueError as error:
                self._trouble = f"protocol: {error}"[:TEXT_MAX]
                continue
            if found is not None:
                self._matches.take(*found)

    def trouble(self) -> str:
        """Why the journal is not listened to; empty while it is."""
        return self._follower.ended() or self._trouble or self._matches.trouble()

    def close(self) -> None:
        """End ``journalctl``."""
        self._follower.close()
        self._thread.join(timeout=5)


PROBE = LogLine()
