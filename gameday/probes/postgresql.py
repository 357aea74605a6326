# SPDX-License-Identifier: Apache-2.0
"""``postgresql``: role, timeline, write-ahead log and heartbeat of a server. Nodes: Python 3.9.

The lag columns of ``pg_stat_replication`` are NULL while a standby is idle or stuck. So a look also
reads positions, which never go away, and beats: a row that looks at the primary count up, and looks
at a standby find as old as the standby's data is. When a beat was written is known by the run's own
time, so no clock of any server is believed.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Callable, Dict, Mapping

from gameday.probes import pgsql, sql
from gameday.probes.base import Failed, Outcome, Schedule, Target, Value
from gameday.probes.deadline import Deadline

STATUS = """
SELECT CASE WHEN r THEN 'standby' ELSE 'primary' END,
  CASE WHEN r THEN NULL ELSE ('x' || substr(pg_walfile_name(w), 1, 8))::bit(32)::int END,
  CASE WHEN r THEN pg_last_wal_receive_lsn() - '0/0'::pg_lsn ELSE w - '0/0'::pg_lsn END,
  CASE WHEN r THEN pg_last_wal_replay_lsn() - '0/0'::pg_lsn END,
  CASE WHEN r OR EXISTS (SELECT 1 FROM pg_stat_replication WHERE state IS NULL) THEN NULL
    ELSE (SELECT count(*) FROM pg_stat_replication WHERE state = 'streaming') END,
  CASE WHEN r THEN NULL ELSE (SELECT max(w - replay_lsn) FROM pg_stat_replication) END,
  CASE WHEN r THEN NULL ELSE (SELECT max(extract(epoch FROM replay_lag) * 1000)
    FROM pg_stat_replication) END
FROM (SELECT r, CASE WHEN r THEN NULL ELSE pg_current_wal_lsn() END AS w
  FROM (SELECT pg_is_in_recovery() AS r) AS a) AS b
"""
NAMES = ("role", "timeline", "wal_bytes", "replayed_bytes", "standbys", "lag_bytes", "lag_ms")

BEAT = """
INSERT INTO {table} AS t (id, n, timeline, at)
VALUES (1, 1, ('x' || substr(pg_walfile_name(pg_current_wal_lsn()), 1, 8))::bit(32)::int,
  clock_timestamp())
ON CONFLICT (id) DO UPDATE SET n = t.n + 1, timeline = excluded.timeline, at = excluded.at
RETURNING n, timeline
"""
FOUND = """
SELECT n, timeline, (extract(epoch FROM clock_timestamp() - at) * 1000)::bigint
FROM {table} WHERE id = 1
"""
BEATS = ("beat", "beat_timeline", "beat_age_ms")


@dataclass(frozen=True)
class PostgresqlParams(pgsql.PgParams):
    """Parameters of the PostgreSQL probe, beside those of every probe of an SQL server.

    Attributes:
        heartbeat: table that a look at the primary writes a row of and a look at a standby reads,
            with its schema; "" for none.
    """

    heartbeat: str = field(
        default="", metadata={"pattern": r"^([a-z_][a-z0-9_]*(\.[a-z_][a-z0-9_]*)?)?$"}
    )


class Postgresql:
    """What a server says of itself, over a new connection."""

    kind = "postgresql"
    Params: type = PostgresqlParams
    summary = "role, timeline, write-ahead log, lag and heartbeat row of PostgreSQL servers"
    fan_out = "each"
    carries = pgsql.CARRIES
    listens = False
    needs_target = staticmethod(sql.needs_target)

    def sampler(
        self, params: PostgresqlParams, node: str, target: Target, schedule: Schedule
    ) -> Callable[[], Outcome]:
        """Each look logs in anew."""
        server = sql.Server.of(params, target)
        sql.ready("pg8000.native")

        def look() -> Outcome:
            value: Dict[str, Any] = {}
            try:
                with pgsql.session(server, Deadline(schedule.timeout_ns)) as session:
                    value.update(_named(NAMES, session.run(STATUS)))
                    if params.heartbeat:
                        value.update(_beat(session, params.heartbeat, value))
            except pgsql.Refused as error:
                return Failed(error.reason, value)
            return Value(value)

        return look


def _beat(session: pgsql.Session, table: str, value: Mapping[str, Any]) -> Dict[str, Any]:
    """A beat more on a primary; the last one that came on a standby, if any has.

    Raises:
        pgsql.Refused: where it cannot be written or read.
    """
    if value["role"] == "primary":
        return _named(BEATS[:2], session.run(BEAT.format(table=table)))
    rows = session.run(FOUND.format(table=table))
    return _named(BEATS, rows) if rows else {}


def _named(names: Any, rows: Any) -> Dict[str, Any]:
    if len(rows) != 1 or len(rows[0]) != len(names):
        raise pgsql.Refused("protocol: not the row that was asked for")
    found = {name: x for name, x in zip(names, rows[0]) if x is not None}  # noqa: B905 - 3.9
    # A standby may have replayed more by the time its row is read than the position read before.
    return {name: x if name == "role" else max(0, int(x)) for name, x in found.items()}


PROBE = Postgresql()
