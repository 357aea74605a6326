# SPDX-License-Identifier: Apache-2.0
"""Histories of a register that really was one, with known moments: for tests and for speed."""

from __future__ import annotations

from random import Random

from gameday.clock import Interval
from gameday.measures.calls import ABSENT, Call

MS = 1_000_000


def right_history(  # noqa: PLR0917 - every property of a history is one
    random: Random, key: str, calls: int, processes: int = 5, unanswered: float = 0.05,
    bound_ns: int = MS,
) -> list[Call]:  # fmt: skip
    """Calls of several processes on one register, each taking effect at one moment of its own.

    Args:
        random: decides everything. calls: how many. unanswered: share of writes without an answer;
            half of them never take effect. bound_ns: how far clocks may be off.
    """
    plans = []
    for number in range(calls):
        process = number % processes
        begin = (number // processes) * 20 * MS + random.randrange(19 * MS)
        end = begin + random.randrange(MS, 30 * MS)
        plans.append([random.randrange(begin, end), process, number, begin, end])
    found, held = [], ABSENT
    for at, process, number, begin, end in sorted(plans):
        name = f"p{process}#{number}"
        op = random.choice(("read", "read", "write", "swap"))
        was, value = (held if op == "swap" else ABSENT), held if op == "read" else name
        is_open = op != "read" and random.random() < unanswered
        if not is_open or random.random() < 0.5:
            held = value
        closed = None if is_open else Interval(end - bound_ns, end + bound_ns)
        start = Interval(begin - bound_ns, begin + bound_ns)
        assert begin <= at < end
        found.append(Call(f"p{process}", name, key, op, value, start, closed, was))
    return found
