# SPDX-License-Identifier: Apache-2.0
"""``yugabytedb``: what a master says of tablet servers and tablets. Nodes: Python 3.9 syntax.

The leader answers /api/v1/health-check on a master's HTTP port; what another master answers instead
is a failed look. Where ``sql_port`` is given, a statement (YSQL) has to be answered too.
"""

from __future__ import annotations

import http.client
import json
from dataclasses import dataclass
from typing import Any, Callable, Dict

from gameday.probes import pgsql, sql
from gameday.probes.base import Failed, Outcome, Schedule, Target, Value
from gameday.probes.deadline import BODY_BYTES_MAX, Deadline, failure_word, request

HEALTH = "/api/v1/health-check"
LISTS: Dict[str, str] = {
    "dead_nodes": "dead_nodes",
    "tablets_underreplicated": "under_replicated_tablets",
}
"""By the name in a sample: YugabyteDB's own list, of which the length is told."""


@dataclass(frozen=True)
class YugabytedbParams(pgsql.PgParams):
    """Parameters of ``yugabytedb``, beside those of every probe of an SQL server.

    Attributes:
        port: of a master's HTTP. sql_port: of YSQL at the same address, where a statement shall be
            answered too; 0 for not.
    """

    port: int = 7000
    database: str = "yugabyte"
    sql_port: int = 0


class Yugabytedb:
    """The cluster as its master leader sees it."""

    kind = "yugabytedb"
    Params: type = YugabytedbParams
    summary = "dead tablet servers and under-replicated tablets of a YugabyteDB cluster"
    fan_out = "each"
    carries = pgsql.CARRIES
    listens = False
    needs_target = staticmethod(sql.needs_target)

    def sampler(
        self, params: YugabytedbParams, node: str, target: Target, schedule: Schedule
    ) -> Callable[[], Outcome]:
        """Each look asks anew."""
        server = sql.Server.of(params, target)
        if params.sql_port:
            sql.ready("pg8000.native")

        def look() -> Outcome:
            deadline = Deadline(schedule.timeout_ns)
            value: Dict[str, Any] = {}
            try:
                value.update(_health(server, deadline))
                if params.sql_port:
                    value["answered"] = pgsql.answers(server.at(params.sql_port), deadline)
            except pgsql.Refused as error:
                return Failed(error.reason, value)
            except (OSError, http.client.HTTPException, ValueError) as error:
                return Failed(failure_word(error, deadline), value)
            return Value(value)

        return look


def _health(server: sql.Server, deadline: Deadline) -> Dict[str, int]:
    status, _, content = request(server.where, "GET", HEALTH, deadline, secure=server.secure())
    if status != 200:
        raise ValueError(f"status: {status} to {HEALTH}")
    if len(content) >= BODY_BYTES_MAX:
        raise ValueError(f"protocol: {HEALTH} is longer than {BODY_BYTES_MAX} bytes")
    return told(json.loads(content))


def told(answer: Any) -> Dict[str, int]:
    """How long both lists are.

    Raises:
        ValueError: where one is missing: an answer that does not mention dead nodes says nothing.
    """
    if not isinstance(answer, dict):
        raise ValueError("protocol: not a JSON object")
    if "error" in answer:
        raise ValueError(f"server: {answer['error']}"[:160])
    found = {}
    for short, name in LISTS.items():
        if not isinstance(answer.get(name), list):
            raise ValueError(f"protocol: {name} is missing")
        found[short] = len(answer[name])
    return found


PROBE = Yugabytedb()
