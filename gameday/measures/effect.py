# SPDX-License-Identifier: Apache-2.0
"""The effect gate: the fault hit what it was aimed at, and only that.

The plan adds ICMP echo probes for pairs of nodes. A *cut* pair answered before onset and
must be silent inside the window; a *shifted* pair must become slower or lossy as asked
(``effect_shift``); a *control* pair must answer throughout, as fast as before. A fault that no
echo shows is looked for in the nodes' own kernels (``effect_nodes``). Where the gate does not
hold, the run is invalid: whatever was measured, it was not this fault.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from gameday.clock import Interval
from gameday.errors import EvidenceError
from gameday.measures.common import period_ns, within
from gameday.measures.effect_nodes import check_nodes
from gameday.measures.effect_shift import check_shift, slowed_us, slower_allowed_us
from gameday.measures.transitions import SILENT, settled
from gameday.measures.words import count, milliseconds
from gameday.record.looks import Looks
from gameday.record.record import Record, Seen, Window

CONTROL_LOST_MAX = 2
"""Echoes a control pair may lose in the window: a busy node drops one now and then."""

INSIDE_MIN = 3
"""Fewer looks inside the window than this say nothing about a pair."""


@dataclass(frozen=True)
class Pair:
    """What one pair of nodes showed.

    Attributes:
        node, target: who asked whom. role: "cut", "shifted" or "control".
        held: did as meant; None where the samples do not tell.
        answered, asked: echoes inside the window.
        onset: when it fell silent, in the run's time; None where it does not apply.
        text: one sentence.
    """

    node: str
    target: str
    role: str
    held: bool | None
    answered: int
    asked: int
    onset: Interval | None
    text: str
    details: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Effect:
    """The gate of one fault.

    Attributes:
        fault: its name. held: True, False, or None where the samples do not tell.
        pairs: every pair. evidence: sentences, failures first.
        onset: all cut pairs' observed onsets as one interval, or None.
    """

    fault: str
    held: bool | None
    pairs: tuple[Pair, ...] = ()
    evidence: tuple[str, ...] = ()
    onset: Interval | None = None
    details: Mapping[str, Any] = field(default_factory=dict)


def check_effects(record: Record) -> list[Effect]:
    """The gate of each fault that the plan has one for."""
    found = []
    for fault, planned in record.plan.get("effect", {}).items():
        try:
            if not planned["probe"]:
                held, text = check_nodes(record, fault)
                found.append(Effect(fault, held, evidence=(text,)))
            else:
                found.append(_check(record, fault, planned))
        except EvidenceError as error:
            found.append(Effect(fault, None, evidence=(error.message,)))
    return found


def _check(record: Record, fault: str, planned: Mapping[str, Any]) -> Effect:
    window = record.window(fault)
    streams = record.seen(planned["probe"])
    period = period_ns(record, planned["probe"])
    pairs = [
        _cut_pair(node, target, streams.get((node, target), ()), window, period)
        for node, target in planned["cut"]
    ]
    for node, target in planned.get("shifted", ()):
        looks = streams.get((node, target), ())
        pairs.append(_shifted_pair(node, target, looks, window, planned))
    for node, target in planned["control"]:
        looks = streams.get((node, target), ())
        profile = planned["profile"] if planned.get("shifted") else None
        pairs.append(_control_pair(node, target, looks, window, profile))
    wrong = [p for p in pairs if p.held is False]
    blind = [p for p in pairs if p.held is None]
    held = False if wrong else None if blind or not pairs else True
    onset = _hull([p.onset for p in pairs if p.onset is not None])
    evidence = [p.text for p in (*wrong, *blind)] or _summary(pairs, window, onset)
    details = {"shifted": [{"from": p.node, "to": p.target, **p.details}
                           for p in pairs if p.role == "shifted"]}  # fmt: skip
    return Effect(fault, held, tuple(pairs), tuple(evidence), onset, details)


def _shifted_pair(
    node: str, target: str, looks: Sequence[Seen], window: Window, planned: Mapping[str, Any]
) -> Pair:
    found = check_shift(looks, window, planned["profile"], planned["spread_us"])
    sentence = f"{node} → {target}: {found.text}"
    return Pair(node, target, "shifted", found.held, found.answered, found.asked, None, sentence,
                found.details)  # fmt: skip


def _cut_pair(node: str, target: str, samples: Sequence[Seen], window: Window, period: int) -> Pair:
    looks = Looks.of(samples)
    asked = within(looks, window)
    answered = int(asked.ok.sum())

    def pair(held: bool | None, text: str, onset: Interval | None = None) -> Pair:
        sentence = f"{node} → {target}: {text}"
        return Pair(node, target, "cut", held, answered, len(asked), onset, sentence)

    if answered:
        return pair(False, f"answered {answered} of {len(asked)} echoes while meant to be cut")
    if len(asked) < INSIDE_MIN or not looks.ok[looks.end_hi < window.onset.lo].any():
        few = f"only {count(len(asked), 'look')} inside the window"
        silent = "did not answer before the onset either"
        return pair(None, few if len(asked) < INSIDE_MIN else silent)
    change = settled(looks, SILENT, period, window.end)
    if change.status != "measured":
        return pair(None, change.reason)
    late = change.moment.lo > window.onset.hi
    if late or change.moment.hi < window.onset.lo:
        when = "later than the lease's start" if late else "already before the lease's start"
        return pair(False, f"fell silent {when}", change.moment)
    return pair(True, f"silent for {count(len(asked), 'look')}", change.moment)


def _control_pair(
    node: str, target: str, samples: Sequence[Seen], window: Window,
    profile: Mapping[str, Any] | None,
) -> Pair:  # fmt: skip
    """Of a fault that changes round trips (``profile``), whether these stayed as they were too."""
    asked = within(samples, window)
    answered = int(asked.ok.sum())
    lost = len(asked) - answered
    slower = slowed_us(samples, window) if profile is not None else 0
    allowed = 0 if profile is None else slower_allowed_us(samples, window, profile)
    if len(asked) < INSIDE_MIN:
        held, text = None, f"only {count(len(asked), 'look')} inside the window"
    elif lost > CONTROL_LOST_MAX:
        held, text = False, f"lost {lost} of {len(asked)} echoes and was not meant to be hit"
    elif slower > allowed:
        held = False
        text = f"became {slower / 1000:.1f} ms slower ({allowed / 1000:.1f} ms are allowed) and "
        text += "was not meant to be hit"
    else:
        held, text = True, f"answered {answered} of {len(asked)} echoes"
    sentence = f"{node} → {target}: {text}"
    return Pair(node, target, "control", held, answered, len(asked), None, sentence)


def _hull(intervals: Sequence[Interval]) -> Interval | None:
    """The moment at which all pairs had fallen silent, as the widest honest interval."""
    if not intervals:
        return None
    return Interval(min(i.lo for i in intervals), max(i.hi for i in intervals))


def _summary(pairs: Sequence[Pair], window: Window, onset: Interval | None) -> list[str]:
    cut, control = _of(pairs, "cut"), _of(pairs, "control")
    lines = [p.text for p in _of(pairs, "shifted")]
    if cut:
        lines.append(
            f"{count(len(cut), 'cut pair')} silent for all {_asked(cut)} echoes inside the window"
        )
    lines.append(
        f"{count(len(control), 'control pair')} answered {_answered(control)} of "
        f"{_asked(control)} echoes"
    )
    if onset is not None:
        lines.append(
            f"pairs fell silent between {milliseconds(window.onset.lo - onset.lo)} before and "
            f"{milliseconds(onset.hi - window.onset.lo)} after the leases' start"
        )
    return lines


def _of(pairs: Iterable[Pair], role: str) -> list[Pair]:
    return [p for p in pairs if p.role == role]


def _asked(pairs: Iterable[Pair]) -> int:
    return sum(p.asked for p in pairs)


def _answered(pairs: Iterable[Pair]) -> int:
    return sum(p.answered for p in pairs)
