# SPDX-License-Identifier: Apache-2.0
"""``client-failure-total``: how long a user's requests failed, all outages together."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from gameday.measures.base import Measurement, Part, Unit
from gameday.measures.client_window import User, users
from gameday.measures.common import unknown
from gameday.measures.words import count, seconds_between
from gameday.record.record import Record


@dataclass(frozen=True)
class ClientFailureTotalParams:
    """Parameters of ``client-failure-total``.

    Attributes:
        probe: an http probe at the users' vantage.
        fault: which fault's window counts; the first of the experiment where it is empty.
    """

    probe: str
    fault: str = ""


class ClientFailureTotal:
    """All outages that at least one request saw, added up, of the worst-served user."""

    kind = "client-failure-total"
    unit: Unit = "ns"
    Params: type = ClientFailureTotalParams
    summary = "total time without service of a user between onset and the end of recovery"

    def measure(self, name: str, params: ClientFailureTotalParams, record: Record) -> Measurement:
        """Sum of each user's outages; the bounds are those of the worst-served user.

        Raises:
            EvidenceError: where the plan or the record lacks what is asked for.
        """
        window, found, reason = users(record, params.probe, params.fault)
        if reason:
            return unknown(name, self.kind, self.unit, reason)
        lo = max(_sum_lo(user) for user in found)
        details = {"outages": sum(len(user.outages) for user in found)}
        evidence = tuple(_sentence(user) for user in found)
        if any(o.hi is None for user in found for o in user.outages):
            return Measurement(
                name, self.kind, self.unit, "never", lo, details=details, evidence=evidence,
                reason="requests still failed, or were missing, when the watch ended",
            )  # fmt: skip
        worst = max(found, key=_sum_hi)
        parts = _parts([part for outage in worst.outages for part in outage.parts])
        return Measurement(
            name, self.kind, self.unit, "measured", lo, min(_sum_hi(worst), window.width), parts,
            details=details, evidence=evidence,
        )  # fmt: skip


def _sum_lo(user: User) -> int:
    return sum(outage.lo for outage in user.outages)


def _sum_hi(user: User) -> int:
    return sum(outage.hi or 0 for outage in user.outages)


def _parts(parts: Sequence[Part]) -> tuple[Part, ...]:
    """Parts of the same name added up."""
    sums: dict[str, int] = {}
    for part in parts:
        sums[part.name] = sums.get(part.name, 0) + part.size
    return tuple(Part(name, size) for name, size in sums.items())


def _sentence(user: User) -> str:
    stretches = ", ".join(seconds_between(o.lo, o.hi) for o in user.outages[:10])
    more = f" and {len(user.outages) - 10} more" if len(user.outages) > 10 else ""
    many = count(len(user.outages), "outage")
    return f"{user.vantage}: {many}" + (f" of {stretches}{more}" if stretches else "")


MEASURE = ClientFailureTotal()
