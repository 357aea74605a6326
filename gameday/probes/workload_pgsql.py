# SPDX-License-Identifier: Apache-2.0
"""``postgresql-workload``: calls on rows of PostgreSQL, each one statement in a login of its own.

One statement is one transaction: what a write changes and the name that it leaves behind are there
together or not at all. Nodes: Python 3.9 syntax.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Callable, List, Optional, Tuple

from gameday.probes import pgsql, sql
from gameday.probes.base import Outcome, Schedule, Target
from gameday.probes.deadline import Deadline
from gameday.probes.workload import CallFailed, Mix, Workload
from gameday.probes.workload_sql import Rows, SqlWorkloadParams

CLEAN = "DELETE FROM {table} WHERE run <> :run AND at < now() - interval '1 day'"
READ = "SELECT value FROM {register} WHERE run = :run AND key = :key"
WRITE = """
WITH n AS (INSERT INTO {named} (run, node, number) VALUES (:run, :node, :number))
INSERT INTO {register} (run, key, value) VALUES (:run, :key, :value)
ON CONFLICT (run, key) DO UPDATE SET value = excluded.value
"""
SWAP = """
WITH u AS ({change} RETURNING 1),
n AS (INSERT INTO {named} (run, node, number) SELECT :run, :node, :number
  WHERE EXISTS (SELECT 1 FROM u))
SELECT (SELECT count(*) FROM u), (SELECT value FROM {register} WHERE run = :run AND key = :key)
"""
FIRST = (
    "INSERT INTO {register} (run, key, value) VALUES (:run, :key, :value) ON CONFLICT DO NOTHING"
)
LATER = "UPDATE {register} SET value = :value WHERE run = :run AND key = :key AND value = :was"
WRITTEN = "SELECT node, number FROM {named} WHERE run = :run"


@dataclass(frozen=True)
class PostgresqlWorkloadParams(SqlWorkloadParams):
    """Parameters of ``postgresql-workload``; see ``SqlWorkloadParams``."""

    port: int = 5432
    database: str = "postgres"


class PgRows:
    """Registers in PostgreSQL; see ``Store``."""

    def __init__(self, rows: Rows) -> None:
        self._rows = rows

    def prepare(self) -> bool:
        """Rows of old runs go; it also shows that both tables are there."""
        for table in (self._rows.register, self._rows.named):
            self._run(CLEAN.format(table=table))
        return True

    def read(self, key: str) -> str:
        """A row, or none."""
        found = self._run(READ, key=key)
        return str(found[0][0]) if found else ""

    def write(self, key: str, number: int, value: str) -> None:
        """One statement for both rows."""
        self._run(WRITE, key=key, number=number, value=value)

    def swap(self, key: str, number: int, value: str, was: str) -> Optional[str]:
        """Where another call is faster, what is told was there when this one began."""
        change = (LATER if was else FIRST).format(register=self._rows.register)
        given = {"key": key, "number": number, "value": value}
        if was:
            given["was"] = was
        found = self._run(SWAP.replace("{change}", change), **given)
        done, held = found[0]
        return None if int(done) else str(held or "")

    def written(self, after: str) -> Tuple[List[Tuple[str, int]], str]:
        """All names at once, so of one moment."""
        return [(str(node), int(number)) for node, number in self._run(WRITTEN)], ""

    def _run(self, statement: str, **more: Any) -> List[List[Any]]:
        rows = self._rows
        text = statement.format(register=rows.register, named=rows.named)
        given = {k: v for k, v in rows.given(**more).items() if f":{k}" in text}
        try:
            with pgsql.session(rows.server, Deadline(rows.timeout_ns)) as session:
                return session.run(text, **given)
        except pgsql.Refused as error:
            raise CallFailed(error.reason, "no" if error.undone else "maybe") from error


class PostgresqlWorkload:
    """Reads, writes and compare-and-set on shared rows, each call recorded."""

    kind = "postgresql-workload"
    Params: type = PostgresqlWorkloadParams
    summary = "a call on shared rows of PostgreSQL, each with its own name"
    fan_out = "self"
    carries = pgsql.CARRIES
    listens = False

    def sampler(
        self, params: PostgresqlWorkloadParams, node: str, target: Target, schedule: Schedule
    ) -> Callable[[], Outcome]:
        """Each look makes one call; the last ones read everything."""
        sql.ready("pg8000.native")
        mix = Mix(params.keys, params.read_percent, params.swap_percent)
        return Workload(PgRows(Rows(params, node, target, schedule)), mix, node, schedule)


WORKLOAD = PostgresqlWorkload()
