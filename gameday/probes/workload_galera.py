# SPDX-License-Identifier: Apache-2.0
"""``galera-workload``: calls on rows of a Galera cluster. Each is one transaction of its own login.

A transaction that another member's write runs into is rolled back whole, at the commit at the
latest, and then certainly did nothing. Nodes: Python 3.9 syntax.
"""

from __future__ import annotations

import contextlib
import struct
from dataclasses import dataclass
from typing import Any, Callable, Iterator, List, Optional, Tuple

from gameday.errors import InvalidInput
from gameday.probes import galera, sql
from gameday.probes.base import Outcome, Schedule, Target
from gameday.probes.deadline import Deadline, failure_word
from gameday.probes.workload import CallFailed, Mix, Workload
from gameday.probes.workload_sql import Rows, SqlWorkloadParams

CAUSAL = "SET SESSION wsrep_sync_wait = 1"
"""Reads wait until everything that was committed anywhere before is there."""

CLEAN = "DELETE FROM {table} WHERE run <> %(run)s AND at < now() - INTERVAL 1 DAY"
READ = "SELECT value FROM {register} WHERE run = %(run)s AND `key` = %(key)s"
NAME = "INSERT INTO {named} (run, node, number) VALUES (%(run)s, %(node)s, %(number)s)"
WRITE = """
INSERT INTO {register} (run, `key`, value) VALUES (%(run)s, %(key)s, %(value)s)
ON DUPLICATE KEY UPDATE value = %(value)s
"""
WRITTEN = "SELECT node, number FROM {named} WHERE run = %(run)s"

SERVER_ERRORS = range(1000, 2000)
"""Numbers of errors that a server said; those of the library are above."""

COMMIT_OPEN = (1180, 1047)
"""Errors of a commit that leave it open: it could not be told whether it was certified."""


@dataclass(frozen=True)
class GaleraWorkloadParams(SqlWorkloadParams):
    """Parameters of ``galera-workload``; see ``SqlWorkloadParams``.

    Attributes:
        causal: reads wait for what was committed before on any member; without it they may be
            stale, as users see them who do not ask for that.
    """

    port: int = 3306
    causal: bool = True


class GaleraRows:
    """Registers in Galera; see ``Store``."""

    def __init__(self, rows: Rows, causal: bool) -> None:
        self._rows, self._causal = rows, causal

    def prepare(self) -> bool:
        """Rows of old runs go; it also shows that both tables are there."""
        with self._transaction() as ask:
            for table in (self._rows.register, self._rows.named):
                ask(CLEAN.format(table=table))
        return True

    def read(self, key: str) -> str:
        """A row, or none."""
        with self._transaction() as ask:
            found = ask(READ, key=key)
        return str(found[0][0]) if found else ""

    def write(self, key: str, number: int, value: str) -> None:
        """Both rows in one transaction."""
        with self._transaction() as ask:
            ask(NAME, number=number)
            ask(WRITE, key=key, value=value)

    def swap(self, key: str, number: int, value: str, was: str) -> Optional[str]:
        """The row is locked here; a write on another member makes the commit fail."""
        with self._transaction() as ask:
            found = ask(READ + " FOR UPDATE", key=key)
            held = str(found[0][0]) if found else ""
            if held == was:
                ask(NAME, number=number)
                ask(WRITE, key=key, value=value)
        return None if held == was else held

    def written(self, after: str) -> Tuple[List[Tuple[str, int]], str]:
        """All names at once, so of one moment."""
        with self._transaction() as ask:
            found = ask(WRITTEN)
        return [(str(node), int(number)) for node, number in found], ""

    @contextlib.contextmanager
    def _transaction(self) -> Iterator[Callable[..., List[Any]]]:
        """A login, BEGIN and, where all went well, COMMIT; raises CallFailed."""
        deadline = Deadline(self._rows.timeout_ns)
        committing = False
        try:
            with galera.login(self._rows.server, deadline, False) as link, link.cursor() as cursor:
                if self._causal:
                    cursor.execute(CAUSAL)
                link.begin()

                def ask(statement: str, **more: Any) -> List[Any]:
                    rows = self._rows
                    text = statement.format(register=rows.register, named=rows.named)
                    cursor.execute(text, dict(rows.given(**more)))
                    return list(cursor.fetchall())

                yield ask
                committing = True
                link.commit()
        except InvalidInput as error:
            raise CallFailed(failure_word(error, deadline), "no") from error
        except _library_error() as error:
            raise _failed(error, committing, deadline) from error
        except (OSError, ValueError, LookupError, ArithmeticError) as error:
            # Without a COMMIT that the server took, a line that is cut rolls everything back.
            word = sql.late_or(failure_word(error, deadline), deadline)
            raise CallFailed(word, "maybe" if committing else "no") from error
        except (struct.error, TypeError, AttributeError, AssertionError) as error:
            word = sql.late_or(f"protocol: {type(error).__name__}", deadline)
            raise CallFailed(word, "maybe" if committing else "no") from error


def _library_error() -> Any:
    from pymysql.err import Error  # type: ignore[import-untyped]

    return Error


def _failed(error: Exception, committing: bool, deadline: Deadline) -> CallFailed:
    """Whether the transaction was certainly rolled back, by who said what, and when."""
    code, text = (*error.args, "", "")[:2]
    if isinstance(code, int) and code in SERVER_ERRORS:
        sure = not committing or code not in COMMIT_OPEN
        return CallFailed(f"server: {code} {text}"[:160], "no" if sure else "maybe")
    word = sql.late_or(f"protocol: {code} {text}", deadline)
    return CallFailed(word[:160], "maybe" if committing else "no")


class GaleraWorkload:
    """Reads, writes and compare-and-set on shared rows, each call recorded."""

    kind = "galera-workload"
    Params: type = GaleraWorkloadParams
    summary = "a call on shared rows of a Galera cluster, each with its own name"
    fan_out = "self"
    carries = ("PyMySQL",)
    listens = False

    def sampler(
        self, params: GaleraWorkloadParams, node: str, target: Target, schedule: Schedule
    ) -> Callable[[], Outcome]:
        """Each look makes one call; the last ones read everything."""
        sql.ready("pymysql.cursors")
        mix = Mix(params.keys, params.read_percent, params.swap_percent)
        rows = Rows(params, node, target, schedule)
        return Workload(GaleraRows(rows, params.causal), mix, node, schedule)


WORKLOAD = GaleraWorkload()
