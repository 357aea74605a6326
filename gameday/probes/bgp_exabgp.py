# SPDX-License-Identifier: Apache-2.0
"""ExaBGP's JSON lines, as one of its processes writes them to a file. Nodes: Python 3.9 syntax.

They tell changes, so a look adds what came since the last one to what is known.
"""

from __future__ import annotations

import json
import os
import threading
from typing import IO, Any, Dict, Mapping, Optional, Tuple

from gameday import clock
from gameday.probes.bgp_table import Route, Table
from gameday.probes.deadline import Deadline

STATES = {"up": "Established", "connected": "Connect", "down": "Idle"}


class Follower:
    """Reads one file of JSON lines on and on, anew where it was replaced or cut."""

    def __init__(self, path: str, prefix: str, quiet_ms: int) -> None:
        self._path, self._prefix, self._quiet_ms = path, prefix, quiet_ms
        self._lock = threading.Lock()
        self._file: Optional[IO[bytes]] = None
        self._rest = b""
        self._known = Known(prefix)

    def read(self, deadline: Deadline) -> Table:
        """What all lines up to now tell.

        Raises:
            OSError: where the file is not there, or has been quiet for too long: the last that
            it told may no longer be true. ValueError: where a line is not ExaBGP's.
        """
        if not self._lock.acquire(timeout=deadline.left_s()):
            raise TimeoutError(deadline.word())
        try:
            file = self._open()
            lines = (self._rest + file.read()).split(b"\n")
            self._rest = lines.pop()
            for line in lines:
                if line.strip():
                    self._known.take(json.loads(line))
            age_ms = (clock.wall_ns() - os.fstat(file.fileno()).st_mtime_ns) // clock.NS_PER_MS
        finally:
            self._lock.release()
        if age_ms > self._quiet_ms:
            raise OSError(f"quiet for {age_ms} ms: ExaBGP may be dead; let it write keepalives")
        return self._known.table()

    def _open(self) -> IO[bytes]:
        there = os.stat(self._path)
        if self._file is not None:
            ours = os.fstat(self._file.fileno())
            same = (there.st_dev, there.st_ino) == (ours.st_dev, ours.st_ino)
            if same and there.st_size >= self._file.tell():
                return self._file
            self._file.close()
        self._file, self._rest, self._known = open(self._path, "rb"), b"", Known(self._prefix)  # noqa: SIM115
        return self._file


class Known:
    """State of every neighbour, and its path to the prefix if it has one."""

    def __init__(self, prefix: str) -> None:
        self._prefix = prefix
        self._sessions: Dict[str, str] = {}
        self._routes: Dict[str, Route] = {}

    def table(self) -> Table:
        """As a table."""
        return Table(tuple(self._routes.values()), dict(self._sessions))

    def take(self, line: Mapping[str, Any]) -> None:
        """Add one line; those that say nothing of states or routes change nothing.

        Raises:
            KeyError, TypeError: where it is not as ExaBGP writes it.
        """
        if "neighbor" not in line:
            return
        neighbor = line["neighbor"]
        peer = str(neighbor["address"]["peer"])
        if line.get("type") == "state":
            self._sessions[peer] = STATES.get(str(neighbor["state"]), str(neighbor["state"]))
            if neighbor["state"] != "up":
                # A session that ends takes its routes along; ExaBGP does not list them.
                self._routes.pop(peer, None)
        elif line.get("type") == "update":
            self._update(peer, neighbor.get("message", {}).get("update", {}))

    def _update(self, peer: str, update: Mapping[str, Any]) -> None:
        for routes in update.get("withdraw", {}).values():
            if any(self._is(one) for one in routes):
                self._routes.pop(peer, None)
        path = _path(update.get("attribute", {}).get("as-path", ()))
        for hops in update.get("announce", {}).values():
            for hop, routes in hops.items():
                if any(self._is(one) for one in routes):
                    self._routes[peer] = Route(peer, (str(hop),), path)

    def _is(self, one: Any) -> bool:
        return bool((one["nlri"] if isinstance(one, dict) else one) == self._prefix)


def _path(given: Any) -> Tuple[int, ...]:
    """A list of numbers, or in ExaBGP 4.2 segments by number with a list each."""
    if isinstance(given, dict):
        given = [number for _, part in sorted(given.items()) for number in part["value"]]
    return tuple(int(number) for number in given)
