# SPDX-License-Identifier: Apache-2.0
"""What the probes say now: for steady state, abort conditions and the live view.

Nothing is measured from it: measurements read the whole record afterwards.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass

from gameday.record.types import Sample

KEPT = 512
"""Samples kept per sampler at least; more where they are younger than the board's ``span_ns``."""

REASON_MAX = 200

KEPT_SETTLED = 8
"""The same once nobody looks back any more: looks that overlap come in another order."""


@dataclass(frozen=True, slots=True)
class Look:
    """A sample as the board keeps it; ``at_ns`` is about the controller's monotonic time."""

    at_ns: int
    ok: bool
    reason: str


@dataclass(slots=True)
class Since:
    """A sampler's first, last good and last look: these outlive the looks that are kept."""

    first_ns: int
    good_ns: int | None
    last_ns: int

    def add(self, look: Look) -> None:
        """Take in one more look; they need not come in order."""
        self.first_ns = min(self.first_ns, look.at_ns)
        self.last_ns = max(self.last_ns, look.at_ns)
        if look.ok:
            self.good_ns = max(look.at_ns, self.good_ns or look.at_ns)

    @property
    def failing_ns(self) -> int:
        """How long it has been failing."""
        begin = self.first_ns if self.good_ns is None else self.good_ns
        return self.last_ns - begin


def _good(sample: Sample) -> tuple[bool, str]:
    """Whether a look is good, and why not: one may well see what is not healthy."""
    if sample.value.get("healthy") is not False:
        return sample.ok, sample.reason
    told = {key: seen for key, seen in sample.value.items() if key != "healthy" and seen != ""}
    return False, f"not healthy: {told}"[:REASON_MAX]


class Board:
    """The latest samples per (probe, vantage, target); used from several threads.

    Args:
        span_ns: whoever asks for looks asks no further back than this.
    """

    def __init__(self, span_ns: int = 0) -> None:
        self._lock = threading.Lock()
        self._span_ns, self._kept = span_ns, KEPT
        self._looks: dict[tuple[str, str, str], deque[Look]] = {}
        self._since: dict[tuple[str, str, str], Since] = {}
        self._firing: dict[tuple[str, ...], int] = {}
        self._heard: dict[str, tuple[int, int]] = {}

    def add(self, samples: Iterable[Sample], offset_ns: int) -> None:
        """Take in samples of a node whose monotonic clock is ``offset_ns`` ahead of ours."""
        with self._lock:
            for sample in samples:
                key = (sample.probe, sample.node, sample.target)
                looks = self._looks.setdefault(key, deque())
                at = sample.start_ns - offset_ns
                look = Look(at, *_good(sample))
                looks.append(look)
                while len(looks) > self._kept and at - looks[0].at_ns > self._span_ns:
                    looks.popleft()
                self._since.setdefault(key, Since(at, None, at)).add(look)
                self._note_alert(sample, at)

    def settle(self) -> None:
        """Nobody asks for looks of the past from now on: only the latest of each sampler stay."""
        with self._lock:
            self._span_ns, self._kept = 0, KEPT_SETTLED
            for key, looks in self._looks.items():
                # A new one, since one that has grown keeps its room.
                self._looks[key] = deque(list(looks)[-KEPT_SETTLED:])

    def _note_alert(self, sample: Sample, at_ns: int) -> None:
        status = sample.value.get("status")
        if status == "firing":
            self._firing.setdefault((sample.target, *sample.value["labels"]), at_ns)
        elif status == "resolved":
            self._firing.pop((sample.target, *sample.value["labels"]), None)

    def heard(self, node: str, at_ns: int, patience_ns: int) -> None:
        """Note that everything a node had at a moment of ours has been taken in.

        For ``patience_ns`` it is normal that nothing newer has come; after that it is silent.
        """
        with self._lock:
            self._heard[node] = (at_ns, patience_ns)

    def heard_of_all(self, nodes: Iterable[str], now_ns: int) -> int:
        """Up to when all of these nodes were heard; the silent ones count as heard too."""
        with self._lock:
            heard = [self._heard[node] for node in nodes if node in self._heard]
        return min([now_ns, *(max(at, now_ns - patience) for at, patience in heard)])

    def firing(self) -> list[tuple[str, ...]]:
        """Alerts that were told of and not resolved: (name, labels...)."""
        with self._lock:
            return sorted(self._firing)

    def since(self, probe: str, from_ns: int) -> dict[tuple[str, str], list[Look]]:
        """Looks of a probe that began at or after ``from_ns``, per (vantage, target)."""
        with self._lock:
            return {
                (node, target): [look for look in looks if look.at_ns >= from_ns]
                for (name, node, target), looks in self._looks.items()
                if name == probe
            }

    def latest(self) -> dict[tuple[str, str, str], Look]:
        """The newest look of every sampler."""
        with self._lock:
            return {
                key: max(looks, key=lambda look: look.at_ns)
                for key, looks in self._looks.items()
                if looks
            }

    def failed_for_ns(self, probe: str) -> int:
        """How long every sampler of a probe has been failing, in ns; 0 where one succeeds.

        A probe of which nothing was ever heard counts as not failing: that is the business
        of steady state and of coverage.
        """
        with self._lock:
            failing = [one.failing_ns for (name, *_), one in self._since.items() if name == probe]
        return min(failing, default=0)
