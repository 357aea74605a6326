# SPDX-License-Identifier: Apache-2.0
"""``time-to-withdraw``: from onset until no authoritative server hands out a site's address."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from gameday.clock import Interval
from gameday.errors import EvidenceError
from gameday.measures.base import Measurement, Unit
from gameday.measures.common import Stream, duration, period_ns, unknown, with_onset
from gameday.measures.transitions import Transition, settled
from gameday.measures.words import names, seconds
from gameday.record.record import Record, Seen, Window
from gameday.record.types import Sample


@dataclass(frozen=True)
class TimeToWithdrawParams:
    """Parameters of ``time-to-withdraw``.

    Attributes:
        probe: a dns probe that asks authoritative servers.
        site: the site whose addresses must no longer be answered.
        fault: which fault's onset counts; the first of the experiment where it is empty.
    """

    probe: str
    site: str
    fault: str = ""


class TimeToWithdraw:
    """From onset until the last authoritative server stopped handing out the site."""

    kind = "time-to-withdraw"
    unit: Unit = "ns"
    Params: type = TimeToWithdrawParams
    summary = "from onset until no authoritative server hands out an address of the site"

    def measure(self, name: str, params: TimeToWithdrawParams, record: Record) -> Measurement:
        """Maximum over servers of each one's last change to answers without the site.

        A server that no longer answers hands nothing out *as seen from the vantage*; the
        evidence says which servers these are.

        Raises:
            EvidenceError: where the plan or the record lacks what is asked for.
        """
        window = record.window(params.fault or None)
        addresses = site_addresses(record, params.site)
        period = period_ns(record, params.probe)
        streams = record.seen(params.probe)
        if not streams:
            return unknown(name, self.kind, self.unit, f"probe {params.probe} left no samples")
        found: dict[Stream, Transition] = {}
        silent: list[str] = []
        evidence: list[str] = []
        for stream, samples in sorted(streams.items()):
            change, gone_silent = _server(samples, addresses, period, window)
            found[stream] = change
            if gone_silent:
                silent.append(stream[1])
            evidence.append(_sentence(stream, change, window, gone_silent))
        absent = _unasked(record, params.probe, streams)
        if absent:
            reason = f"no samples of {names(absent)}"
            return unknown(name, self.kind, self.unit, reason, evidence)
        return self._slowest(name, found, silent, window, evidence)

    def _slowest(
        self,
        name: str,
        found: Mapping[Stream, Transition],
        silent: list[str],
        window: Window,
        evidence: list[str],
    ) -> Measurement:
        never = [c for c in found.values() if c.status == "never"]
        if never:
            lo = max(duration(Interval(c.lo or 0, c.lo or 0), window.onset).lo for c in never)
            servers = names([s[1] for s, c in sorted(found.items()) if c.status == "never"])
            reason = f"{servers} still handed it out when the fault ended"
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


def _server(
    samples: list[Seen], addresses: frozenset[str], period: int, window: Window
) -> tuple[Transition, bool]:
    """One server's change, and whether it went silent instead of answering without the site."""
    before = [s for s in samples if s.end.hi < window.onset.lo and s.sample.ok]
    if not before:
        return Transition("unknown", reason="no answer before the onset"), False
    if not hands_out(before[-1].sample, addresses):
        return Transition("unknown", reason="did not hand it out before the onset either"), False

    def answered(seen: Seen) -> bool | None:
        return None if not seen.sample.ok else not hands_out(seen.sample, addresses)

    def gone(seen: Seen) -> bool:
        return not hands_out(seen.sample, addresses)

    change = settled(samples, answered, period, window.end)
    if change.status != "unknown":
        return change, False
    # After its last answer with the site the server did not answer at all. One lost packet
    # proves nothing, silence up to the end of the fault does: nobody is sent there from here.
    silence = settled(samples, gone, period, window.end)
    return silence, silence.status == "measured"


def _sentence(stream: Stream, change: Transition, window: Window, silent: bool) -> str:
    vantage, server = stream
    if change.status == "unknown":
        return f"{server} asked from {vantage}: unknown, {change.reason}"
    if change.status == "never":
        return f"{server} asked from {vantage}: handed it out to the end of the fault"
    span = duration(change.moment, window.onset)
    how = "stopped answering (not withdrawn, unreachable from here)" if silent else "withdrew it"
    return (
        f"{server} asked from {vantage}: {how} between {seconds(span.lo)} and "
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
