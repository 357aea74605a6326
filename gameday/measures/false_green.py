# SPDX-License-Identifier: Apache-2.0
"""``false-green``: something said that a site was healthy while its users failed: how long."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from gameday.clock import Interval
from gameday.errors import EvidenceError
from gameday.measures.base import Measurement, Unit
from gameday.measures.common import Stream, period_ns, probe_plan, unknown
from gameday.measures.healthy import (
    BAD,
    GOOD,
    GOOD_OR_BAD,
    IN,
    STATES,
    added_up,
    answers,
    certain_window,
    healthy_label,
    listened,
    looks_of,
    says_healthy,
    site_nodes,
    told,
    unseen,
    whole_window,
)
from gameday.measures.spans import Ask, Label, Span, Stretch, clock_ns, sweep
from gameday.measures.time_to_withdraw import site_addresses
from gameday.measures.words import seconds
from gameday.record.record import Record
from gameday.record.types import Sample

SOMEBODY, NOBODY = "somebody", "nobody"
"""Whether a user's requests went to the site at all: who does not go there does not fail there."""

USERS_REACH = 5
"""A user's requests take addresses in turn, so those to one site are this many periods apart."""

FROM = re.compile(r" from ([0-9A-Fa-f.:]+)(?:, \d+ tried)?$")
"""The end of a failed request's reason: whom it asked, where its value has no ``went``."""


@dataclass(frozen=True)
class FalseGreenParams:
    """Parameters of ``false-green``.

    Attributes:
        probe: who says that the site is healthy: a dns probe by handing it out, an
            alertmanager-webhook or prometheus probe by not firing, kube-nodes, kube-pods, kube-gslb
            and kube-delivery by what they saw, any other by succeeding.
        users: an http probe; its requests to the site count.
        site: the site.
        alerts: of a webhook, names of alerts of which any one firing is not healthy.
        labels: labels that such an alert must carry.
        addresses: that stand for the site; by default its nodes' own.
        fault: which fault's window counts; the first of the experiment where it is empty.
    """

    probe: str
    users: str
    site: str
    alerts: tuple[str, ...] = ()
    labels: Mapping[str, str] = field(default_factory=dict)
    addresses: tuple[str, ...] = ()
    fault: str = ""


class FalseGreen:
    """The site was said to be healthy, and its users' requests failed."""

    kind = "false-green"
    unit: Unit = "ns"
    Params: type = FalseGreenParams
    summary = "how long something said that a site was healthy while its users' requests failed"

    def measure(self, name: str, params: FalseGreenParams, record: Record) -> Measurement:
        """All such times between onset and the end of recovery, added up.

        Raises:
            EvidenceError: where the plan or the record lacks what is asked for.
        """
        fault = record.window(params.fault or None)
        window, certain = whole_window(record, fault), certain_window(record, fault)
        addresses = frozenset(params.addresses) or site_addresses(record, params.site)
        green = _green(record, params, window, addresses)
        users = _users(record, params.users, window, addresses)
        evidence = [_spoke(stream, known, window) for stream, known in sorted(green.items())]
        evidence += [_user(stream, known) for stream, known in sorted(users.items())]
        if not any(s.label != NOBODY for known in users.values() for s in known):
            reason = f"too few requests of {params.users} went to {params.site} to tell"
            return unknown(name, self.kind, self.unit, reason, evidence)
        why = _why(record, params.probe)
        evidence += why
        if not any(s.label in (GOOD, BAD) for known in green.values() for s in known):
            reason = "; ".join([f"probe {params.probe} told nothing", *why])
            return unknown(name, self.kind, self.unit, reason, evidence)
        found = sweep([*green.values(), *users.values()], _lied(len(green)), window)
        clock = clock_ns([*looks_of(record, params.probe), *looks_of(record, params.users)])
        evidence += [_sentence(one, fault.onset) for one in found if one.sure]
        open_ = "it was still so when the watch ended"
        return added_up((name, self.kind, self.unit), found, (certain, clock), evidence, open_)


