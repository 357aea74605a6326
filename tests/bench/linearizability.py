# SPDX-License-Identifier: Apache-2.0
"""How long the linearizability checker needs: python -m tests.bench.linearizability

100,000 calls on 20 registers that really were such, and the same with one answer changed on each,
with the first wrong answer found on one; with few and many callers at once, and with few and many
writes without an answer.
"""

from __future__ import annotations

import os
import sys
from dataclasses import replace
from random import Random

from gameday import clock
from gameday.measures.calls import Call
from gameday.measures.register import check, first_wrong
from tests.unit.measures.histories import right_history

CALLS = 100_000
KEYS = 20
SETTINGS = ((5, 0.05), (5, 0.3), (10, 0.05), (20, 0.02))
"""(callers, share of writes without an answer)"""


def main() -> None:
    """Print a line per setting."""
    out = sys.stdout.write
    out(f"{CALLS} calls on {KEYS} keys, one core of {os.cpu_count()}\n")
    out("callers  unanswered  right: s  states   wrong: s  states  first, a key: s\n")
    for callers, unanswered in SETTINGS:
        random = Random(1)  # noqa: S311 - reproducible, not secret
        keys = [
            right_history(random, f"k{number}", CALLS // KEYS, callers, unanswered)
            for number in range(KEYS)
        ]
        right_s, right_states = timed(keys, "linearizable")
        wrong_s, wrong_states = timed([spoilt(calls) for calls in keys], "violation")
        begin = clock.mono_ns()
        first_wrong(spoilt(keys[0]))
        first_s = (clock.mono_ns() - begin) / clock.NS_PER_S
        out(
            f"{callers:7}  {unanswered:10.0%}  {right_s:8.2f}  {right_states:6}  "
            f"{wrong_s:9.2f}  {wrong_states:6}  {first_s:15.2f}\n"
        )


def timed(keys: list[list[Call]], expected: str) -> tuple[float, int]:
    """Seconds, and the states of all keys."""
    begin = clock.mono_ns()
    found = [check(calls) for calls in keys]
    seconds = (clock.mono_ns() - begin) / clock.NS_PER_S
    outcomes = {one.outcome for one in found}
    if outcomes != {expected}:
        raise SystemExit(f"expected {expected}, found {outcomes}")
    return seconds, sum(one.states for one in found)


def spoilt(calls: list[Call]) -> list[Call]:
    """One read near the end sees what an early one saw."""
    reads = [at for at, call in enumerate(calls) if call.op == "read" and call.value]
    early, late = reads[len(reads) // 10], reads[len(reads) * 9 // 10]
    return [
        replace(call, value=calls[early].value) if at == late else call
        for at, call in enumerate(calls)
    ]


if __name__ == "__main__":
    main()
