# SPDX-License-Identifier: Apache-2.0
"""Clocks before a run: what one batch does not tell another may, and both are said in words."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from gameday import clock
from gameday.clock import NS_PER_S, Exchange, Interval
from gameday.conduct.collect import Recorder
from gameday.conduct.limits import CLOCK_TRIES, TARGET_OFFSET_NS_MAX
from gameday.conduct.preflight import _clock_problems, _compare, cannot_look, is_open
from gameday.faults.base import Facts
from gameday.transport.agent import Agent
from gameday.transport.ssh import Address

S = NS_PER_S
BASE = (1_000 * S, 5_000 * S)
"""The controller's monotonic and wall clock, at one moment."""


class Blurred(Agent):
    """An agent whose exchanges are bounded as told, batch after batch; its clock is right."""

    def __init__(self, rooms: Iterator[tuple[int, int]]) -> None:
        super().__init__(Address("n1", "", 0, "", None, "", ""))
        self._rooms, self.asked = rooms, 0

    def exchanges(self, count: int) -> list[Exchange]:
        """Sent ``before`` and received ``after`` the node read its clocks."""
        self.asked += 1
        before, after = next(self._rooms)
        at = BASE[0] + self.asked * S
        return [Exchange(at - before, at + after, 77 * S + at, BASE[1] + at - BASE[0])]


def compared(tmp_path: Path, *rooms: tuple[int, int]) -> tuple[int, list[str]]:
    agent = Blurred(iter(rooms))
    found = _compare(agent, BASE, True, Recorder(tmp_path))
    return agent.asked, _clock_problems("n1", found, BASE, True)


def test_a_vantage_without_a_library_is_told_before_anything_begins() -> None:
    facts = Facts("3.11", "6.1", True, "", {"kubernetes": "is not installed; install it"}, (), "b")
    (problem,) = cannot_look("controller", {"kube-nodes", "dns"}, facts)
    assert problem == "controller: probe kube-nodes is not available: is not installed; install it"
    assert cannot_look("n1", {"dns"}, facts) == []


def test_a_close_exchange_is_enough(tmp_path: Path) -> None:
    assert compared(tmp_path, (S // 10, S // 10)) == (1, [])


def test_two_batches_that_each_tell_too_little_tell_enough_together(tmp_path: Path) -> None:
    assert compared(tmp_path, (S, S // 10), (S // 10, S)) == (2, [])


def test_what_stays_open_is_called_unknown_and_not_wrong(tmp_path: Path) -> None:
    asked, (problem,) = compared(tmp_path, *[(S, S)] * CLOCK_TRIES)
    assert asked == CLOCK_TRIES
    assert "known only to between -1.0" in problem and "behind" not in problem


def test_what_is_open() -> None:
    limit = TARGET_OFFSET_NS_MAX
    assert is_open(Interval(-limit - 1, 0), limit) and is_open(Interval(0, 2 * limit), limit)
    assert not is_open(Interval(-limit, limit), limit), "within"
    assert not is_open(Interval(limit + 1, 2 * limit), limit), "beyond"
    assert clock.NS_PER_S == S
