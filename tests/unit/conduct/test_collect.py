# SPDX-License-Identifier: Apache-2.0
"""Fetching from many nodes: waits are for all of them at once, silence is judged by their pace."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

from gameday import clock
from gameday.clock import NS_PER_S, Exchange
from gameday.conduct.board import Board
from gameday.conduct.collect import Collector, Recorder, finish
from gameday.transport.agent import Agent
from gameday.transport.ssh import Address


class Slow(Agent):
    """An agent whose samples take long, or never end; no network."""

    poll_s = 0.01

    def __init__(self, node: str, answers_s: float, ends: bool) -> None:
        super().__init__(Address(node, "", 0, "", None, "", ""))
        self._pause, self._ends = threading.Event(), ends
        self._answers_s = answers_s

    def poll(
        self, run: str | None, offset: int, compare: bool
    ) -> tuple[list[Exchange], dict[str, Any] | None]:
        """Nothing, after a while."""
        now = clock.mono_ns()
        self._pause.wait(self._answers_s)
        exchanges = [Exchange(now, clock.mono_ns(), 5, 5)] if compare else []
        return exchanges, {"lines": "", "next": 0, "running": not self._ends}


def started(directory: Path, agents: list[Slow], board: Board) -> list[Collector]:
    recorder = Recorder(directory)
    found = [Collector("run", agent, board, recorder, True) for agent in agents]
    for one in found:
        one.start(0)
    return found


def test_what_never_ends_is_waited_for_once_and_not_for_each(tmp_path: Path) -> None:
    """Forty nodes that go on for ever cost one wait: each alone would be forty."""
    begin = clock.mono_ns()
    collectors = started(tmp_path, [Slow(f"n{n}", 0.01, False) for n in range(40)], Board())
    finish(collectors, 1.0)
    assert not any(one.complete for one in collectors)
    assert clock.mono_ns() - begin < 30 * NS_PER_S


def test_all_that_ended_is_complete(tmp_path: Path) -> None:
    collectors = started(tmp_path, [Slow(f"n{n}", 0.01, True) for n in range(5)], Board())
    finish(collectors, 60.0)
    assert all(one.complete for one in collectors)


def test_a_slow_answer_is_not_silence(tmp_path: Path) -> None:
    """Behind a worker with many nodes an answer takes many batches: so may the next."""
    board = Board()
    collectors = started(tmp_path, [Slow("n1", 0.5, True)], board)
    finish(collectors, 60.0)
    now = clock.mono_ns()
    heard = board.heard_of_all(["n1"], now)
    assert heard <= now - NS_PER_S // 2, "nobody is silent within what its last answer took"
    assert board.heard_of_all(["n1"], now + 60 * NS_PER_S) > heard, "in the end it is"
