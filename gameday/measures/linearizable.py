# SPDX-License-Identifier: Apache-2.0
"""``linearizable``: on how many keys the answers contradict each other."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from gameday.measures.base import Measurement, Part, Unit
from gameday.measures.calls import Call
from gameday.measures.common import unknown
from gameday.measures.history import History, make_history
from gameday.measures.register import STATES_MAX, check, first_wrong
from gameday.measures.words import count, names, seconds
from gameday.record.record import Record

EXPLAINED_MAX = 5
"""Keys whose first wrong answer is looked for; each takes about a second."""


@dataclass(frozen=True)
class LinearizableParams:
    """Parameters of ``linearizable``.

    Attributes:
        probe: a workload probe.
    """

    probe: str


class Linearizable:
    """How many keys have a history that no order of the calls explains."""

    kind = "linearizable"
    unit: Unit = "count"
    Params: type = LinearizableParams
    summary = "keys whose answers no order of the calls explains"

    def measure(self, name: str, params: LinearizableParams, record: Record) -> Measurement:
        """Every key by itself: a history is linearizable exactly if it is on every key.

        A key whose search was given up, one that nobody read and a call without a sample may each
        hide a contradiction: they raise the upper bound only.

        Raises:
            EvidenceError: where the plan or the record lacks what is asked for.
        """
        history = make_history(record, params.probe)
        if history.silent:
            reason = f"no usable samples of {names(history.silent)}"
            return unknown(name, self.kind, self.unit, reason)
        calls = history.by_key()
        verdicts = {key: check(calls[key]) for key in history.keys}
        wrong = [key for key, found in verdicts.items() if found.outcome == "violation"]
        rest = [key for key in verdicts if key not in wrong]
        undecided = [key for key in rest if verdicts[key].outcome == "undecided"]
        unread = [key for key in rest if key not in undecided and not _is_read(calls[key])]
        missing = min(history.missing_count, len(rest) - len(undecided) - len(unread))
        evidence = [self._sentence(history)]
        evidence += [_contradiction(key, calls[key], record) for key in wrong[:EXPLAINED_MAX]]
        if wrong[EXPLAINED_MAX:]:
            evidence.append(
                f"no order explains the answers on {names(wrong[EXPLAINED_MAX:])} either"
            )
        if undecided:
            evidence.append(f"given up after {STATES_MAX} states: {names(undecided)}")
        if unread:
            evidence.append(f"nobody read {names(unread)}")
        parts = (
            Part("undecided keys", len(undecided)), Part("keys that nobody read", len(unread)),
            Part("missing samples", missing),
        )  # fmt: skip
        return Measurement(
            name, self.kind, self.unit, "measured", len(wrong),
            len(wrong) + len(undecided) + len(unread) + missing, parts, evidence=tuple(evidence),
            details={
                "calls": len(history.calls), "keys": len(history.keys),
                "states": sum(found.states for found in verdicts.values()),
                "missing": history.missing_count,
            },
        )  # fmt: skip

    @staticmethod
    def _sentence(history: History) -> str:
        unanswered = sum(call.end is None for call in history.calls)
        return (
            f"{count(len(history.calls), 'call')} on {count(len(history.keys), 'key')} from "
            f"{names(history.vantages)}; {count(unanswered, 'write')} without an answer"
        )


def _is_read(calls: Sequence[Call]) -> bool:
    return any(call.sees is not None and call.end is not None for call in calls)


def _contradiction(key: str, calls: Sequence[Call], record: Record) -> str:
    call = first_wrong(calls)
    if call is None or call.end is None:
        return f"{key}: no order of the calls explains the answers"
    at = seconds(max(0, call.end.hi - record.span.lo))
    did = {"read": "read", "write": "wrote", "swap": f"replaced {call.was or 'nothing'} by"}
    what = f"{did[call.op]} {call.value or 'nothing'}"
    return f"{key}: nothing explains that {call.process} {what}, {at} after the run began"


MEASURE = Linearizable()
