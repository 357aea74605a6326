# SPDX-License-Identifier: Apache-2.0
"""The append-only journal of a run: one JSON line per event, on disk before the next step."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any, Dict, List, Mapping

from gameday import clock
from gameday.errors import EvidenceError, require
from gameday.record.types import Event, from_json, to_json

LINE_BYTES_MAX = 1 << 20
"""A journal line is a fact, not a data set; a longer one is a bug or an attack."""


def dump_line(item: Mapping[str, Any]) -> str:
    """One compact JSON line with sorted keys, without floats; newline included.

    Raises:
        RequirementFailed: where a float is inside (evidence holds integers only).
    """
    _refuse_floats(item)
    return json.dumps(item, sort_keys=True, separators=(",", ":"), ensure_ascii=False) + "\n"


def _refuse_floats(value: Any) -> None:
    require(not isinstance(value, float), f"a float ({value!r}) may not enter the evidence")
    if isinstance(value, Mapping):
        for inner in value.values():
            _refuse_floats(inner)
    elif isinstance(value, (list, tuple)):
        for inner in value:
            _refuse_floats(inner)


class Journal:
    """Appends events to ``path``; each is fsynced before ``write`` returns.

    Opening an existing journal goes on after its last whole line; a line that a dying
    writer left unfinished is cut off, since nothing was done on its account yet.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        events = read_events(path) if path.exists() else []
        whole = sum(len(dump_line(to_json(e)).encode()) for e in events)
        self._next = len(events)
        self._file = open(path, "ab")  # noqa: SIM115 - held open for the whole run
        self._file.truncate(whole)

    def write(self, kind: str, **data: Any) -> Event:
        """Append an event stamped now and put it on disk.

        Raises:
            RequirementFailed: where data holds a float or the line is too long.
        """
        event = Event(self._next, clock.mono_ns(), clock.wall_ns(), kind, data)
        line = dump_line(to_json(event)).encode()
        require(len(line) <= LINE_BYTES_MAX, f"event {kind} has {len(line)} bytes")
        self._file.write(line)
        self._file.flush()
        os.fsync(self._file.fileno())
        self._next += 1
        return event

    def close(self) -> None:
        """Close the file; the journal stays readable."""
        self._file.close()


def read_events(path: Path) -> List[Event]:
    """All whole events of a journal, in order.

    An unfinished last line (a writer that died) is left out.

    Raises:
        EvidenceError: where a whole line is not an event or a number is missing.
    """
    events: List[Event] = []
    lines = path.read_bytes().split(b"\n")
    for number, line in enumerate(lines[:-1], start=1):
        try:
            data: Dict[str, Any] = json.loads(line)
            event = from_json(Event, data)
        except (ValueError, TypeError, AttributeError, EvidenceError) as error:
            raise EvidenceError(f"{path}:{number}: not an event: {error}") from error
        if event.seq != len(events):
            raise EvidenceError(f"{path}:{number}: event {event.seq} where {len(events)} is due")
        events.append(event)
    return events
