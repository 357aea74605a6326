# SPDX-License-Identifier: Apache-2.0
"""Statements over PostgreSQL's protocol, by the carried library pg8000. Nodes: Python 3.9."""

from __future__ import annotations

import contextlib
import struct
from dataclasses import dataclass
from typing import Any, Iterator, List

from gameday.errors import InvalidInput
from gameday.probes.deadline import Deadline, failure_word
from gameday.probes.sql import Server, SqlParams, late_or

CARRIES = ("pg8000",)


@dataclass(frozen=True)
class PgParams(SqlParams):
    """Parameters of every probe that speaks PostgreSQL's protocol; see ``SqlParams``."""

    port: int = 5432
    database: str = "postgres"


class Refused(Exception):
    """No answer, or one that is an error.

    Attributes:
        reason: in words; never a secret.
        code: the server's SQLSTATE; "" where it said nothing.
        undone: whether what was asked has certainly taken no effect, once the line was there.
    """

    def __init__(self, reason: str, code: str = "", undone: bool = False) -> None:
        super().__init__(reason)
        self.reason, self.code, self.undone = reason, code, undone


class Session:
    """A login; each statement is a transaction of its own."""

    def __init__(self, link: Any, until: Deadline) -> None:
        self._link, self._until = link, until

    def run(self, sql: str, **given: Any) -> List[List[Any]]:
        """Rows of one statement; ``:name`` in it stands for a value.

        Raises:
            Refused: why there are none.
        """
        with _words(self._until):
            rows: List[List[Any]] = self._link.run(sql, **given) or []
            return rows


@contextlib.contextmanager
def session(server: Server, until: Deadline) -> Iterator[Session]:
    """A login of its own for one look: one kept open would hide that none can be made.

    Raises:
        Refused: why there is none; with ``undone``, since nothing was asked yet.
    """
    with contextlib.ExitStack() as stack:
        try:
            with _words(until):
                link = _login(server, until, stack)
        except Refused as error:
            raise Refused(error.reason, error.code, undone=True) from error
        yield Session(link, until)
        with contextlib.suppress(_library_error(), OSError):
            link.close()


def answers(server: Server, until: Deadline) -> bool:
    """Whether a statement over a new login is answered as it must be.

    Raises:
        Refused: why it is not.
    """
    with session(server, until) as one:
        if one.run("SELECT 1") != [[1]]:
            raise Refused("protocol: not the row that was asked for")
    return True


def _login(server: Server, until: Deadline, stack: contextlib.ExitStack) -> Any:
    from pg8000.native import Connection  # type: ignore[import-untyped]

    password, secure = server.password(), server.secure()
    sock = stack.enter_context(server.line(until))
    return Connection(
        server.params.user, password=password or None, database=server.params.database or None,
        sock=sock, host=server.name, ssl_context=secure.context if secure else False,
        application_name="gameday",
    )  # fmt: skip


def _library_error() -> Any:
    from pg8000.exceptions import Error  # type: ignore[import-untyped]

    return Error


@contextlib.contextmanager
def _words(until: Deadline) -> Iterator[None]:
    """Everything that can go wrong as ``Refused``."""
    try:
        yield
    except InvalidInput as error:
        raise Refused(failure_word(error, until)) from error
    except (OSError, ValueError, LookupError, ArithmeticError) as error:
        raise Refused(late_or(failure_word(error, until), until)) from error
    except (struct.error, TypeError, AttributeError) as error:
        raise Refused(late_or(f"protocol: {type(error).__name__}", until)) from error
    except _library_error() as error:
        raise _told(error, until) from error


def _told(error: Exception, until: Deadline) -> Refused:
    said = error.args[0] if error.args else ""
    if not isinstance(said, dict):
        return Refused(late_or(f"protocol: {said}", until))
    code, severity = str(said.get("C", "")), str(said.get("V", said.get("S", "")))
    # An ERROR rolls its transaction back; FATAL may come after a commit that nobody confirmed.
    return Refused(f"server: {code} {said.get('M', '')}"[:160], code, severity == "ERROR")
