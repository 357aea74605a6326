# SPDX-License-Identifier: Apache-2.0
"""A workload's history as other checkers read it: JSON lines of calls, or Jepsen's events. Pure."""

from __future__ import annotations

import heapq
import json
from collections.abc import Iterator, Sequence

from gameday.measures.calls import Call


def jsonl(calls: Sequence[Call], origin_ns: int) -> Iterator[str]:
    """One call a line, in order of begin.

    ``client``, ``name``, ``key``, ``op`` (read, write or swap), ``value`` (seen or written; null:
    nothing), ``was`` (of a swap), ``call`` and ``return`` in ns after ``origin_ns``, as wide as the
    clocks allow; ``return`` is null where no answer came.
    """
    for call in _ordered(calls):
        line = {
            "client": call.process, "name": call.name, "key": call.key, "op": call.op,
            "value": call.value or None, "was": (call.was or None) if call.op == "swap" else None,
            "call": call.begin.lo - origin_ns,
            "return": None if call.end is None else call.end.hi - origin_ns,
        }  # fmt: skip
        yield json.dumps(line, separators=(",", ":")) + "\n"


def edn(calls: Sequence[Call], origin_ns: int) -> Iterator[str]:
    """Events of one register, an EDN map a line, as Knossos reads them: ``:cas`` takes [was value].

    A process of Jepsen makes one call at a time, and none after one without an answer, so processes
    are numbered anew.
    """
    last = max((call.end or call.begin).hi for call in calls) if calls else 0
    events: list[tuple[int, int, int, str]] = []
    free: list[int] = []
    busy: list[tuple[int, int]] = []
    made = 0
    for number, call in enumerate(_ordered(calls)):
        while busy and busy[0][0] < call.begin.lo:
            heapq.heappush(free, heapq.heappop(busy)[1])
        process = heapq.heappop(free) if free else made
        made = max(made, process + 1)
        events.append((call.begin.lo, 0, number, _event(call, process, "invoke", origin_ns)))
        if call.end is None:
            events.append((last + 1, 1, number, _event(call, process, "info", origin_ns, last)))
        else:
            heapq.heappush(busy, (call.end.hi, process))
            line = _event(call, process, "ok", origin_ns, call.end.hi)
            events.append((call.end.hi, 1, number, line))
    for *_, line in sorted(events):
        yield line


def _ordered(calls: Sequence[Call]) -> list[Call]:
    return sorted(calls, key=lambda call: (call.begin.lo, call.name))


def _event(call: Call, process: int, kind: str, origin_ns: int, at: int | None = None) -> str:
    name = {"read": "read", "write": "write", "swap": "cas"}[call.op]
    value = _text(call.value)
    if call.op == "swap":
        value = f"[{_text(call.was)} {value}]"
    elif call.op == "read" and kind == "invoke":
        value = "nil"
    when = (call.begin.lo if at is None else at) - origin_ns
    return f"{{:process {process}, :type :{kind}, :f :{name}, :value {value}, :time {when}}}\n"


def _text(value: str) -> str:
    return json.dumps(value, ensure_ascii=False) if value else "nil"
