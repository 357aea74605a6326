# SPDX-License-Identifier: Apache-2.0
"""``premature-reintroduction``: a site was back in DNS before its writes succeeded: how long."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from gameday.clock import Interval
from gameday.measures.base import Measurement, Unit
from gameday.measures.common import Stream, missing_between, unknown
from gameday.measures.healthy import (
    FAR,
    GOOD,
    GOOD_OR_BAD,
    IN,
    OUT,
    added_up,
    answers,
    certain_window,
    looks_of,
    site_nodes,
    told,
    whole_window,
)
from gameday.measures.spans import Ask, Label, Span, Stretch, clock_ns, sweep
from gameday.measures.time_to_withdraw import hands_out, site_addresses
from gameday.measures.words import seconds
from gameday.record.looks import Looks
from gameday.record.record import Record, Window

BACK = "back"
"""In the answers again, after it had been out of them."""


@dataclass(frozen=True)
class PrematureReintroductionParams:
    """Parameters of ``premature-reintroduction``.

    Attributes:
        probe: a dns probe.
        writes: a probe on the site's nodes that succeeds where writes do, such as etcd-write.
        site: the site that is withdrawn and introduced again.
        addresses: that stand for the site in DNS; by default its nodes' own.
        fault: which fault's onset counts; the first of the experiment where it is empty.
    """

    probe: str
    writes: str
    site: str
    addresses: tuple[str, ...] = ()
    fault: str = ""


class PrematureReintroduction:
    """Users were sent back to a site that could not write yet."""

    kind = "premature-reintroduction"
    unit: Unit = "ns"
    Params: type = PrematureReintroductionParams
    summary = "how long a site was back in DNS before its writes succeeded"

    def measure(
        self, name: str, params: PrematureReintroductionParams, record: Record
    ) -> Measurement:
        """All times in which some server handed the site out again and no node of it could write.

        Raises:
            EvidenceError: where the plan or the record lacks what is asked for.
        """
        fault = record.window(params.fault or None)
        window, certain = whole_window(record, fault), certain_window(record, fault)
        addresses = frozenset(params.addresses) or site_addresses(record, params.site)
        servers = {
            stream: _again(known, _asked(record, params.probe, stream, window), window, addresses)
            for stream, known in answers(record, params.probe, window, addresses).items()
        }
        nodes = site_nodes(record, params.site)
        writers = {
            stream: known
            for stream, known in told(record, params.writes, window, GOOD_OR_BAD).items()
            if stream[0] in nodes
        }
        if not writers:
            reason = f"probe {params.writes} looks from no node of {params.site}"
            return unknown(name, self.kind, self.unit, reason)
        evidence = [_server(stream, known, fault) for stream, known in sorted(servers.items())]
        if not any(_withdrawn(known) for known in servers.values()):
            reason = f"no server was seen to withdraw {params.site}, so it could not return"
            return unknown(name, self.kind, self.unit, reason, evidence)
        ask = _too_early(len(servers))
        found = sweep([*servers.values(), *writers.values()], ask, window)
        clock = clock_ns([*looks_of(record, params.probe), *looks_of(record, params.writes)])
        evidence += _told(found, fault.end, params.site)
        open_ = "its writes still failed when the watch ended"
        return added_up((name, self.kind, self.unit), found, (certain, clock), evidence, open_)


def _asked(record: Record, probe: str, stream: Stream, window: Interval) -> Looks:
    looks = Looks.of(record.seen(probe).get(stream, ()))
    return looks.where((looks.end_hi > window.lo) & (looks.start_lo < window.hi))


def _again(
    known: Sequence[Span], looks: Looks, window: Interval, addresses: frozenset[str]
) -> list[Span]:
    """A server's spans with what is in its answers all along told from what is back in them.

    Where it was not seen to withdraw the site, and samples are missing, it may have.
    """
    without = looks.codes(lambda s: int(s.ok and not hands_out(s, addresses))) == 1
    out = [int(looks.end_hi[without][0])] if without.any() else []
    out += [span.lo for span in known if span.label == OUT and span.hi > window.lo]
    if not out:
        return [] if not len(looks) or missing_between(looks) else [Span(-FAR, FAR, IN)]
    first = min(out)
    later = [
        Span(max(s.lo, first), s.hi, BACK if s.label == IN else OUT) for s in known if s.hi > first
    ]
    return [Span(-FAR, first, OUT), *later]


def _withdrawn(known: Sequence[Span]) -> bool:
    return any(span.label == OUT for span in known)


def _too_early(servers: int) -> Ask:
    """Whether the site is back while it cannot write."""

    def ask(shown: Sequence[Label]) -> bool | None:
        back, writes = shown[:servers], shown[servers:]
        if GOOD in writes or not any(label in (BACK, None) for label in back):
            return False
        return True if BACK in back and None not in writes else None

    return ask


def _server(stream: Stream, known: Sequence[Span], fault: Window) -> str:
    who = f"{stream[1]} asked from {stream[0]}"
    if not _withdrawn(known):
        return f"{who}: was not seen to withdraw it"
    back = next((span for span in known if span.label == BACK), None)
    if back is None:
        return f"{who}: withdrew it and did not hand it out again"
    return f"{who}: handed it out again by {seconds(back.lo - fault.end.lo, up=True)} after the end"


def _told(found: Sequence[Stretch], end: Interval, site: str) -> list[str]:
    lines = []
    for one in found:
        sure = sum(part.hi - part.lo for part in one.sure)
        word = f"certainly for {seconds(sure)}" if one.sure else "if at all"
        lines.append(
            f"{site} was back and could not write from {seconds(one.lo - end.hi)} to "
            f"{seconds(one.hi - end.lo, up=True)} after the end of the fault at most, {word}"
        )
    return lines


MEASURE = PrematureReintroduction()
