# SPDX-License-Identifier: Apache-2.0
"""One bound on a whole look, however many socket operations it takes. Nodes: Python 3.9."""

from __future__ import annotations

import http.client
import json
import socket
from typing import Any, Dict, Mapping, Optional, Tuple

from gameday import clock

BODY_BYTES_MAX = 1 << 20


class Deadline:
    """Counts down from ``timeout_ns``; asks for what is left raise once it is past."""

    def __init__(self, timeout_ns: int) -> None:
        self.timeout_ns = timeout_ns
        self._end = clock.mono_ns() + timeout_ns

    def left_s(self) -> float:
        """Seconds left.

        Raises:
            TimeoutError: where none is.
        """
        left = self._end - clock.mono_ns()
        if left <= 0:
            raise TimeoutError(self.word())
        return left / clock.NS_PER_S

    def word(self) -> str:
        """ "timeout: 250 ms", as reasons have it."""
        return f"timeout: {self.timeout_ns // clock.NS_PER_MS} ms"


def request(  # noqa: PLR0917 - an HTTP request has that many parts
    where: Tuple[str, int],
    method: str,
    path: str,
    deadline: Deadline,
    body: Optional[bytes] = None,
    headers: Optional[Mapping[str, str]] = None,
) -> Tuple[int, Dict[str, str], bytes]:
    """One HTTP request to (host, port), anew: (status, headers in lower case, body).

    Raises:
        TimeoutError: past the deadline. OSError: as the socket says.
        http.client.HTTPException: where the answer is not HTTP.
    """
    connection = http.client.HTTPConnection(*where, timeout=deadline.left_s())
    try:
        connection.connect()
        connection.sock.settimeout(deadline.left_s())
        connection.request(method, path, body=body, headers=dict(headers or {}))
        connection.sock.settimeout(deadline.left_s())
        answer = connection.getresponse()
        connection_sock: Optional[socket.socket] = connection.sock
        if connection_sock is not None:
            connection_sock.settimeout(deadline.left_s())
        content = answer.read(BODY_BYTES_MAX)
        return answer.status, {k.lower(): v for k, v in answer.getheaders()}, content
    finally:
        connection.close()


def post_json(
    host: str, port: int, path: str, data: Mapping[str, Any], deadline: Deadline
) -> Tuple[int, Dict[str, Any]]:
    """POST JSON, get (status, JSON object); raises like ``request``, and ValueError."""
    body = json.dumps(data).encode()
    status, _, content = request(
        (host, port), "POST", path, deadline, body, {"Content-Type": "application/json"}
    )
    found = json.loads(content or b"{}")
    return status, found if isinstance(found, dict) else {}


def failure_word(error: Exception, deadline: Deadline) -> str:
    """A stable first word for what went wrong on the way."""
    if isinstance(error, (TimeoutError, socket.timeout)):
        return deadline.word()
    if isinstance(error, ConnectionRefusedError):
        return "refused: nothing listens"
    if isinstance(error, OSError):
        return f"network: {error.strerror or error}"
    return f"protocol: {type(error).__name__}: {error}"[:200]
