# SPDX-License-Identifier: Apache-2.0
"""Decides what it can about calls without an answer, before anybody searches. Pure.

A write that was never answered may take effect at any time, so a search would have to try it
everywhere. Where every value is written once, most of that is decided by who saw the value:

- Somebody who was answered saw it: it took effect before the first of them returned.
- Nobody did, and no other open call that matters can have: leaving it out changes nothing. Whatever
  took effect after it, before the next write, would have seen it; nobody did, so the next write
  came at once.

Both keep a history linearizable exactly if it was before. The second fails where a swap says only
that it found something else, since any value serves it; then such calls stay as they are.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

from gameday.measures.calls import ABSENT, Call

NEVER = 1 << 62
"""The return of a call that need not return."""


@dataclass(frozen=True)
class Span:
    """A call between two moments: the first at which it can have taken effect, and the last.

    Attributes:
        call: what was called. begin, end: in ns; ``end`` is NEVER where it may never happen.
    """

    call: Call
    begin: int
    end: int

    @property
    def needed(self) -> bool:
        """Whether it certainly took effect."""
        return self.end < NEVER


def settle(calls: Sequence[Call]) -> list[Span]:
    """The calls of one register that matter, each with the widest time it may have, by begin.

    An ``end`` before its ``begin`` says that somebody saw a value before it was written.
    """
    spans = [_span(call) for call in calls]
    if any(span.call.op == "differs" for span in spans):
        return sorted(spans, key=lambda span: span.begin)
    writers = Counter(span.call.puts for span in spans)
    writers[ABSENT] += 1
    return sorted(_that_matter(_bounded(spans, writers), writers), key=lambda span: span.begin)


def _that_matter(spans: Sequence[Span], writers: Counter[str | None]) -> list[Span]:
    """All but open calls of which nobody who matters can have seen the value."""
    puts = [span.call.puts for span in spans]
    kept = {at for at, s in enumerate(spans) if s.needed or (puts[at] and writers[puts[at]] > 1)}
    waiting = list(kept)
    while waiting:
        seen = spans[waiting.pop()].call.sees
        more = {at for at, put in enumerate(puts) if put is not None and put == seen} - kept
        kept |= more
        waiting += more
    return [spans[at] for at in sorted(kept)]


def _span(call: Call) -> Span:
    # The bounds of the clocks widen a call. That can hide what is wrong, and never invents it:
    # whatever order the true times allow, wider ones allow too.
    return Span(call, call.begin.lo, NEVER if call.end is None else call.end.hi)


def _bounded(spans: Sequence[Span], writers: Counter[str | None]) -> list[Span]:
    """Open calls end by the return of the first who saw their value, and so on back."""
    found = list(spans)
    open_writer = {
        span.call.puts: at
        for at, span in enumerate(spans)
        if not span.needed and span.call.puts is not None and writers[span.call.puts] == 1
    }
    seen_by: dict[str, int] = defaultdict(lambda: NEVER)
    waiting = [span for span in spans if span.needed]
    while waiting:
        span = waiting.pop()
        value = span.call.sees
        if value not in open_writer or span.end >= seen_by[value]:
            continue
        seen_by[value] = span.end
        at = open_writer[value]
        found[at] = Span(found[at].call, found[at].begin, span.end)
        waiting.append(found[at])
    return found
