# SPDX-License-Identifier: Apache-2.0
"""Onset and end of a window: exact by the kernel, as a process says, or as wide as is known."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from gameday.record import kinds
from gameday.record.record import Record
from gameday.record.types import Event
from gameday.record.windows import TICK_NS
from tests.unit.synthetic import MS, S, make_record

NODE = "fra-1"
BOUND_NS = 5 * MS
"""More than any clock of the synthetic run is off by."""


def node_mono(record: Record, run_ns: int) -> int:
    """What the node's monotonic clock showed at a moment of the run, within its bound."""
    near = record.clocks[NODE].offset(run_ns)
    return run_ns + (near.lo + near.hi) // 2


def by_process(record: Record, **moments: Any) -> Record:
    """The same run, its windows kept by processes; ``began``, ``gone`` in the run's time."""
    events: list[Event] = []
    for event in record.events:
        data = dict(event.data)
        if event.kind == kinds.ARMED:
            data["kept"] = "process"
        if event.kind == kinds.OBSERVED:
            state = "absent" if data["when"] == "ended" else "active"
            clock = record.clocks[data["node"]]
            stamps = {
                what: [at + sum((clock.offset(at).lo, clock.offset(at).hi)) // 2 for at in pair]
                for what, pair in moments.items()
            }
            data["observation"] = {**data["observation"], "state": state, **stamps}
        events.append(replace(event, data=data))
    return Record(record.plan, events, record.samples)


def test_a_kernel_s_window_is_a_tick_and_the_clocks_wide() -> None:
    window = make_record().window()
    assert TICK_NS <= window.onset.width <= TICK_NS + 2 * BOUND_NS
    assert window.onset == window.planned


def test_a_process_that_was_late_says_so() -> None:
    record = make_record()
    planned = record.window()
    began = (planned.onset.hi + 200 * MS, planned.onset.hi + 230 * MS)
    gone = (planned.end.hi + 300 * MS, planned.end.hi + 310 * MS)
    window = by_process(record, began=began, gone=gone).window()
    assert window.planned == planned.onset
    for found, true in ((window.onset, began), (window.end, gone)):
        assert found.lo <= true[0] and true[1] <= found.hi
        assert found.width <= true[1] - true[0] + 2 * BOUND_NS


def test_a_process_that_said_nothing_began_before_it_was_seen() -> None:
    record = make_record()
    planned = record.window()
    window = by_process(record).window()
    active = [e.at_ns for e in record.of_kind(kinds.OBSERVED) if e.data["when"] == "active"]
    assert window.onset.lo == planned.onset.lo and window.onset.hi == max(active)
    ended = [e.at_ns for e in record.of_kind(kinds.OBSERVED) if e.data["when"] == "ended"]
    assert window.end.lo == planned.end.lo and window.end.hi == max(ended)


def test_nobody_saw_it_begin_or_end_so_anything_is_possible() -> None:
    record = by_process(make_record())
    blind = [e for e in record.events if e.kind != kinds.OBSERVED]
    window = Record(record.plan, blind, record.samples).window()
    assert window.end.hi == record.span.hi
    assert window.onset.hi == record.span.hi
    assert window.onset.width > 10 * S


def test_an_abort_ends_what_a_process_keeps_from_when_it_was_asked() -> None:
    record = by_process(make_record(abort_ns=3 * S))
    sent = [e.data["sent_ns"] for e in record.of_kind(kinds.DISARMED)]
    ended = [e.at_ns for e in record.of_kind(kinds.OBSERVED) if e.data["when"] == "ended"]
    assert record.window().end.lo == min(sent)
    assert record.window().end.hi == max(ended)


def answered(record: Record, *answers: tuple[int, str, list[str]] | None) -> Record:
    """The run with other tries to end the lease of ``NODE``, a second apart from second 2 on.

    Each is (ms that its answer took, the state that was read back, what was done), or ``None``
    where no answer came.
    """
    (armed,) = [e for e in record.of_kind(kinds.ARMED) if e.data["node"] == NODE]
    lease, begin = armed.data["lease"]["id"], record.window().planned.hi
    tries = (kinds.DISARM_INTENT, kinds.DISARMED, kinds.OBSERVED)
    events = [e for e in record.events
              if not (e.kind in tries and e.data["node"] == NODE)
              and not (e.kind == kinds.ARMED and e.data["node"] != NODE)]  # fmt: skip

    def add(at: int, kind: str, **data: Any) -> None:
        own = {"node": NODE, "lease": lease, **data}
        events.append(Event(len(record.events) + len(events), at, at, kind, own))

    for number, answer in enumerate(answers):
        sent = begin + (2 + number) * S
        add(sent, kinds.DISARM_INTENT, why="")
        if answer is not None:
            took_ms, state, done = answer
            add(sent + took_ms * MS, kinds.DISARMED, sent_ns=sent, done=done)
            read_back = {"state": state, "left": [], "counters": {}, "foreign_changed": []}
            add(sent + took_ms * MS, kinds.OBSERVED, when="ended", observation=read_back)
    return Record(record.plan, events, record.samples)


REMOVED = ["removed the chain"]
IN_VAIN = (20, "active", [])


@pytest.mark.parametrize(
    ("answers", "begin_s", "end_ms"),
    [
        ([(20, "absent", REMOVED)], 2, 2020),
        # What certainly changed nothing is no beginning of the end.
        ([IN_VAIN, (20, "absent", REMOVED)], 3, 3020),
        ([IN_VAIN, IN_VAIN, (30, "absent", REMOVED)], 4, 4030),
        # What removed a part of it is, although the end of the whole comes later.
        ([(20, "foreign", REMOVED), (20, "absent", [])], 2, 3020),
        # A node that did it and whose answer was lost did it at the first try.
        ([None, (20, "absent", [])], 2, 3020),
        ([None, IN_VAIN, (20, "absent", REMOVED)], 2, 4020),
    ],
)
def test_an_early_end_lies_between_the_first_try_that_counts_and_the_last(
    answers: list[Any], begin_s: int, end_ms: int
) -> None:
    record = make_record()
    begin = record.window().planned.hi
    window = answered(record, *answers).window()
    assert window.end.lo == begin + begin_s * S
    assert window.end.hi == begin + end_ms * MS


@pytest.mark.parametrize("answers", [[IN_VAIN], [IN_VAIN, IN_VAIN], []])
def test_tries_in_vain_leave_the_end_to_the_kernel(answers: list[Any]) -> None:
    record = answered(make_record(), *answers)
    assert record.window().end == answered(make_record()).window().end


def test_the_kernel_ends_what_a_try_left() -> None:
    record = make_record()
    window = answered(record, (20, "foreign", REMOVED)).window()
    assert window.end.lo == record.window().planned.hi + 2 * S
    assert window.end.hi == answered(record).window().end.hi


def test_a_process_that_said_nothing_may_have_ended_it_at_a_try_without_an_answer() -> None:
    record = make_record()
    begin = record.window().planned.hi
    kept = answered(by_process(record), IN_VAIN, None, (20, "absent", []))
    assert kept.window().end.lo == begin + 3 * S
    assert kept.window().end.hi == begin + 4 * S + 20 * MS
