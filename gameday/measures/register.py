# SPDX-License-Identifier: Apache-2.0
"""Whether the calls on one register can be put in an order that real time allows. Pure.

Wing and Gong, "Testing and verifying concurrent objects" (1993), with Lowe's memory of what was
tried ("Testing for linearizability", 2017): place any call that began before every call that is not
placed yet returned, go back where none fits. For registers three rules save most of the search:

- A read of what the register holds is placed at once. It changes nothing, so sooner never hurts.
- Who still has to see a value keeps it there, unless somebody will write it again.
- Values that nobody has yet to see are all alike, and a write of such a value over such a value is
  placed at once.

It gives up after a number of states, not after a time, so that a record is judged the same
on every machine.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

from gameday.measures.calls import ABSENT, Call
from gameday.measures.settle import NEVER, Span, settle

STATES_MAX = 200_000
"""States of one register that are looked at; some ten seconds and 100 MB at worst."""

SPENT = "\x00spent"
"""Any value that nobody has yet to see."""


@dataclass(frozen=True)
class Verdict:
    """What the search found.

    Attributes:
        outcome: "linearizable", "violation" or "undecided" (too many states).
        states: how many were looked at.
    """

    outcome: Literal["linearizable", "violation", "undecided"]
    states: int = 0


State = tuple[int, int, str]
"""Calls before the first number are placed, and those of the bits after it; and the value."""


def check(calls: Sequence[Call], states_max: int = STATES_MAX) -> Verdict:
    """Whether calls on one register are linearizable; it is absent at first.

    Args:
        calls: of one key. states_max: give up after so many states.
    """
    spans = settle(calls)
    if any(span.end < span.begin for span in spans):
        return Verdict("violation")
    return _Search(spans).run(states_max)


def first_wrong(calls: Sequence[Call], states_max: int = STATES_MAX) -> Call | None:
    """The call whose answer was the first that no order explains; of calls that ``check`` refused.

    By halves: whatever had been answered before a moment is explained, or is not. None where that
    takes too many states.
    """
    answered = sorted((c for c in calls if c.end is not None), key=_end)
    right, wrong = 0, len(answered)
    while wrong - right > 1:
        middle = (right + wrong) // 2
        outcome = check(_until(calls, answered[middle - 1]), states_max).outcome
        if outcome == "undecided":
            return None
        right, wrong = (right, middle) if outcome == "violation" else (middle, wrong)
    return answered[wrong - 1]


def _until(calls: Sequence[Call], last: Call) -> list[Call]:
    """The calls as they stood when ``last`` had been answered, which is one of them."""
    known = []
    for call in calls:
        if call.begin.lo > _end(last)[0]:
            continue
        if call.end is not None and _end(call) <= _end(last):
            known.append(call)
        elif call.puts is not None:
            known.append(replace(call, end=None))
    return known


def _end(call: Call) -> tuple[int, str]:
    return (NEVER if call.end is None else call.end.hi), call.name


class _Search:
    def __init__(self, spans: Sequence[Span]) -> None:
        self.begins = [span.begin for span in spans]
        self.ends = [span.end for span in spans]
        self.sees = [span.call.sees for span in spans]
        self.puts = [span.call.puts for span in spans]
        self.not_seen = [s.call.value if s.call.op == "differs" else None for s in spans]
        # Any other value serves a swap that only says what it did not find: none is spent.
        self.may_spend = not any(value is not None for value in self.not_seen)
        self.seers: dict[str, list[int]] = defaultdict(list)
        self.writers: dict[str, list[int]] = defaultdict(list)
        for at, (seen, put) in enumerate(zip(self.sees, self.puts, strict=True)):
            if seen is not None:
                self.seers[seen].append(at)
            if put is not None:
                self.writers[put].append(at)

    def run(self, states_max: int) -> Verdict:
        """Depth first; what was tried is not tried again."""
        tried: set[State] = set()
        waiting: list[State] = [(0, 0, ABSENT)]
        while waiting:
            state = self._free_moves(waiting.pop())
            if state in tried:
                continue
            if len(tried) >= states_max:
                return Verdict("undecided", len(tried))
            tried.add(state)
            nearest = self._nearest(state)
            if not nearest or self.ends[nearest[0]] == NEVER:
                return Verdict("linearizable", len(tried))
            # The one that returns first is tried first, so it comes last on the stack.
            for at in reversed(nearest):
                if self._fits(state, at):
                    waiting.append(_placed(state, at, self.puts[at]))
        return Verdict("violation", len(tried))

    def _nearest(self, state: State) -> list[int]:
        """Calls that may come next: begun before all that are left returned; by their return."""
        at, bits, _ = state
        found, first_end = [], NEVER
        begins, ends, size = self.begins, self.ends, len(self.begins)
        while at < size and begins[at] <= first_end:
            if not bits & 1:
                found.append(at)
                first_end = min(first_end, ends[at])
            at += 1
            bits >>= 1
        return sorted(found, key=ends.__getitem__)

    def _free_moves(self, state: State) -> State:
        """The state after every call that can be placed at once without closing any way."""
        moved = True
        while moved:
            moved = False
            for at in self._nearest(state):
                if self._serves(state, at):
                    state, moved = _placed(state, at, None), True
            base, bits, value = state
            if self.may_spend and value != SPENT and not self._left(self.seers[value], state):
                state, moved = (base, bits, SPENT), True
            if state[2] == SPENT:
                state, moved = self._spend(state, moved)
        return state

    def _spend(self, state: State, moved: bool) -> tuple[State, bool]:
        """Place writes of values that nobody has yet to see, over such a value."""
        for at in self._nearest(state):
            put = self.puts[at]
            if put is None or self.sees[at] is not None or self.ends[at] == NEVER:
                continue
            if not self._left(self.seers[put], state):
                state, moved = _placed(state, at, SPENT), True
        return state, moved

    def _serves(self, state: State, at: int) -> bool:
        """Whether a call that changes nothing can be placed with the value that is there."""
        if self.puts[at] is not None:
            return False
        if self.not_seen[at] is not None:
            return self.not_seen[at] != state[2]
        return self.sees[at] == state[2]

    def _fits(self, state: State, at: int) -> bool:
        """Whether a write or a swap can be placed now and leave a way for the others."""
        value, seen = state[2], self.sees[at]
        if self.puts[at] is None or (seen is not None and seen != value):
            return False
        rest = _placed(state, at, None)
        keeps = any(
            self.ends[one] < NEVER for one in self._left(self.seers[value], rest)
        ) and not self._left(self.writers[value], rest)
        return not keeps or self.puts[at] == value

    def _left(self, places: Sequence[int], state: State) -> list[int]:
        """Those that are not placed yet."""
        base, bits, _ = state
        found = []
        for at in reversed(places):
            if at < base:
                break
            if not bits >> (at - base) & 1:
                found.append(at)
        return found


def _placed(state: State, at: int, value: str | None) -> State:
    """The state with one more call placed; ``value`` None: the register keeps what it holds."""
    base, bits, held = state
    bits |= 1 << (at - base)
    while bits & 1:
        base += 1
        bits >>= 1
    return base, bits, held if value is None else value
