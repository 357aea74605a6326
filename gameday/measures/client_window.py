# SPDX-License-Identifier: Apache-2.0
"""The users' requests from onset to the end of recovery. Shared by the client-failure kinds."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from gameday.clock import Interval
from gameday.measures.common import missing_between, period_ns, recover_ns
from gameday.measures.outages import Outage, outages
from gameday.record.looks import Looks
from gameday.record.record import Record, Seen


@dataclass(frozen=True)
class User:
    """What one vantage's requests came to.

    Attributes:
        vantage: the node the requests came from.
        requests, failed: that certainly began inside the window.
        border: that failed and may or may not have begun inside the window.
        missing: that the schedule had and the record lacks.
        outages: stretches without service. blind_ns: longest distance between two requests.
    """

    vantage: str
    requests: int
    failed: int
    border: int
    missing: int
    outages: tuple[Outage, ...]
    blind_ns: int


def users(record: Record, probe: str, fault: str) -> tuple[Interval, list[User], str]:
    """The window (onset to the end of recovery), every user, and why there is nothing to say.

    Raises:
        EvidenceError: where the plan has no such probe or the fault was never armed.
    """
    faulted = record.window(fault or None)
    window = Interval(faulted.onset.lo, faulted.end.hi + recover_ns(record))
    certain = Interval(faulted.onset.hi, max(faulted.onset.hi, faulted.end.lo + recover_ns(record)))
    period = period_ns(record, probe)
    streams = record.seen(probe)
    if not streams:
        return window, [], f"probe {probe} left no samples"
    found = [
        _user(" → ".join(stream), samples, window, certain, period)
        for stream, samples in sorted(streams.items())
    ]
    idle = [user.vantage for user in found if not user.requests]
    if idle:
        return window, found, f"no request of {idle[0]} lies inside the window"
    return window, found, ""


def _user(
    vantage: str, samples: Sequence[Seen], window: Interval, certain: Interval, period: int
) -> User:
    looks = Looks.of(samples)
    sure = (looks.start_lo >= certain.lo) & (looks.start_hi <= certain.hi)
    perhaps = (looks.start_hi >= window.lo) & (looks.start_lo <= window.hi) & ~sure
    within, border = looks.where(sure), int(np.count_nonzero(perhaps & ~looks.ok))
    # One request less than fits is no loss: the schedule's phase is not the window's.
    due = certain.width // period - 1
    missing = max(missing_between(within), due - len(within), 0)
    blind = int(np.diff(looks.start_ns).max()) if len(looks) > 1 else window.width
    return User(
        vantage, len(within), int(np.count_nonzero(~within.ok)), border, missing,
        tuple(outages(looks, window, period)), blind,
    )  # fmt: skip
