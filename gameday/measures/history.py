# SPDX-License-Identifier: Apache-2.0
"""What the samples of a workload say: who called what and when, in the run's time. Pure."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from gameday.clock import Interval
from gameday.errors import EvidenceError
from gameday.measures.calls import ABSENT, Call
from gameday.measures.common import probe_plan
from gameday.record.record import Record, Seen

Names = Mapping[str, frozenset[int]]
"""Calls by vantage and number."""


@dataclass(frozen=True)
class Final:
    """What one vantage found at the end: every write that took effect, by name.

    Attributes:
        begin: when it began to read; what it found is true at some moment after that.
        found: names of calls.
    """

    begin: Interval
    found: Names


@dataclass(frozen=True)
class History:
    """All calls of one workload.

    Attributes:
        calls: reads that were answered; writes and swaps that took effect or may have.
        keys: the registers. vantages: who was to call, in order.
        finals: last reads that are complete, by vantage.
        missing: calls that were made and left no sample.
        silent: vantages whose samples are not usable at all.
    """

    calls: tuple[Call, ...]
    keys: tuple[str, ...]
    vantages: tuple[str, ...]
    finals: Mapping[str, Final]
    missing: Names
    silent: tuple[str, ...]

    @property
    def missing_count(self) -> int:
        """How many calls left no sample."""
        return sum(len(numbers) for numbers in self.missing.values())

    def by_key(self) -> dict[str, list[Call]]:
        """The calls on every register."""
        found: dict[str, list[Call]] = {key: [] for key in self.keys}
        for call in self.calls:
            found[call.key].append(call)
        return found


def make_history(record: Record, probe: str) -> History:
    """The history of a workload probe.

    Raises:
        EvidenceError: where the plan has no such probe, or it is not a workload.
    """
    plan = probe_plan(record, probe)
    if "keys" not in plan["params"]:
        raise EvidenceError(f"the probe {probe!r} is no workload: it is {plan['kind']}")
    vantages = tuple(dict.fromkeys(sampler["node"] for sampler in plan["samplers"]))
    calls: list[Call] = []
    known: dict[str, set[int]] = {node: set() for node in vantages}
    finals: dict[str, Final] = {}
    for (node, _), stream in record.seen(probe).items():
        pages: list[Seen] = []
        for seen in stream:
            value = seen.sample.value
            if "call" in value:
                known.setdefault(node, set()).add(_split(value["call"])[1])
                calls += _calls(seen)
            elif value.get("op") == "final" and seen.sample.ok:
                pages.append(seen)
        final = _final(pages)
        if final is not None:
            finals[node] = final
    missing = {n: frozenset(range(max(known[n], default=-1) + 1)) - known[n] for n in known}
    calls += _unrecorded(calls, known)
    keys = dict.fromkeys([f"k{number}" for number in range(plan["params"]["keys"])])
    keys |= dict.fromkeys(call.key for call in calls)
    silent = tuple(node for node in vantages if not known[node])
    return History(tuple(calls), tuple(keys), vantages, finals, missing, silent)


def _calls(seen: Seen) -> list[Call]:
    """The call that a sample tells of, if it matters to others."""
    value, ok = seen.sample.value, seen.sample.ok
    op, name = value["op"], value["call"]
    if not ok and (op == "read" or value["applied"] == "no"):
        return []
    holds = value["saw"] if op == "read" else name
    end = seen.end if ok else None
    was = value.get("was", ABSENT)
    return [Call(seen.sample.node, name, value["key"], op, holds, seen.start, end, was)]


def _final(pages: Sequence[Seen]) -> Final | None:
    """The pages of one last read put together; None where it did not get to its end."""
    if not pages or not pages[-1].sample.value["last"]:
        return None
    if [page.sample.value["page"] for page in pages] != list(range(len(pages))):
        return None
    found: dict[str, set[int]] = defaultdict(set)
    for page in pages:
        for text in page.sample.value["found"]:
            node, _, spans = text.rpartition(":")
            for span in spans.split(","):
                first, _, last = span.partition("-")
                found[node].update(range(int(first), int(last or first) + 1))
    return Final(pages[0].start, {node: frozenset(numbers) for node, numbers in found.items()})


def _unrecorded(calls: Sequence[Call], known: Mapping[str, set[int]]) -> list[Call]:
    """Writes that left no sample, since their vantage died or lost it, and that others saw.

    They may have been called at any time. A value of a call that is known not to have written it
    is not explained so, and stays without a writer.
    """
    written = {call.puts for call in calls} | {ABSENT}
    first = min((call.begin.lo for call in calls), default=0)
    found: dict[str, Call] = {}
    for call in calls:
        value = call.sees
        if value is None or value in written or value in found:
            continue
        node, number = _split(value)
        if node in known and number not in known[node]:
            begin = Interval(first, first)
            found[value] = Call(node, value, call.key, "write", value, begin, None)
    return list(found.values())


def _split(name: Any) -> tuple[str, int]:
    node, _, number = str(name).rpartition("#")
    return node, int(number) if number.isdigit() else -1
