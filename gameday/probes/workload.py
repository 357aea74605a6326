# SPDX-License-Identifier: Apache-2.0
"""A bounded workload on a few registers: one call a look, each with a name of its own.

Every vantage calls on the same keys. Every value written is the name of the call that wrote it,
"fra-1#12", so whoever reads it knows who wrote. A write also leaves its name in the store, in the
same transaction, and those names are never overwritten: what is missing from them at the end was
lost. What the store is, it is told as ``Store``. Nodes: Python 3.9 syntax.
"""

from __future__ import annotations

import functools
import threading
from dataclasses import dataclass
from random import Random
from typing import Any, Callable, Dict, Iterable, Iterator, List, Mapping, Optional, Protocol, Tuple

from gameday import clock
from gameday.probes.base import Failed, Outcome, Schedule, Value

WRITES_MAX = 20_000
"""Names that one vantage leaves in the store; it only reads after that."""

LAST_NS = 7 * clock.NS_PER_S
"""What the last reads may take; the runner waits ten seconds for everything."""

AGAIN_NS = clock.NS_PER_S // 5
"""Between a last read that failed and the next try."""


class CallFailed(Exception):
    """A call had no answer, or one that is an error.

    Attributes:
        applied: "no" where it certainly took no effect, else "maybe", now or at any later time.
    """

    def __init__(self, reason: str, applied: str) -> None:
        super().__init__(reason)
        self.reason, self.applied = reason, applied


class Store(Protocol):
    """Registers, by text; "" is a register that nobody wrote. Every call raises CallFailed."""

    def prepare(self) -> bool:
        """Make what writing needs; True once there is nothing left to make."""

    def read(self, key: str) -> str:
        """What a register holds."""

    def write(self, key: str, number: int, value: str) -> None:
        """Put ``value`` there and leave the call's number behind, both or neither."""

    def swap(self, key: str, number: int, value: str, was: str) -> Optional[str]:
        """As ``write`` where the register holds ``was`` (None), else what it holds instead."""

    def written(self, after: str) -> Tuple[List[Tuple[str, int]], str]:
        """A page of (vantage, number) that were left behind, and where the next page begins.

        All pages show one moment. ``after`` is "" at first, and so is what follows the last page.
        """


@dataclass(frozen=True)
class Mix:
    """How much of what: keys, and shares of reads and swaps; the rest are writes."""

    keys: int
    read_percent: int
    swap_percent: int


class Workload:
    """One vantage's calls; every look is one call. Called from several threads."""

    def __init__(self, store: Store, mix: Mix, node: str, schedule: Schedule) -> None:
        self._store, self._mix, self._node = store, mix, node
        # The same calls in the same order, whenever the run is repeated under its name.
        self._random = Random(f"{schedule.run}/{schedule.probe}/{node}")  # noqa: S311
        self._lock = threading.Lock()
        self._number, self._writes, self._ready = 0, 0, False
        self._held: Dict[str, str] = {}
        self._next_page, self._page_number, self._done = "", 0, False

    def __call__(self) -> Outcome:
        """Make the next call."""
        if not self._ready:
            return self._prepare()
        return self._call(*self._choose())

    def last_looks(self) -> Iterator[Callable[[], Outcome]]:
        """Read every register, and the names of everything that took effect."""
        end = clock.mono_ns() + LAST_NS
        for number in range(self._mix.keys):
            if clock.mono_ns() < end:
                yield functools.partial(self._call, "read", f"k{number}")
        while not self._done and clock.mono_ns() < end:
            page = self._page_number
            yield self._page
            if page == self._page_number:
                clock.sleep_until_mono(clock.mono_ns() + AGAIN_NS)

    def _prepare(self) -> Outcome:
        try:
            self._ready = self._store.prepare()
        except CallFailed as error:
            return Failed(error.reason, {"op": "prepare"})
        return Value({"op": "prepare"})

    def _choose(self) -> Tuple[str, str]:
        with self._lock:
            key = f"k{self._random.randrange(self._mix.keys)}"
            share = self._random.randrange(100)
            if share < self._mix.read_percent or self._writes >= WRITES_MAX:
                return "read", key
            self._writes += 1
            swaps = share < self._mix.read_percent + self._mix.swap_percent
            return ("swap" if swaps else "write"), key

    def _call(self, op: str, key: str) -> Outcome:
        with self._lock:
            number, was = self._number, self._held.get(key, "")
            self._number += 1
        name = f"{self._node}#{number}"
        tried: Dict[str, Any] = {"op": op, "key": key, "call": name}
        try:
            seen = self._ask(op, key, number, was)
        except CallFailed as error:
            tried.update({"was": was} if op == "swap" else {})
            return Failed(error.reason, {**tried, "applied": error.applied})
        with self._lock:
            self._held[key] = name if seen is None else seen
        if op == "swap":
            tried.update({"was": was} if seen is None else {"op": "read", "saw": seen})
        elif op == "read":
            tried["saw"] = seen
        return Value(tried)

    def _ask(self, op: str, key: str, number: int, was: str) -> Optional[str]:
        """What the register was seen to hold; None where it holds the call's own value now."""
        name = f"{self._node}#{number}"
        if op == "read":
            return self._store.read(key)
        if op == "swap":
            return self._store.swap(key, number, name, was)
        self._store.write(key, number, name)
        return None

    def _page(self) -> Outcome:
        try:
            found, after = self._store.written(self._next_page)
        except CallFailed as error:
            return Failed(error.reason, {"op": "final", "page": self._page_number})
        value = {
            "op": "final", "page": self._page_number, "last": not after, "found": ranges(found)
        }  # fmt: skip
        self._next_page, self._done = after, not after
        self._page_number += 1
        return Value(value)


def ranges(found: Iterable[Tuple[str, int]]) -> List[str]:
    """Names in few words: "fra-1:0-3,7" for the calls 0 to 3 and 7 of a vantage."""
    by_node: Dict[str, List[int]] = {}
    for node, number in found:
        by_node.setdefault(node, []).append(number)
    return [f"{node}:{_spans(numbers)}" for node, numbers in sorted(by_node.items())]


def _spans(numbers: Iterable[int]) -> str:
    spans: List[List[int]] = []
    for number in sorted(numbers):
        if spans and number == spans[-1][1] + 1:
            spans[-1][1] = number
        else:
            spans.append([number, number])
    return ",".join(str(a) if a == b else f"{a}-{b}" for a, b in spans)


def check_mix(params: Any) -> None:
    """Whether the shares of a workload's parameters fit together.

    Raises:
        ValueError: where reads and swaps are more than all calls.
    """
    if params.read_percent + params.swap_percent > 100:
        raise ValueError("read_percent and swap_percent are more than 100 together; lower one")


KEYS: Mapping[str, int] = {"ge": 1, "le": 50}
"""Bounds of the number of keys: more would spread the calls too thin to conflict."""
