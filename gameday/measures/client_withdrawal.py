# SPDX-License-Identifier: Apache-2.0
"""``client-withdrawal``: from onset until clients sent no request to a site any more."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from gameday.clock import Interval
from gameday.measures.base import Measurement, Part, Unit
from gameday.measures.common import Stream, duration, period_ns, unknown, with_onset
from gameday.measures.time_to_withdraw import site_addresses
from gameday.measures.transitions import TAIL_PERIODS, ByContent, Transition, states_of
from gameday.measures.words import seconds
from gameday.record.looks import Looks
from gameday.record.record import Record, Window
from gameday.record.types import Sample

ELSEWHERE_MIN = 4
"""Requests to other sites after the last one to this: clients take the addresses of an answer in
turn, so that one or two elsewhere do not show that the answer no longer holds the site."""


@dataclass(frozen=True)
class ClientWithdrawalParams:
    """Parameters of ``client-withdrawal``.

    Attributes:
        probe: an http probe.
        site: the site to which no request may go any more.
        fault: which fault's onset counts; the first of the experiment where it is empty.
        addresses: that stand for the site; by default its nodes' own.
    """

    probe: str
    site: str
    fault: str = ""
    addresses: tuple[str, ...] = ()


class ClientWithdrawal:
    """From onset until the last vantage's last request to the site."""

    kind = "client-withdrawal"
    unit: Unit = "ns"
    Params: type = ClientWithdrawalParams
    summary = "from onset until clients sent no request to the site any more"

    def measure(self, name: str, params: ClientWithdrawalParams, record: Record) -> Measurement:
        """Maximum over vantages of each one's last request to the site before the fault's end.

        Raises:
            EvidenceError: where the plan or the record lacks what is asked for.
        """
        window = record.window(params.fault or None)
        addresses = frozenset(params.addresses) or site_addresses(record, params.site)
        period = period_ns(record, params.probe)
        found: dict[Stream, Transition] = {}
        for stream, looks in sorted(record.seen(params.probe).items()):
            found[stream] = _left(looks, addresses, period, window)
        if not found:
            return unknown(name, self.kind, self.unit, f"probe {params.probe} left no samples")
        evidence = tuple(_sentence(*one, window) for one in found.items())
        for stream, one in found.items():
            if one.status == "unknown":
                reason = f"{stream[0]}: {one.reason}"
                return unknown(name, self.kind, self.unit, reason, evidence)
        origin = (window.onset.lo, window.onset.hi)
        never = [one for one in found.values() if one.status == "never"]
        if never:
            lo = max(duration(Interval(n.lo or 0, n.lo or 0), window.onset).lo for n in never)
            return Measurement(name, self.kind, self.unit, "never", lo, start=origin,
                               evidence=evidence, reason=never[0].reason)  # fmt: skip
        last = max(found.values(), key=lambda one: one.moment.hi)
        spans = [duration(one.moment, window.onset) for one in found.values()]
        return Measurement(
            name, self.kind, self.unit, "measured", max(s.lo for s in spans),
            max(s.hi for s in spans), with_onset(last.parts, window.onset, "onset"), origin,
            (max(one.moment.lo for one in found.values()), last.moment.hi),
            details={"vantages": len(found)}, evidence=evidence,
        )  # fmt: skip


def _left(looks: Looks, addresses: frozenset[str], period: int, window: Window) -> Transition:
    """Between a vantage's last request to the site and its next, which went elsewhere."""

    def elsewhere(sample: Sample) -> bool | None:
        went = sample.value.get("went")
        return None if not went else not addresses.intersection(went)

    watched = looks.where(looks.start_hi <= window.end.lo)
    states = states_of(watched, ByContent(elsewhere))
    visits = watched.where((states == 0) & (watched.start_lo < window.end.lo))
    if not np.any(visits.start_hi < window.onset.lo):
        return Transition("unknown", reason="no request went there before the onset either")
    last = visits[int(np.argmax(visits.start_ns))]
    later = watched.start_ns > last.sample.start_ns
    others = watched.where(later & (states == 1))
    ends = int(watched.start_hi.max())
    if ends < window.end.lo - TAIL_PERIODS * period:
        return Transition("unknown", reason="the samples stop before the end")
    if len(others) < ELSEWHERE_MIN:
        reason = "requests still went there when the fault ended"
        return Transition("never", last.start.lo, None, last, None, (), 0, reason)
    following = others[int(np.argmin(others.start_ns))]
    lo, hi = last.start.lo, max(last.start.lo, following.start.hi)
    spacing = following.sample.start_ns - last.sample.start_ns
    parts = [Part("probe period", min(spacing, period)),
             Part("clock bound", max(0, hi - lo - spacing))]  # fmt: skip
    if spacing > period:
        parts.insert(1, Part("missing requests, or without an address", spacing - period))
    return Transition("measured", lo, hi, last, following, tuple(parts))


def _sentence(stream: Stream, one: Transition, window: Window) -> str:
    vantage = stream[0]
    if one.status != "measured":
        return f"{vantage}: {one.reason}"
    span = duration(one.moment, window.onset)
    return (
        f"{vantage}: sent the last request there between {seconds(span.lo)} and "
        f"{seconds(span.hi, up=True)} after onset"
    )


MEASURE = ClientWithdrawal()
