# SPDX-License-Identifier: Apache-2.0
"""Linearizability by trying every order: slow and plain, to check the checker with."""

from __future__ import annotations

from collections.abc import Sequence

from gameday.measures.calls import ABSENT, Call


def linearizable(calls: Sequence[Call], held: str = ABSENT) -> bool:
    """Whether any order of all answered calls, and of some others, explains what was seen."""
    if all(call.end is None for call in calls):
        return True
    ends = [call.end.hi for call in calls if call.end is not None]
    for at, call in enumerate(calls):
        if call.begin.lo > min(ends):
            continue
        rest = [*calls[:at], *calls[at + 1 :]]
        if call.op == "differs":
            possible = held != call.value
        else:
            possible = call.sees is None or call.sees == held
        if possible and linearizable(rest, held if call.puts is None else call.puts):
            return True
        if call.end is None and linearizable(rest, held):
            return True
    return False
