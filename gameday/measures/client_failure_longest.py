# SPDX-License-Identifier: Apache-2.0
"""``client-failure-longest``: the longest stretch in which a user's requests failed."""

from __future__ import annotations

from dataclasses import dataclass

from gameday.measures.base import Measurement, Unit
from gameday.measures.client_window import users
from gameday.measures.common import unknown
from gameday.measures.outages import Outage
from gameday.measures.words import count, seconds, seconds_between
from gameday.record.record import Record


@dataclass(frozen=True)
class ClientFailureLongestParams:
    """Parameters of ``client-failure-longest``.

    Attributes:
        probe: an http probe at the users' vantage.
        fault: which fault's window counts; the first of the experiment where it is empty.
    """

    probe: str
    fault: str = ""


class ClientFailureLongest:
    """The longest outage that at least one request saw, of the worst-served user."""

    kind = "client-failure-longest"
    unit: Unit = "ns"
    Params: type = ClientFailureLongestParams
    summary = "longest outage of a user between onset and the end of recovery"

    def measure(self, name: str, params: ClientFailureLongestParams, record: Record) -> Measurement:
        """Bounds over all outages of all users; each end of one is known to a probe's look.

        Raises:
            EvidenceError: where the plan or the record lacks what is asked for.
        """
        _, found, reason = users(record, params.probe, params.fault)
        if reason:
            return unknown(name, self.kind, self.unit, reason)
        stretches = [outage for user in found for outage in user.outages]
        blind = max(user.blind_ns for user in found)
        evidence = tuple(
            f"{user.vantage}: {count(user.failed, 'failed request')} of {user.requests}"
            for user in found
        )
        details = {"outages": len(stretches), "shorter_unseen_ns": blind}
        if not stretches:
            return Measurement(
                name, self.kind, self.unit, "measured", 0, 0, details=details,
                evidence=(*evidence, f"an outage under {seconds(blind, up=True)} could go unseen"),
            )  # fmt: skip
        lo = max(outage.lo for outage in stretches)
        lasting = [o for o in stretches if o.hi is None]
        if lasting:
            return Measurement(
                name, self.kind, self.unit, "never", lo, details=details, evidence=evidence,
                reason="requests still failed, or were missing, when the watch ended",
                start=(lasting[0].begin.lo, lasting[0].begin.hi),
            )  # fmt: skip
        longest = max(stretches, key=lambda o: o.hi or 0)
        return Measurement(
            name, self.kind, self.unit, "measured", lo, longest.hi, longest.parts,
            (longest.begin.lo, longest.begin.hi), _end(longest), details,
            (*evidence, f"longest: {seconds_between(longest.lo, longest.hi)}"),
        )  # fmt: skip


def _end(outage: Outage) -> tuple[int, int] | None:
    return None if outage.end is None else (outage.end.lo, outage.end.hi)


MEASURE = ClientFailureLongest()
