# SPDX-License-Identifier: Apache-2.0
"""What the faults do to each Raft group: sides, majorities, predictions. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from gameday.plan.estate import RaftGroup
from gameday.plan.leases import Aimed
from gameday.plan.model import Expect, GroupCut, PlannedGroup, PlannedSide, Prediction
from gameday.plan.targets import Cut, Side, phases, sides_of

ELECTION_HEARTBEATS_MIN = 10
"""etcd's own advice: the election timeout is at least ten heartbeats."""


@dataclass(frozen=True)
class Outlook:
    """A group's fate in this experiment.

    Attributes:
        lost: (fault, from, to) of each piece of the timeline without any quorum, in
            seconds after T0; the fault is the last that began.
    """

    group: PlannedGroup
    predictions: tuple[Prediction, ...]
    lost: tuple[tuple[Aimed, int, int], ...]
    limits: tuple[str, ...]


def outlook(group: RaftGroup, faults: Sequence[Aimed]) -> Outlook:
    """Sides and predictions of a group for every fault that cuts anything."""
    cutting = [fault for fault in faults if fault.cut]
    by_name = {fault.planned.name: fault for fault in cutting}
    pieces = phases(fault.window for fault in cutting)
    cuts, predictions, limits = [], [], []
    for fault in cutting:
        own = [names for _, _, names in pieces if fault.planned.name in names]
        views = {sides_of(group.members, _union(by_name, names)) for names in own}
        everything = tuple(sorted({name for names in own for name in names}))
        sides = sides_of(group.members, _union(by_name, everything))
        cuts.append(
            GroupCut(fault.planned.name, tuple(PlannedSide(s.members, s.quorum) for s in sides))
        )
        said, unsaid = _predict(group, fault.planned.name, sides, everything, len(views) > 1)
        predictions += said
        limits += unsaid
    lost = tuple(
        (max((by_name[n] for n in names), key=lambda f: (f.planned.at_s, f.index)), start, end)
        for start, end, names in pieces
        if not any(s.quorum for s in sides_of(group.members, _union(by_name, names)))
    )
    planned = PlannedGroup(
        group.name, group.kind, group.members, group.majority,
        group.heartbeat_ms, group.election_ms, tuple(cuts),
    )  # fmt: skip
    limits += _timers(group)
    return Outlook(planned, tuple(predictions), lost, tuple(limits))


def _union(by_name: dict[str, Aimed], names: Sequence[str]) -> Cut:
    return frozenset().union(*(by_name[name].cut for name in names))


def _predict(
    group: RaftGroup, fault: str, sides: Sequence[Side], together: Sequence[str], moving: bool
) -> tuple[list[Prediction], list[str]]:
    if moving:
        others = join([name for name in together if name != fault])
        text = (
            f"{group.name}: during {fault} its sides change, since {others} overlaps it; the "
            f"sides shown are those with all of them in effect, and nothing is predicted"
        )
        return [], [text]
    found, limits = [], []
    for number, side in enumerate(sides):
        if side.quorum and not side.whole:
            limits.append(
                f"{group.name}: on the side of {join(side.members)} some members reach each "
                f"other only over others; a leader is possible but may change again and again, "
                f"so nothing is predicted for it"
            )
            continue
        expect, text = _said(group, side, len(sides) == 1)
        name = f"{group.name}:{fault}:{number}"
        found.append(Prediction(name, fault, group.name, side.members, expect, text))
    return found, limits


def _said(group: RaftGroup, side: Side, alone: bool) -> tuple[Expect, str]:
    count, of = len(side.members), len(group.members)
    be, they = ("is", "it") if count == 1 else ("are", "they")
    who = f"{group.name}: {join(side.members)} {be} {count} of {of}"
    if side.quorum and alone:
        keeps = "go on" if count > 1 else "goes on"
        return "writes-continue", f"{who}, all of them: {they} {keeps} acknowledging writes"
    if side.quorum:
        keeps = "keep" if count > 1 else "keeps"
        return "writes-continue", (
            f"{who}, with the majority of {group.majority}: {they} {keeps} acknowledging writes, "
            f"after an election where the leader was cut off"
        )
    if count >= group.majority:
        return "writes-stop", (
            f"{who}, but none of them reaches a majority of {group.majority} directly: {they} "
            f"must stop acknowledging writes"
        )
    return "writes-stop", (
        f"{who}, under the majority of {group.majority}: {they} must stop acknowledging writes"
    )


def _timers(group: RaftGroup) -> list[str]:
    if group.election_ms >= ELECTION_HEARTBEATS_MIN * group.heartbeat_ms:
        return []
    return [
        f"{group.name}: its election timeout of {group.election_ms} ms is less than "
        f"{ELECTION_HEARTBEATS_MIN} heartbeats of {group.heartbeat_ms} ms: expect elections "
        f"without any fault"
    ]


def join(names: Sequence[str]) -> str:
    """``a, b and c``."""
    if len(names) < 2:
        return "".join(names)
    return f"{', '.join(names[:-1])} and {names[-1]}"
