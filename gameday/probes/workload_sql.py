# SPDX-License-Identifier: Apache-2.0
"""What workloads on SQL databases share: two tables that the user makes once, by name and by run.

    register (run, key, value, at)      what each register of a run holds
    written  (run, node, number, at)    names of the calls that wrote

Every run has rows of its own, and removes those of runs that are older than a day. Nodes: Python
3.9 syntax.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Mapping

from gameday.probes.base import Schedule, Target
from gameday.probes.sql import Server, SqlParams
from gameday.probes.workload import KEYS, check_mix

SCHEMA: Mapping[str, str] = {"pattern": r"^[a-z_][a-z0-9_]{0,62}$"}


@dataclass(frozen=True)
class SqlWorkloadParams(SqlParams):
    """Parameters of every workload on an SQL database, beside those of every probe of one.

    Attributes:
        address: who is asked instead of the server on the vantage node: where clients connect.
        schema: where both tables are (MariaDB calls it a database).
        keys: how many registers all vantages share.
        read_percent: share of reads.
        swap_percent: share of writes that want a certain value to be there; the rest write.
    """

    schema: str = field(default="gameday", metadata=SCHEMA)
    keys: int = field(default=5, metadata=KEYS)
    read_percent: int = 50
    swap_percent: int = 25

    def __post_init__(self) -> None:
        super().__post_init__()
        check_mix(self)


class Rows:
    """What a call needs to know: the server, and which rows are its own."""

    def __init__(
        self, params: SqlWorkloadParams, node: str, target: Target, schedule: Schedule
    ) -> None:
        self.server = Server.of(params, target)
        self.timeout_ns = schedule.timeout_ns
        # A run may have several workloads; their registers must not be the same.
        self.run = f"{schedule.run}/{schedule.probe}"
        self.node = node
        self.register, self.named = f"{params.schema}.register", f"{params.schema}.written"

    def given(self, **more: Any) -> Mapping[str, Any]:
        """Values of every statement, and those of this one."""
        return {"run": self.run, "node": self.node, **more}
