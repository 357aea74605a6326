# SPDX-License-Identifier: Apache-2.0
"""One bound on a whole look, however many socket operations it takes. Nodes: Python 3.9."""

from __future__ import annotations

import http.client
import json
import socket
import ssl
import subprocess
from typing import Any, Dict, Mapping, Optional, Sequence, Tuple

from gameday import clock
from gameday.errors import InvalidInput
from gameday.probes.stream import Secure, Stream, connect

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

    def share(self, parts: int) -> Deadline:
        """A deadline for one of ``parts`` equal pieces of what is left; never past this one.

        Raises:
            TimeoutError: where nothing is left.
        """
        return Deadline(max(1, int(self.left_s() * clock.NS_PER_S) // max(1, parts)))


def request(  # noqa: PLR0917 - an HTTP request has that many parts
    where: Tuple[str, int],
    method: str,
    path: str,
    deadline: Deadline,
    body: Optional[bytes] = None,
    headers: Optional[Mapping[str, str]] = None,
    secure: Optional[Secure] = None,
    most: int = BODY_BYTES_MAX,
) -> Tuple[int, Dict[str, str], bytes]:
    """One HTTP request to (host, port), anew: (status, headers in lower case, body up to most).

    Raises:
        TimeoutError: past the deadline. OSError: as the socket or TLS says.
        http.client.HTTPException: where the answer is not HTTP.
    """
    with connect(where, deadline.left_s, secure) as stream:
        return exchange(stream, method, path, body, headers, most)


def exchange(  # noqa: PLR0917 - as many as a request
    stream: Stream,
    method: str,
    path: str,
    body: Optional[bytes] = None,
    headers: Optional[Mapping[str, str]] = None,
    most: int = BODY_BYTES_MAX,
) -> Tuple[int, Dict[str, str], bytes]:  # fmt: skip
    """One HTTP request over a connection that is open; raises like ``request``."""
    connection = http.client.HTTPConnection(stream.host)
    # HTTPConnection wants a socket; a stream is what it uses of one, and keeps the deadline.
    connection.sock = stream
    connection.request(method, path, body=body, headers=dict(headers or {}))
    answer = connection.getresponse()
    content = answer.read(most)
    return answer.status, {k.lower(): v for k, v in answer.getheaders()}, content


def post_json(
    stream: Stream, path: str, data: Mapping[str, Any]
) -> Tuple[int, Dict[str, Any]]:  # fmt: skip
    """POST JSON, get (status, JSON object); raises like ``request``, and ValueError."""
    headers = {"Content-Type": "application/json"}
    status, _, content = exchange(stream, "POST", path, json.dumps(data).encode(), headers)
    found = json.loads(content or b"{}")
    return status, found if isinstance(found, dict) else {}


def run(argv: Sequence[str], deadline: Deadline) -> subprocess.CompletedProcess[bytes]:
    """A program to its end, whatever its exit status.

    Raises:
        TimeoutError: past the deadline. OSError: where it cannot be run.
    """
    try:
        return subprocess.run(
            list(argv), stdin=subprocess.DEVNULL, capture_output=True, timeout=deadline.left_s(),
            check=False,
        )  # fmt: skip
    except subprocess.TimeoutExpired as error:
        raise TimeoutError(deadline.word()) from error


def failure_word(error: Exception, deadline: Deadline) -> str:
    """A stable first word for what went wrong on the way."""
    if isinstance(error, (TimeoutError, socket.timeout)):
        return deadline.word()
    if isinstance(error, ConnectionRefusedError):
        return "refused: nothing listens"
    if isinstance(error, InvalidInput):
        found = f"credentials: {error.message}"
    elif isinstance(error, ssl.SSLCertVerificationError):
        found = f"certificate: {error.verify_message}"
    elif isinstance(error, ssl.SSLError):
        found = f"tls: {error.reason or error}"
    elif isinstance(error, OSError):
        found = f"network: {error.strerror or error}"
    else:
        found = f"protocol: {type(error).__name__}: {error}"
    return found[:200]
