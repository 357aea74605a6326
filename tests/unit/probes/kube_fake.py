# SPDX-License-Identifier: Apache-2.0
"""An API server's lists and watches in memory, for what a real one does only by chance.

``tests/kube/test_probes.py`` has the same against a real kube-apiserver; here a watch hangs, and a
list is made between two changes, at exactly the moment that a test wants.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import Any

from gameday import clock
from gameday.probes.base import Outcome, Value
from gameday.probes.kube_client import NAMES_ONLY, ApiFailed

Body = dict[str, Any]
WAIT_S = 10.0


class Seen:
    """Samples as they are written: (outcome, from, to)."""

    def __init__(self) -> None:
        self.all: list[tuple[Outcome, int, int]] = []
        self.more = threading.Condition()

    def emit(self, target: str, outcome: Outcome, since_ns: int | None = None) -> None:
        with self.more:
            now = clock.mono_ns()
            self.all.append((outcome, now if since_ns is None else since_ns, now))
            self.more.notify_all()

    def wait(self, count: int) -> None:
        """Until so many were written."""
        with self.more:
            assert self.more.wait_for(lambda: len(self.all) >= count, WAIT_S), self.all

    @property
    def last(self) -> Outcome:
        return self.all[-1][0]


def healthy(outcome: Outcome) -> bool | None:
    """What a sample says; None where it says nothing."""
    return bool(outcome.value["healthy"]) if isinstance(outcome, Value) else None


class Api:
    """One collection with its history.

    Attributes:
        down: reason with which everything is refused; empty: it answers. hung: open watches tell
            nothing. asked: what the last list was asked for.
    """

    def __init__(self) -> None:
        self.objects: dict[str, Body] = {}
        self.history: list[tuple[int, str, Body]] = []
        self.version, self.compacted = 10, 0
        self.down, self.hung = "", False
        self.asked: list[str] = []
        self.open = 0
        self.changed = threading.Condition()

    def put(self, name: str, **body: Any) -> None:
        """Create or replace an object."""
        with self.changed:
            self.version += 1
            kind = "MODIFIED" if name in self.objects else "ADDED"
            metadata = {"name": name, "namespace": "", "resourceVersion": str(self.version)}
            self.objects[name] = {"metadata": metadata, **body}
            self.history.append((self.version, kind, self.objects[name]))
            self.changed.notify_all()

    def drop(self, name: str) -> None:
        """Delete an object."""
        with self.changed:
            self.version += 1
            gone = self.objects.pop(name)
            gone = {**gone, "metadata": {**gone["metadata"], "resourceVersion": str(self.version)}}
            self.history.append((self.version, "DELETED", gone))
            self.changed.notify_all()

    def compact(self) -> None:
        """Forget what was, and end every watch."""
        with self.changed:
            self.compacted = self.version
            self.changed.notify_all()

    def client(self, cluster: Any) -> Client:
        """Stands for ``Client``."""
        return Client(self)


class Client:
    """What a collection uses of ``gameday.probes.kube_client.Client``."""

    def __init__(self, api: Api) -> None:
        self.api = api

    def request(self, method: str, path: str, accept: str = "", **_: Any) -> Body:
        api = self.api
        with api.changed:
            api.asked.append(accept)
            if api.down:
                raise ApiFailed(0, api.down, "as the test wants")
            items = list(api.objects.values())
            if accept == NAMES_ONLY:
                items = [{"metadata": one["metadata"]} for one in items]
            return {"metadata": {"resourceVersion": str(api.version)}, "items": items}

    def stream(self, path: str, query: Any, timeout_s: float) -> Iterator[Body]:
        api, seen = self.api, int(query["resourceVersion"])
        with api.changed:
            api.open += 1
            api.changed.notify_all()
        hung = False
        while True:
            with api.changed:
                hung = hung or api.hung
                if api.down:
                    raise ApiFailed(0, api.down, "as the test wants")
                if seen < api.compacted:
                    raise ApiFailed(410, "gone", f"too old resource version: {seen}")
                later = [] if hung else [one for one in api.history if one[0] > seen]
                if not later:
                    api.changed.wait(0.05)
            for version, kind, body in later:
                seen = version
                yield {"type": kind, "object": body}

    def close(self) -> None:
        """Nothing is open."""
