# SPDX-License-Identifier: Apache-2.0
"""``client-failure-share``: how many of the users' requests failed, in parts per million."""

from __future__ import annotations

from dataclasses import dataclass

from gameday.measures.base import Measurement, Part, Unit
from gameday.measures.client_window import users
from gameday.measures.common import unknown
from gameday.measures.words import count
from gameday.record.record import Record

PPM = 1_000_000


@dataclass(frozen=True)
class ClientFailureShareParams:
    """Parameters of ``client-failure-share``.

    Attributes:
        probe: an http probe at the users' vantage.
        fault: which fault's window counts; the first of the experiment where it is empty.
    """

    probe: str
    fault: str = ""


class ClientFailureShare:
    """Share of the users' requests that failed between onset and the end of recovery."""

    kind = "client-failure-share"
    unit: Unit = "ppm"
    Params: type = ClientFailureShareParams
    summary = "share of user requests that failed between onset and the end of recovery"

    def measure(self, name: str, params: ClientFailureShareParams, record: Record) -> Measurement:
        """Failed over all requests due in the window.

        A request that is missing from the record, and one at the window's border, may have
        failed or not: the lower bound takes it as good, the upper as failed.

        Raises:
            EvidenceError: where the plan or the record lacks what is asked for.
        """
        window, found, reason = users(record, params.probe, params.fault)
        if reason:
            return unknown(name, self.kind, self.unit, reason)
        failed = sum(user.failed for user in found)
        border = sum(user.border for user in found)
        missing = sum(user.missing for user in found)
        total = sum(user.requests for user in found) + border + missing
        lo = failed * PPM // total
        hi = min(PPM, -(-(failed + border + missing) * PPM // total))
        parts = [Part("rounding", 1)]
        if missing:
            parts.insert(0, Part("missing samples", -(-missing * PPM // total)))
        if border:
            parts.insert(0, Part("window border", -(-border * PPM // total)))
        evidence = tuple(
            f"{user.vantage}: {count(user.failed, 'failed request')} of {user.requests}"
            + (f", {user.missing} missing" if user.missing else "")
            for user in found
        )
        return Measurement(
            name, self.kind, self.unit, "measured", lo, hi, tuple(parts),
            details={"failed": failed, "total": total, "missing": missing, "border": border},
            evidence=evidence, start=(window.lo, window.lo), end=(window.hi, window.hi),
        )  # fmt: skip


MEASURE = ClientFailureShare()
