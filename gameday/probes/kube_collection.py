# SPDX-License-Identifier: Apache-2.0
"""One collection of a Kubernetes API, known from lists that are asked for and a watch that tells.

A watch tells at once, and its silence proves nothing: one that hangs is as silent as one where
nothing happens. A list proves what it holds, at some moment between the question and its answer.
So a list is made every period and compared with what the watch told, by resourceVersion: what is
known is as new as the last list at least, whatever became of the watch.

Nodes: Python 3.9 syntax.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass, field
from typing import Any, Callable, Dict, List, Mapping, Optional, Tuple

from gameday import clock
from gameday.errors import GamedayError
from gameday.probes.kube_client import JSON_TYPE, NAMES_ONLY, ApiFailed, Client

SILENT_S = 80
"""API servers send a bookmark every minute: a watch without a byte for longer is opened anew."""

WATCH_S = 600
"""After so long the server ends a watch, and it is opened anew where it was."""

PAUSE_S = 0.2
"""Between two attempts to open a watch: the lists tell meanwhile."""

OPEN_NS = 2 * clock.NS_PER_S
"""A watch that was refused would have been within this time; an open one says nothing of it."""

ADDED, MODIFIED, DELETED, BOOKMARK = "ADDED", "MODIFIED", "DELETED", "BOOKMARK"

HUNG = "hung"
"""Why a watch does not tell: a list had what the watch did not tell in a whole period."""


@dataclass(frozen=True)
class Feed:
    """What is watched.

    Attributes:
        name: in words, "nodes". paths: of the collection; where an API server does not know the
            first, the next is asked: versions of one API, the preferred first.
        query: selectors. slim: lists hold names and versions only, as long as nothing differs.
    """

    name: str
    paths: Tuple[str, ...]
    query: Mapping[str, str] = field(default_factory=dict)
    slim: bool = False


@dataclass(frozen=True)
class Item:
    """An object, and when it was received as it is (monotonic, ns); 0: it was there at first."""

    body: Mapping[str, Any]
    at_ns: int


@dataclass(frozen=True)
class Change:
    """An object that is new, other than before, or gone: then as it was last."""

    kind: str
    item: Item


Told = Callable[[List[Change], bool], None]
"""Takes changes, and whether the watch told them; called under the lock."""


class Collection:
    """The objects of one feed.

    Attributes:
        items: by "namespace/name"; to be read under the lock.
    """

    def __init__(
        self, feed: Feed, cluster: Mapping[str, Any], lock: threading.RLock, told: Told,
        lost: Callable[[str], None],
    ) -> None:  # fmt: skip
        """``told`` takes changes; ``lost`` is told why the watch has a hole. Nothing begins yet."""
        self.feed, self.items = feed, dict[str, Item]()
        self._cluster, self._lock, self._told, self._lost = cluster, lock, told, lost
        self._client: Optional[Client] = None
        self._path = 0
        self._listed = False
        # Everything up to this version is known; None: list first.
        self._version: Optional[str] = None
        # The last version that the watch itself told; one that it ought to have told, and by
        # which list that was found.
        self._heard, self._missed = "", ("", 0)
        self._lists = 0
        self._word, self._opened_ns = "", 0
        self._generation = 0
        self._watching = False
        self._stop = threading.Event()

    def confirm(self, left_s: Callable[[], float]) -> None:
        """Ask the API server; from then on ``items`` is what it held after this was called.

        Args:
            left_s: seconds left, or TimeoutError.

        Raises:
            ApiFailed, TimeoutError: where it could not be asked: nothing is proven.
        """
        slim = self.feed.slim and self._version is not None
        listed = self._list(slim, left_s)
        with self._lock:
            self._lists += 1
            known = self._as_known(listed)
        if not known:
            listed = self._list(False, left_s) if slim else listed
            with self._lock:
                self._take(listed)
        with self._lock:
            self._check_watch()
            self._start()

    def trouble(self) -> str:
        """Why changes are known from lists only; empty while the watch tells."""
        return self._word

    def close(self) -> None:
        """Ask nothing more; a watch that waits ends with its next event, or with the process."""
        self._stop.set()
        if self._client is not None:
            self._client.close()

    def _list(self, slim: bool, left_s: Callable[[], float]) -> Mapping[str, Any]:
        if self._client is None:
            self._client = Client(self._cluster)
        while True:
            path, accept = self.feed.paths[self._path], NAMES_ONLY if slim else JSON_TYPE
            try:
                return self._client.request(
                    "GET", path, query=self.feed.query, timeout_s=left_s(), accept=accept
                )
            except ApiFailed as error:
                if error.reason != "not-found" or self._listed:
                    raise
                if self._path + 1 == len(self.feed.paths):
                    # Next time from the beginning: it may be installed by then.
                    self._path = 0
                    raise
                self._path += 1

    def _as_known(self, listed: Mapping[str, Any]) -> bool:
        """Whether a list holds nothing that is not known."""
        version = _version(listed)
        if self._version is None:
            return False
        if at_least(self._version, version):
            # The watch told of more than was there when the list was made.
            return True
        if _versions(listed) != {key: _version(item.body) for key, item in self.items.items()}:
            return False
        self._version = version
        return True

    def _take(self, listed: Mapping[str, Any]) -> None:
        """Go by a list, unless the watch has told of more meanwhile."""
        version = _version(listed)
        if self._version is not None and at_least(self._version, version):
            return
        now = clock.mono_ns() if self._listed else 0
        before, found = self.items, dict[str, Item]()
        for body in listed.get("items") or ():
            old = before.get(_key(body))
            same = old is not None and _version(old.body) == _version(body)
            found[_key(body)] = old if old is not None and same else Item(body, now)
        gone = [Change(DELETED, item) for key, item in before.items() if key not in found]
        new = [Change(MODIFIED if key in before else ADDED, item)
               for key, item in found.items() if before.get(key) is not item]  # fmt: skip
        if self._listed and self._version is not None and not self._missed[0]:
            self._missed = (version, self._lists)
        first, self._listed = not self._listed, True
        self.items, self._version = found, version
        if not first:
            self._told([*gone, *new], False)

    def _check_watch(self) -> None:
        """Open a watch anew that has not told in a period what a list had."""
        version, since = self._missed
        if version and at_least(self._heard, version):
            self._missed = ("", 0)
        elif version and self._lists > since:
            self._missed = ("", 0)
            self._word = self._word or HUNG
            self._watching = False
        elif self._opened_ns and clock.mono_ns() - self._opened_ns > OPEN_NS:
            self._word = ""

    def _start(self) -> None:
        """See to it that somebody watches."""
        if self._watching or self._stop.is_set():
            return
        self._watching, self._opened_ns = True, 0
        self._generation += 1
        threading.Thread(target=self._follow, args=(self._generation,), daemon=True).start()

    def _follow(self, generation: int) -> None:
        client = Client(self._cluster)
        try:
            while self._current(generation):
                self._watch(client, generation)
                self._stop.wait(PAUSE_S)
        finally:
            client.close()

    def _current(self, generation: int) -> bool:
        return not self._stop.is_set() and generation == self._generation

    def _watch(self, client: Client, generation: int) -> None:
        """One watch, to its end."""
        with self._lock:
            version = self._version
            if version is None or not self._current(generation):
                # What was missed is in the next list.
                return
            self._opened_ns = clock.mono_ns()
        query = {
            **self.feed.query, "resourceVersion": version, "allowWatchBookmarks": "true",
            "timeoutSeconds": str(WATCH_S),
        }  # fmt: skip
        try:
            for event in client.stream(self.feed.paths[self._path], query, timeout_s=SILENT_S):
                with self._lock:
                    if not self._current(generation):
                        return
                    self._hear(event)
            with self._lock:
                self._opened_ns = 0 if self._current(generation) else self._opened_ns
        except GamedayError as error:
            word = error.reason if isinstance(error, ApiFailed) else "config"
            self._ended(generation, word, str(error))
        except (KeyError, TypeError, ValueError) as error:
            self._ended(generation, "protocol", f"{type(error).__name__}: {error}")

    def _ended(self, generation: int, word: str, detail: str) -> None:
        with self._lock:
            if not self._current(generation):
                return
            self._word, self._opened_ns = word, 0
            if word == "gone":
                # The server does not know any more what came after the version we had.
                self._version, self._missed = None, ("", 0)
                self._lost(f"{self.feed.name}: {detail}")

    def _hear(self, event: Mapping[str, Any]) -> None:
        kind, body = event["type"], event["object"]
        version = _version(body)
        self._heard, self._word = version, ""
        if self._version is None or at_least(self._version, version):
            # A list was first, or comes next.
            return
        self._version = version
        if kind == BOOKMARK:
            return
        item = Item(body, clock.mono_ns())
        if kind == DELETED:
            self.items.pop(_key(body), None)
        else:
            self.items[_key(body)] = item
        self._told([Change(kind, item)], True)


def at_least(one: str, other: str) -> bool:
    """Whether a resourceVersion is as new as another; where they do not tell, it is not."""
    return one.isdecimal() and other.isdecimal() and int(one) >= int(other)


def _version(body: Mapping[str, Any]) -> str:
    return str(body["metadata"]["resourceVersion"])


def _versions(listed: Mapping[str, Any]) -> Dict[str, str]:
    return {_key(body): _version(body) for body in listed.get("items") or ()}


def _key(body: Mapping[str, Any]) -> str:
    metadata = body["metadata"]
    return f"{metadata.get('namespace', '')}/{metadata['name']}"
