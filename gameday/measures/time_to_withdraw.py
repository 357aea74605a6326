# SPDX-License-Identifier: Apache-2.0
"""``time-to-withdraw``: from onset until nobody sends users to a site any more, per layer."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from gameday.clock import Interval
from gameday.errors import EvidenceError
from gameday.measures.base import Measurement, Unit
from gameday.measures.common import Stream, duration, period_ns, probe_plan, unknown, with_onset
from gameday.measures.healthy import says_healthy, unseen
from gameday.measures.transitions import ByContent, Transition, settled
from gameday.measures.words import names, seconds
from gameday.record.looks import Looks
from gameday.record.record import Record, Seen, Window
from gameday.record.types import Sample

AUTHORITATIVE = "authoritative"

KUBERNETES = {"kube-nodes": "nodes", "kube-pods": "endpoints", "kube-gslb": "gslb"}
"""Layers by the kind of probe that watches a cluster."""


@dataclass(frozen=True)
class TimeToWithdrawParams:
    """Parameters of ``time-to-withdraw``.

    Attributes:
        probe: a dns probe that asks authoritative servers, one that asks resolvers, a bgp probe,
            or a kube-nodes, kube-pods or kube-gslb probe: then, until it says healthy no more.
        site: the site whose addresses must no longer be answered, or be next hops.
        fault: which fault's onset counts; the first of the experiment where it is empty.
        origins: of a bgp probe: the autonomous systems that the site announces from, where next
            hops do not tell the site.
        session: of a bgp probe: only what the collector hears in this session counts.
        addresses: that stand for the site; by default its nodes' own.
    """

    probe: str
    site: str
    fault: str = ""
    origins: tuple[int, ...] = ()
    session: str = ""
    addresses: tuple[str, ...] = ()


class TimeToWithdraw:
    """From onset until the last server, resolver or collector stopped handing out the site."""

    kind = "time-to-withdraw"
    unit: Unit = "ns"
    Params: type = TimeToWithdrawParams
    summary = "from onset until no name server hands the site out, or no BGP collector has it"

    def measure(self, name: str, params: TimeToWithdrawParams, record: Record) -> Measurement:
        """Maximum over servers of each one's last change to answers without the site.

        A server that no longer answers hands nothing out *as seen from the vantage*; the
        evidence says which servers these are.

        Raises:
            EvidenceError: where the plan or the record lacks what is asked for.
        """
        window = record.window(params.fault or None)
        layer = _layer(record, params)
        period = period_ns(record, params.probe)
        streams = record.seen(params.probe)
        if not streams:
            return unknown(name, self.kind, self.unit, f"probe {params.probe} left no samples")
        found: dict[Stream, Transition] = {}
        silent: list[str] = []
        evidence: list[str] = []
        for stream, samples in sorted(streams.items()):
            change, gone_silent = _server(samples, layer, period, window)
            found[stream] = change
            if gone_silent:
                silent.append(stream[1])
            evidence.append(_sentence(stream, change, window, (layer, gone_silent)))
        absent = _unasked(record, params.probe, streams)
        if absent:
            reason = f"no samples of {names(absent)}"
            return unknown(name, self.kind, self.unit, reason, evidence)
        result = self._slowest(name, found, (silent, layer), window, evidence)
        if layer.name == AUTHORITATIVE:
            return result
        return replace(result, details={**result.details, "layer": layer.name})

    def _slowest(
        self,
        name: str,
        found: Mapping[Stream, Transition],
        how: tuple[list[str], Layer],
        window: Window,
        evidence: list[str],
    ) -> Measurement:
        silent, layer = how
        never = [c for c in found.values() if c.status == "never"]
        if never:
            lo = max(duration(Interval(c.lo or 0, c.lo or 0), window.onset).lo for c in never)
            servers = names([s[1] for s, c in sorted(found.items()) if c.status == "never"])
            reason = f"{servers} still {layer.held} when the fault ended"
            return Measurement(
                name, self.kind, self.unit, "never", lo, evidence=tuple(evidence), reason=reason,
                start=(window.onset.lo, window.onset.hi),
            )  # fmt: skip
        for stream, change in sorted(found.items()):
            if change.status == "unknown":
                reason = f"{stream[1]}: {change.reason}"
                return unknown(name, self.kind, self.unit, reason, evidence)
        spans = {s: duration(c.moment, window.onset) for s, c in found.items()}
        slowest = max(sorted(spans), key=lambda s: spans[s].hi)
        last = found[slowest]
        details: dict[str, Any] = {"slowest_server": slowest[1], "servers": len(found)}
        if silent:
            details["servers_silent"] = sorted(silent)
        if last.missing:
            details["samples_missing"] = last.missing
        return Measurement(
            name, self.kind, self.unit, "measured",
            max(span.lo for span in spans.values()), spans[slowest].hi,
            with_onset(last.parts, window.onset, "onset"),
            start=(window.onset.lo, window.onset.hi),
            end=(max(c.moment.lo for c in found.values()), last.moment.hi),
            details=details, evidence=tuple(evidence),
        )  # fmt: skip


def site_addresses(record: Record, site: str) -> frozenset[str]:
    """Every data address of a site's nodes.

    Raises:
        EvidenceError: where the plan has no such site or it has no addresses.
    """
    found = {
        address
        for node in record.plan["nodes"].values()
        if node["site"] == site
        for address in node["addresses"]
    }
    if not found:
        raise EvidenceError(f"the plan has no address of site {site!r}")
    return frozenset(found)


def hands_out(sample: Sample, addresses: frozenset[str]) -> bool:
    """Whether an answer holds an address of the site."""
    return sample.ok and bool(addresses.intersection(sample.value.get("addresses", ())))


@dataclass(frozen=True)
class Layer:
    """Where users are sent from.

    Attributes:
        name: authoritative, resolver, bgp, or one of ``KUBERNETES``.
        there: whether a look that succeeded saw the site handed out; None: it does not tell.
        silence: whether a server that no longer answers sends nobody there.
        held, gone: what it did before, and then, in words.
    """

    name: str
    there: Callable[[Sample], bool | None]
    silence: bool
    held: str = "handed it out"
    gone: str = "withdrew it"


def _layer(record: Record, params: TimeToWithdrawParams) -> Layer:
    """By the kind of the probe, and of whom it asks."""
    probe = probe_plan(record, params.probe)
    addresses = frozenset(params.addresses) or site_addresses(record, params.site)
    if probe["kind"] in KUBERNETES:
        tell = says_healthy(probe, params.site, addresses)
        name = KUBERNETES[probe["kind"]]
        # Of an API server that does not answer nobody knows what it would say.
        return Layer(name, tell, False, "said it was healthy", "said healthy no more")
    if probe["kind"] != "bgp":
        recursion = probe["params"].get("recursion", False)
        name = "resolver" if recursion else AUTHORITATIVE
        return Layer(name, lambda sample: hands_out(sample, addresses), silence=True)
    origins = {str(number) for number in params.origins}
    if params.session and not origins:
        raise EvidenceError("session wants origins: a session's paths tell no next hops")

    def there(sample: Sample) -> bool | None:
        return routed(sample, addresses, origins, params.session)

    # A collector's routes are others' words: that it cannot be asked says nothing of them.
    return Layer("bgp", there, silence=False)


def routed(
    sample: Sample, addresses: frozenset[str], origins: set[str], session: str
) -> bool | None:
    """Whether a collector's table leads to the site; None where it hears nobody.

    Args:
        sample: of a bgp probe. addresses: next hops of the site. origins: systems of the site.
        session: the only one that counts, if it is not empty.
    """
    states = dict(entry.split(": ", 1) for entry in sample.value["sessions"])
    heard = [states.get(session, "")] if session else list(states.values())
    if "Established" not in heard:
        return None
    if session:
        paths = [p for p in sample.value["paths"] if p.partition(": ")[0] == session]
        return any(p.split(" ")[-1] in origins for p in paths)
    hops = addresses.intersection(sample.value["next_hops"])
    return bool(hops or origins.intersection(sample.value["origins"]))


def _server(
    samples: Sequence[Seen], layer: Layer, period: int, window: Window
) -> tuple[Transition, bool]:
    """One server's change, and whether it went silent instead of answering without the site."""
    looks = Looks.of(samples)
    before = looks.where((looks.end_hi < window.onset.lo) & looks.ok)
    if not len(before):
        why = unseen(looks) if layer.name in KUBERNETES.values() else ""
        reason = "; ".join(filter(None, ["no answer before the onset", why]))
        return Transition("unknown", reason=reason), False
    if not layer.there(before[-1].sample):
        reason = "did not hand it out before the onset either"
        if layer.name in KUBERNETES.values():
            reason = "did not say healthy before the onset either"
        return Transition("unknown", reason=reason), False

    def answered(sample: Sample) -> bool | None:
        there = layer.there(sample) if sample.ok else None
        return None if there is None else not there

    def gone(sample: Sample) -> bool:
        return not (sample.ok and layer.there(sample))

    change = settled(looks, ByContent(answered), period, window.end)
    if change.status == "unknown" and layer.name in KUBERNETES.values():
        change = replace(change, reason="; ".join(filter(None, [change.reason, unseen(looks)])))
    if change.status != "unknown" or not layer.silence:
        return change, False
    # After its last answer with the site the server did not answer at all. One lost packet
    # proves nothing, silence up to the end of the fault does: nobody is sent there from here.
    silence = settled(looks, ByContent(gone), period, window.end)
    return silence, silence.status == "measured"


def _sentence(stream: Stream, change: Transition, window: Window, how: tuple[Layer, bool]) -> str:
    (vantage, server), (layer, silent) = stream, how
    if change.status == "unknown":
        return f"{server} asked from {vantage}: unknown, {change.reason}"
    if change.status == "never":
        return f"{server} asked from {vantage}: {layer.held} to the end of the fault"
    span = duration(change.moment, window.onset)
    done = "stopped answering (not withdrawn, unreachable from here)" if silent else layer.gone
    return (
        f"{server} asked from {vantage}: {done} between {seconds(span.lo)} and "
        f"{seconds(span.hi, up=True)} after onset"
    )


def _unasked(record: Record, probe: str, streams: Mapping[Stream, Any]) -> list[str]:
    """Servers that the plan asks and that left no sample at all."""
    for entry in record.plan["probes"]:
        if entry["name"] == probe:
            planned = {(s["node"], s["target"]) for s in entry["samplers"]}
            return sorted(target for node, target in planned if (node, target) not in streams)
    return []


MEASURE = TimeToWithdraw()
