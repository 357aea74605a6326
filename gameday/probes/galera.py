# SPDX-License-Identifier: Apache-2.0
"""``galera``: what a member of a Galera cluster says of itself. Nodes: Python 3.9 syntax.

``SHOW GLOBAL STATUS`` is answered without a quorum, too. ``wsrep_flow_control_paused`` is a share
of the time since somebody last reset it, so the counter of nanoseconds is read instead.
"""

from __future__ import annotations

import contextlib
import struct
from dataclasses import dataclass
from typing import Any, Callable, Dict, Iterator, Mapping, Optional

from gameday.errors import InvalidInput
from gameday.probes import sql
from gameday.probes.base import Failed, Outcome, Schedule, Target, Value
from gameday.probes.deadline import Deadline, failure_word

TEXTS = {
    "cluster_status": "wsrep_cluster_status",
    "state": "wsrep_local_state_comment",
    "cluster_uuid": "wsrep_cluster_state_uuid",
}
NUMBERS = {
    "cluster_size": "wsrep_cluster_size",
    "paused_ns": "wsrep_flow_control_paused_ns",
    "flow_control_sent": "wsrep_flow_control_sent",
    "flow_control_received": "wsrep_flow_control_recv",
    "recv_queue": "wsrep_local_recv_queue",
    "send_queue": "wsrep_local_send_queue",
    "last_committed": "wsrep_last_committed",
}
SWITCHES = {"ready": "wsrep_ready", "connected": "wsrep_connected"}
NEEDED = ("cluster_status", "cluster_size", "state", "ready", "paused_ns", "recv_queue")

SQL = "SHOW GLOBAL STATUS LIKE 'wsrep%'"


@dataclass(frozen=True)
class GaleraParams(sql.SqlParams):
    """Parameters of the Galera probe: those of every probe of an SQL server."""

    port: int = 3306


class Galera:
    """The cluster as one member sees it, over a new connection."""

    kind = "galera"
    Params: type = GaleraParams
    summary = "cluster status, size, state, flow control and queues of Galera members"
    fan_out = "each"
    carries = ("PyMySQL",)
    listens = False
    needs_target = staticmethod(sql.needs_target)

    def sampler(
        self, params: GaleraParams, node: str, target: Target, schedule: Schedule
    ) -> Callable[[], Outcome]:
        """Each look logs in anew: a connection kept open would hide that none can be made."""
        server = sql.Server.of(params, target)
        sql.ready("pymysql.cursors")

        def look() -> Outcome:
            deadline = Deadline(schedule.timeout_ns)
            from pymysql.err import Error  # type: ignore[import-untyped]

            try:
                return told(_ask(server, deadline))
            except InvalidInput as error:
                return Failed(failure_word(error, deadline))
            except Error as error:
                return Failed(_word(error, deadline))
            except (OSError, ValueError, LookupError, ArithmeticError) as error:
                return Failed(sql.late_or(failure_word(error, deadline), deadline))
            except (struct.error, TypeError, AttributeError, AssertionError) as error:
                return Failed(sql.late_or(f"protocol: {type(error).__name__}", deadline))

        return look


def _ask(server: sql.Server, until: Deadline) -> Dict[str, str]:
    # None leaves the server's own autocommit: nothing is set that is not needed.
    with login(server, until, None) as link, link.cursor() as cursor:
        cursor.execute(SQL)
        return {str(name).lower(): str(text) for name, text in cursor.fetchall()}


@contextlib.contextmanager
def login(server: sql.Server, until: Deadline, autocommit: Optional[bool]) -> Iterator[Any]:
    """A connection of pymysql over a line of ours, which keeps the deadline."""
    from pymysql.connections import Connection  # type: ignore[import-untyped]

    password, secure = server.password(), server.secure()
    with server.line(until) as sock:
        link = Connection(
            host=server.name, user=server.params.user, password=password,
            database=server.params.database or None, program_name="gameday",
            autocommit=autocommit, defer_connect=True, read_timeout=until.left_s(),
            ssl=secure.context if secure else None, ssl_disabled=secure is None,
        )  # fmt: skip
        link.connect(sock)
        yield link


def told(status: Mapping[str, str]) -> Outcome:
    """What the status says; a server without Galera fails the look."""
    value: Dict[str, Any] = {}
    for name, variable in TEXTS.items():
        if variable in status:
            value[name] = status[variable]
    for name, variable in NUMBERS.items():
        if variable in status:
            value[name] = int(status[variable])
    for name, variable in SWITCHES.items():
        if variable in status:
            value[name] = status[variable].upper() == "ON"
    missing = [name for name in NEEDED if name not in value]
    if missing:
        every = {**TEXTS, **NUMBERS, **SWITCHES}
        return Failed(f"no Galera: the server has no {every[missing[0]]}", value)
    return Value(value)


def _word(error: Exception, deadline: Deadline) -> str:
    """The server's error number and message, or that nothing came in time; never a secret."""
    code, text = (*error.args, "", "")[:2]
    if isinstance(code, int) and 1000 <= code < 2000:
        return f"server: {code} {text}"[:160]
    return sql.late_or(f"protocol: {code} {text}", deadline)


PROBE = Galera()
