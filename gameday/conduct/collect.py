# SPDX-License-Identifier: Apache-2.0
"""Fetch samples from vantages and compare clocks, all through the run.

Samples lie on the vantage until they are fetched, so a vantage that cannot be reached loses
nothing: fetching goes on from the same offset once it is back.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from pathlib import Path

from gameday import clock
from gameday.conduct.board import Board
from gameday.conduct.held import hold
from gameday.conduct.limits import CLOCK_EVERY_NS, HEARD_POLLS, POLL_S, RECONNECT_S
from gameday.errors import GamedayError, Unreachable
from gameday.record import kinds
from gameday.record.journal import Journal
from gameday.record.record import SAMPLES_LIVE, drop_unfinished, parse_samples
from gameday.record.types import Sample
from gameday.transport.agent import Agent

JOIN_NS = 5 * clock.NS_PER_S
"""For questions that are under way when nothing more is asked."""


class Recorder:
    """Journal and sample file of a run; used from several threads.

    Raises:
        Refused: where another one writes them.
    """

    def __init__(self, directory: Path) -> None:
        self._held = hold(directory / "events.jsonl")
        self._journal = Journal(directory / "events.jsonl")
        # A controller that died may have left half a line; what this one writes must not join it.
        drop_unfinished(directory / SAMPLES_LIVE)
        self._samples = open(directory / SAMPLES_LIVE, "ab", buffering=0)  # noqa: SIM115
        self._lock = threading.Lock()

    def event(self, kind: str, **data: object) -> int:
        """Write an event to disk; returns its time (monotonic, ns)."""
        with self._lock:
            return self._journal.write(kind, **data).at_ns

    def samples(self, lines: bytes) -> None:
        """Append whole lines as they came."""
        with self._lock:
            self._samples.write(lines)

    def close(self) -> None:
        """Close both files."""
        with self._lock:
            self._journal.close()
            self._samples.close()
            self._held.close()


def exchange(agent: Agent, recorder: Recorder, count: int = 1) -> list[clock.Exchange]:
    """Compare clocks so many times and write it down."""
    exchanges = agent.exchanges(count)
    note(agent.node, exchanges, recorder)
    return exchanges


def note(node: str, exchanges: Sequence[clock.Exchange], recorder: Recorder) -> None:
    """Write exchanges down."""
    for found in exchanges:
        recorder.event(
            kinds.CLOCK, node=node, sent_ns=found.sent_ns, received_ns=found.received_ns,
            node_mono_ns=found.node_mono_ns, node_wall_ns=found.node_wall_ns,
        )  # fmt: skip


class Collector:
    """One thread per node that fetches its samples and compares its clock."""

    def __init__(
        self, run: str, agent: Agent, board: Board, recorder: Recorder, samples: bool
    ) -> None:
        self.agent = agent
        self.counted = Counted()
        self.complete = not samples
        self._run, self._board, self._recorder = run, board, recorder
        self._fetch = samples
        self._offset, self._skew_ns, self._next_clock = 0, 0, 0
        self._lost = False
        self._stop = threading.Event()
        self._thread = threading.Thread(
            target=self._loop, name=f"collect-{agent.node}", daemon=True
        )

    def start(self, skew_ns: int) -> None:
        """Begin; ``skew_ns`` is the node's monotonic clock minus ours, about."""
        self._skew_ns = skew_ns
        self._thread.start()

    def stop(self) -> None:
        """Ask no more; what is under way comes to its end."""
        self._stop.set()

    def join(self, timeout_s: float) -> None:
        """Wait for what is under way."""
        self._thread.join(timeout=max(0.0, timeout_s))

    def _loop(self) -> None:
        while not self._stop.is_set():
            pause = self.agent.poll_s
            try:
                self._once()
                self._note_back()
            except Unreachable as error:
                self._note_lost(str(error))
                pause = RECONNECT_S
            except GamedayError as error:
                self._note_lost(f"cannot fetch samples: {error}")
                pause = RECONNECT_S
            self._stop.wait(pause)

    def _once(self) -> None:
        asked = clock.mono_ns()
        compare = asked >= self._next_clock
        if not self._fetch and not compare:
            return
        run = self._run if self._fetch else None
        found, answer = self.agent.poll(run, self._offset, compare)
        note(self.agent.node, found, self._recorder)
        if found:
            self._skew_ns = found[-1].node_mono_ns - found[-1].middle_ns
            self._next_clock = clock.mono_ns() + CLOCK_EVERY_NS
        if answer is None:
            return
        lines = answer["lines"].encode()
        if lines:
            found_samples = parse_samples(lines, f"samples of {self.agent.node}")
            self._recorder.samples(lines)
            self._board.add(found_samples, self._skew_ns)
            self.counted.add(found_samples)
            self._offset = answer["next"]
        # Behind a worker with many nodes an answer takes many batches, and so does the next.
        took = clock.mono_ns() - asked
        patience = int(HEARD_POLLS * self.agent.poll_s * clock.NS_PER_S) + 2 * took
        self._board.heard(self.agent.node, asked, patience)
        self.complete = not answer["running"] and not lines

    def _note_lost(self, reason: str) -> None:
        if not self._lost:
            self._recorder.event(kinds.NODE_LOST, node=self.agent.node, reason=reason)
        self._lost = True

    def _note_back(self) -> None:
        if self._lost:
            self._recorder.event(kinds.NODE_BACK, node=self.agent.node)
        self._lost = False


def finish(collectors: Sequence[Collector], timeout_s: float) -> None:
    """Fetch what is left once the nodes' probe loops have ended, then stop; all at once.

    Args:
        timeout_s: for all of them together, and not each.
    """
    pause = threading.Event()
    deadline = clock.mono_ns() + int(timeout_s * clock.NS_PER_S)
    while clock.mono_ns() < deadline and not all(one.complete for one in collectors):
        pause.wait(POLL_S)
    for one in collectors:
        one.stop()
    last = clock.mono_ns() + JOIN_NS
    for one in collectors:
        one.join((last - clock.mono_ns()) / clock.NS_PER_S)


class Counted:
    """How many samples came, and how many numbers are missing up to the last of each sampler.

    The samples themselves stay on disk: a long run has more of them than fit in memory.
    """

    def __init__(self) -> None:
        self.total = 0
        self._highest: dict[tuple[str, str, str], int] = {}

    def add(self, samples: Sequence[Sample]) -> None:
        """Count them in; every sample comes once."""
        self.total += len(samples)
        for sample in samples:
            key = (sample.probe, sample.node, sample.target)
            self._highest[key] = max(self._highest.get(key, -1), sample.seq)

    @property
    def missing(self) -> int:
        """Numbers that are absent."""
        return sum(highest + 1 for highest in self._highest.values()) - self.total
