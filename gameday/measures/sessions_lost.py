# SPDX-License-Identifier: Apache-2.0
"""``sessions-lost``: how many TCP sessions were reset from onset to the end of recovery."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from gameday.clock import Interval
from gameday.measures.base import Measurement, Part, Unit
from gameday.measures.common import duration, period_ns, recover_ns, unknown
from gameday.measures.transitions import TAIL_PERIODS
from gameday.measures.words import seconds
from gameday.record.looks import Looks, Seen
from gameday.record.record import Record, Window
from gameday.record.types import Sample

SENTENCES_MAX = 12
NO_SESSION = "connect: "
"""How a look's reason begins that found no session and could not open one."""


@dataclass(frozen=True)
class SessionsLostParams:
    """Parameters of ``sessions-lost``.

    Attributes:
        probe: a tcp-session probe.
        fault: from whose onset on; the first of the experiment where it is empty.
    """

    probe: str
    fault: str = ""


@dataclass(frozen=True)
class Loss:
    """One session that was found lost, and when: between two looks, in the run's time."""

    moment: Interval
    vantage: str
    reason: str


class SessionsLost:
    """TCP sessions of users that the fault ended."""

    kind = "sessions-lost"
    unit: Unit = "count"
    Params: type = SessionsLostParams
    summary = "how many TCP sessions were reset or closed, from onset to the end of recovery"

    def measure(self, name: str, params: SessionsLostParams, record: Record) -> Measurement:
        """Counts losses that the looks saw; adds those that may hide where looks are missing.

        Raises:
            EvidenceError: where the plan or the record lacks what is asked for.
        """
        window = record.window(params.fault or None)
        period, until = period_ns(record, params.probe), window.end.hi + recover_ns(record)
        streams = record.seen(params.probe)
        if not streams:
            return unknown(name, self.kind, self.unit, f"probe {params.probe} left no samples")
        losses: list[Loss] = []
        hidden = 0
        for (vantage, _), samples in sorted(streams.items()):
            looks = Looks.of(samples)
            trouble = _untold(looks, window, until - TAIL_PERIODS * period)
            if trouble:
                return unknown(name, self.kind, self.unit, f"{vantage}: {trouble}")
            near = _near(looks, window, until)
            found = [_loss(one, looks, vantage) for one in near.where(near.codes(_lost) == 1)]
            losses += [x for x in found if x.moment.hi >= window.onset.lo and x.moment.lo <= until]
            hidden += _hidden(near)
        losses.sort(key=lambda one: one.moment.lo)
        return self._counted(name, losses, hidden, window, until)

    def _counted(
        self, name: str, losses: list[Loss], hidden: int, window: Window, until: int
    ) -> Measurement:
        sure = [x for x in losses if x.moment.lo >= window.onset.hi and x.moment.hi <= until]
        during = [x for x in sure if x.moment.hi <= window.end.lo]
        border = len(losses) - len(sure)
        parts = (Part("at the border of what is watched", border), Part("missing samples", hidden))
        evidence = [_sentence(x, window) for x in losses[:SENTENCES_MAX]]
        if len(losses) > SENTENCES_MAX:
            evidence.append(f"and {len(losses) - SENTENCES_MAX} more")
        if not losses:
            evidence.append("every look found the session that the one before it had left")
        first = losses[0].moment if losses else None
        return Measurement(
            name, self.kind, self.unit, "measured", len(sure), len(losses) + hidden, parts,
            start=(window.onset.lo, window.onset.hi),
            end=(first.lo, first.hi) if first else None,
            details={"during_the_fault": len(during)}, evidence=tuple(evidence),
        )  # fmt: skip


def _lost(sample: Sample) -> int:
    return int(not sample.ok and bool(sample.value.get("lost")))


def _untold(looks: Looks, window: Window, tail: int) -> str:
    """Why a stream tells nothing; empty where it does."""
    if not np.any(looks.ok & (looks.end_hi < window.onset.lo)):
        return "no session was held before the onset"
    return "the samples stop before the end" if looks.start_hi[-1] < tail else ""


def _near(looks: Looks, window: Window, until: int) -> Looks:
    """From the last look before the onset to the first after the end: losses lie between looks."""
    first = np.flatnonzero(looks.end_hi < window.onset.lo)[-1]
    after = np.flatnonzero(looks.start_lo > until)
    inside = np.zeros(len(looks), dtype=bool)
    inside[first : (after[0] + 1 if len(after) else len(looks))] = True
    return looks.where(inside)


def _loss(one: Seen, looks: Looks, vantage: str) -> Loss:
    """A look that is silent still holds its session, so any look before it bounds the loss."""
    before = looks.where(looks.start_ns < one.sample.start_ns)
    since = before[-1].start.lo if len(before) else one.start.lo
    return Loss(Interval(since, one.end.hi), vantage, one.sample.reason)


def _hidden(near: Looks) -> int:
    """How many sessions may have been lost while looks are missing, as nobody saw."""
    # A look that says nothing of sessions is as good as none.
    near = near.where(near.codes(lambda sample: int("session" in sample.value)) == 1)
    found = 0
    for place in np.flatnonzero(np.diff(near.seq) > 1).tolist():
        before, after = near[place].sample, near[place + 1].sample
        new = int(after.value["session"]) - int(before.value["session"])
        # Of those that there were in between, the newest is there still, or its loss was seen.
        there = new + int(_held(before)) - int(not after.reason.startswith(NO_SESSION))
        found += max(0, there)
    return found


def _held(sample: Sample) -> bool:
    """Whether a session was there after the look; one that is silent is."""
    return not _lost(sample) and not sample.reason.startswith(NO_SESSION)


def _sentence(loss: Loss, window: Window) -> str:
    span = duration(loss.moment, window.onset)
    return (
        f"{loss.vantage} lost its session ({loss.reason}) between {seconds(span.lo)} and "
        f"{seconds(span.hi, up=True)} after onset"
    )


MEASURE = SessionsLost()
