# SPDX-License-Identifier: Apache-2.0
"""``cockroachdb``: whether a node takes clients, and how whole its ranges are. Nodes: Python 3.9.

Its HTTP port tells both: /health?ready=1 as load balancers ask it, /_status/vars for ranges. Where
``sql_port`` is given, a statement has to be answered too.
"""

from __future__ import annotations

import http.client
import json
from dataclasses import dataclass
from typing import Any, Callable, Dict

from gameday.probes import exposition, pgsql, sql
from gameday.probes.base import Failed, Outcome, Schedule, Target, Value
from gameday.probes.deadline import Deadline, failure_word, request

READY, VARS = "/health?ready=1", "/_status/vars"
VARS_BYTES_MAX = 16 << 20
"""Newer servers have thousands of metrics."""

GAUGES: Dict[str, str] = {
    "ranges_unavailable": "ranges_unavailable",
    "ranges_underreplicated": "ranges_underreplicated",
    "live_nodes": "liveness_livenodes",
}
"""By the name in a sample: CockroachDB's own. Stores of one node are added up."""


@dataclass(frozen=True)
class CockroachdbParams(pgsql.PgParams):
    """Parameters of ``cockroachdb``, beside those of every probe of an SQL server.

    Attributes:
        port: of HTTP. sql_port: of SQL, where a statement shall be answered too; 0 for not.
        ranges: whether metrics are read as well; a node that is not ready may still tell them.
    """

    port: int = 8080
    database: str = "defaultdb"
    sql_port: int = 0
    ranges: bool = True


class Cockroachdb:
    """One node, as a load balancer and a monitor see it."""

    kind = "cockroachdb"
    Params: type = CockroachdbParams
    summary = "readiness, unavailable and under-replicated ranges of CockroachDB nodes"
    fan_out = "each"
    carries = pgsql.CARRIES
    listens = False
    needs_target = staticmethod(sql.needs_target)

    def sampler(
        self, params: CockroachdbParams, node: str, target: Target, schedule: Schedule
    ) -> Callable[[], Outcome]:
        """Each look asks anew."""
        server = sql.Server.of(params, target)
        if params.sql_port:
            sql.ready("pg8000.native")

        def look() -> Outcome:
            deadline = Deadline(schedule.timeout_ns)
            value: Dict[str, Any] = {}
            try:
                if params.ranges:
                    value.update(_ranges(server, deadline))
                not_ready = _not_ready(server, deadline)
                value["ready"] = not not_ready
                if not_ready:
                    return Failed(not_ready, value)
                if params.sql_port:
                    value["answered"] = pgsql.answers(server.at(params.sql_port), deadline)
            except pgsql.Refused as error:
                return Failed(error.reason, value)
            except (OSError, http.client.HTTPException, ValueError) as error:
                return Failed(failure_word(error, deadline), value)
            return Value(value)

        return look


def _not_ready(server: sql.Server, deadline: Deadline) -> str:
    """Why the node takes no clients; empty where it does.

    Raises:
        ValueError: for an answer that says neither.
    """
    status, _, content = request(server.where, "GET", READY, deadline, secure=server.secure())
    if status == 200:
        return ""
    if status != 503:
        raise ValueError(f"status: {status} to {READY}")
    try:
        said = json.loads(content)
        why = str(said.get("error") or said.get("message") or "") if isinstance(said, dict) else ""
    except ValueError:
        why = ""
    return f"not ready: {why}"[:160].rstrip(": ")


def _ranges(server: sql.Server, deadline: Deadline) -> Dict[str, int]:
    """The gauges; raises ValueError where one is missing."""
    status, _, content = request(
        server.where, "GET", VARS, deadline, secure=server.secure(), most=VARS_BYTES_MAX
    )
    if status != 200:
        raise ValueError(f"status: {status} to {VARS}")
    if len(content) >= VARS_BYTES_MAX:
        raise ValueError(f"protocol: {VARS} is longer than {VARS_BYTES_MAX} bytes")
    found = exposition.sums(content.decode(), GAUGES.values())
    return {short: exposition.whole(name, found[name]) for short, name in GAUGES.items()}


PROBE = Cockroachdb()