def _green(
    record: Record, params: FalseGreenParams, window: Interval, addresses: frozenset[str]
) -> dict[Stream, list[Span]]:
    """What each sampler said of the site's health, as GOOD and BAD."""
    probe = probe_plan(record, params.probe)
    kind = probe["kind"]
    if kind in STATES:
        tell = says_healthy(probe, params.site, addresses)
        return told(record, params.probe, window, healthy_label(tell))
    if kind == "dns":
        handed = answers(record, params.probe, window, addresses)
        return {
            stream: [Span(s.lo, s.hi, GOOD if s.label == IN else BAD) for s in known]
            for stream, known in handed.items()
        }
    if kind == "alertmanager-webhook":
        return listened(record, params.probe, window, _alert(params))
    if kind == "prometheus":
        return told(record, params.probe, window, _firing)
    found = told(record, params.probe, window, GOOD_OR_BAD)
    nodes = site_nodes(record, params.site)
    own = {stream: known for stream, known in found.items() if nodes.intersection(stream)}
    if not own and any(target in record.plan["nodes"] for _, target in found):
        raise EvidenceError(f"probe {params.probe} looks at no node of {params.site}")
    return own or found


def _why(record: Record, probe: str) -> list[str]:
    """Of what watches a cluster, why it did not see it at times."""
    if probe_plan(record, probe)["kind"] not in STATES:
        return []
    found = sorted(record.seen(probe).items())
    said = [(stream, unseen(looks)) for stream, looks in found]
    return [f"{target} from {node}: {text}" for (node, target), text in said if text]


def _firing(sample: Sample) -> Label:
    """What Prometheus says; nothing where it does not answer."""
    if not sample.ok:
        return None
    return BAD if sample.value.get("state") == "firing" else GOOD


def _alert(params: FalseGreenParams) -> Callable[[Sample], bool]:
    wanted = {f"{key}={value}" for key, value in params.labels.items()}

    def names_it(sample: Sample) -> bool:
        named = not params.alerts or sample.target in params.alerts
        return named and wanted <= set(sample.value.get("labels", ()))

    return names_it


def _users(
    record: Record, probe: str, window: Interval, addresses: frozenset[str]
) -> dict[Stream, list[Span]]:
    """How each user's requests to the site went, and when there were none for a while."""
    visits = told(record, probe, window, _visit(addresses), USERS_REACH)
    absent = told(record, probe, window, _whereto(addresses))
    least = USERS_REACH * period_ns(record, probe)
    return {
        stream: sorted(
            [*known, *(s for s in absent[stream] if s.label == NOBODY and s.hi - s.lo >= least)],
            key=lambda span: span.lo,
        )
        for stream, known in visits.items()
    }


def _whereto(addresses: frozenset[str]) -> Callable[[Sample], Label]:
    """Whether a request went to the site; one that found no address went nowhere."""

    def tell(sample: Sample) -> Label:
        address = _address(sample)
        if not address and not sample.reason.startswith("dns"):
            return None
        return SOMEBODY if address in addresses else NOBODY

    return tell


def _visit(addresses: frozenset[str]) -> Callable[[Sample], Label]:
    """How a request to the site went; nothing of one that went elsewhere or nowhere."""

    def tell(sample: Sample) -> Label:
        address = _address(sample)
        if address not in addresses:
            return None
        return GOOD if sample.ok else BAD

    return tell


def _address(sample: Sample) -> str:
    """Whom a request asked at last; empty where that is not known."""
    if sample.ok:
        return str(sample.value.get("address", ""))
    went = sample.value.get("went")
    if went:
        return str(went[-1])
    found = FROM.search(sample.reason)
    return found.group(1) if found else ""


def _lied(speakers: int) -> Ask:
    """Whether somebody says healthy while some user fails."""

    def ask(shown: Sequence[Label]) -> bool | None:
        said, users = shown[:speakers], shown[speakers:]
        if all(label == BAD for label in said) or all(x in (GOOD, NOBODY) for x in users):
            return False
        return True if GOOD in said and BAD in users else None

    return ask


def _spoke(stream: Stream, known: Sequence[Span], window: Interval) -> str:
    good = sum(
        max(0, min(s.hi, window.hi) - max(s.lo, window.lo)) for s in known if s.label == GOOD
    )
    who = f"{stream[1]} from {stream[0]}"
    return f"{who}: said healthy for {seconds(good)} of {seconds(window.width)}"


def _user(stream: Stream, known: Sequence[Span]) -> str:
    bad = sum(s.hi - s.lo for s in known if s.label == BAD)
    return f"{stream[0]} → {stream[1]}: requests to the site certainly failed for {seconds(bad)}"


def _sentence(one: Stretch, onset: Interval) -> str:
    sure = sum(part.hi - part.lo for part in one.sure)
    return (
        f"healthy in words and failing from {seconds(max(0, one.lo - onset.hi))} to "
        f"{seconds(one.hi - onset.lo, up=True)} after onset at most, certainly for {seconds(sure)}"
    )


MEASURE = FalseGreen()
