# SPDX-License-Identifier: Apache-2.0
"""Asks Prometheus for a range, and gives back its answers byte for byte.

The only part of the package that talks to anybody. A token is named by reference, as everywhere,
so it is in no process list, and it is in no answer.
"""

from __future__ import annotations

import http.client
import ipaddress
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from urllib.parse import SplitResult, urlencode, urlsplit

from gameday.clock import NS_PER_S
from gameday.errors import CannotRun, InvalidInput
from gameday.probes.deadline import Deadline, failure_word, request
from gameday.probes.secret import check_reference, read_secret
from gameday.probes.stream import Credentials
from gameday.reproduce.series import MS_PER_S, show_time

PATH = "/api/v1/query_range"

POINTS_MAX = 11_000
"""Prometheus refuses more points of a series in one answer (web/api/v1, queryRange)."""

ANSWERS_MAX = 20
"""A window is an hour and a quiet time before it; twenty answers are sixty hours of seconds."""

ANSWER_BYTES_MAX = 32 * 1024 * 1024
TIMEOUT_NS = 60 * NS_PER_S
TEXT_MAX = 400

Span = tuple[int, int]
"""From and to, in milliseconds since the epoch."""


@dataclass(frozen=True)
class Question:
    """A range query.

    Attributes:
        url: of the server; a path before /api is kept. query: PromQL. step_ms: of the answer.
        token: a bearer token's reference, env:NAME or file:/path. ca_file: of the authority that
        signed the server's certificate; else the system's authorities count.
    """

    url: str
    query: str
    step_ms: int
    token: str = ""
    ca_file: str = ""


def spans(window: Span, quiet: Span | None, step_ms: int) -> list[Span]:
    """What to ask for: both times in order, once, none with more points than are answered.

    Raises:
        InvalidInput: where that would be too many answers.
    """
    wanted = sorted([window, *([quiet] if quiet else [])])
    if len(wanted) == 2 and wanted[1][0] - wanted[0][1] <= step_ms:
        wanted = [(wanted[0][0], max(end for _, end in wanted))]
    found: list[Span] = []
    for start, end in wanted:
        last = start + (end - start) // step_ms * step_ms
        firsts = range(start, last + 1, POINTS_MAX * step_ms)
        found += [
            (first, min(last, first + (POINTS_MAX - 1) * step_ms))
            for first in firsts[: ANSWERS_MAX + 1]
        ]
    if len(found) > ANSWERS_MAX:
        raise InvalidInput(
            f"a step of {step_ms} ms makes more than {ANSWERS_MAX} answers of {POINTS_MAX} points",
            "use a longer --step, or shorter times",
        )
    return found


def fetch(question: Question, wanted: Sequence[Span]) -> bytes:
    """The answers to a question, one a line, as they came.

    Raises:
        InvalidInput: for a question that cannot be asked, or that Prometheus refused.
        CannotRun: where it does not answer.
    """
    url = check(question)
    return b"\n".join(_one(question, url, span) for span in wanted) + b"\n"


def check(question: Question) -> SplitResult:
    """The URL's parts, where it and the token's reference are usable.

    Raises:
        InvalidInput: without repeating what may be a secret.
    """
    url = urlsplit(question.url)
    if url.username or url.password:
        raise InvalidInput("the URL holds credentials, which every user of this host can see",
                           "name a token by reference: --token env:NAME or file:/path")  # fmt: skip
    if url.scheme not in ("http", "https") or not url.hostname or url.query or not _port(url):
        raise InvalidInput(f"--prometheus {question.url!r} is not http://host:port or "
                           "https://host:port")  # fmt: skip
    try:
        check_reference("--token", question.token)
    except ValueError as error:
        raise InvalidInput(str(error)) from error
    if question.token and url.scheme == "http" and not _is_loopback(url.hostname):
        raise InvalidInput("a token would cross the network in plain text", "use https")
    return url


def _port(url: SplitResult) -> int:
    """The port that is meant; 0 for one that there is not."""
    try:
        return url.port or (80 if url.scheme == "http" else 443)
    except ValueError:
        return 0


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _one(question: Question, url: SplitResult, span: Span) -> bytes:
    host = url.hostname or ""
    body = urlencode({
        "query": question.query, "start": _s(span[0]), "end": _s(span[1]),
        "step": _s(question.step_ms),
    }).encode()  # fmt: skip
    headers = {"Content-Type": "application/x-www-form-urlencoded"}
    if question.token:
        headers["Authorization"] = f"Bearer {read_secret(question.token)}"
    deadline = Deadline(TIMEOUT_NS)
    try:
        tls = Credentials(question.ca_file, "", "") if url.scheme == "https" else None
        status, _, content = request(
            (host, _port(url)), "POST", url.path.rstrip("/") + PATH, deadline, body, headers,
            tls.secure(host) if tls else None, ANSWER_BYTES_MAX + 1,
        )  # fmt: skip
    except (OSError, http.client.HTTPException) as error:
        raise CannotRun(f"{question.url}: {failure_word(error, deadline)}",
                        "is it Prometheus' address, as seen from here?") from error  # fmt: skip
    return _checked(question, span, status, content)


def _checked(question: Question, span: Span, status: int, content: bytes) -> bytes:
    """An answer that can be kept as a line; a refusal in Prometheus' own words."""
    when = f"{show_time(span[0])} to {show_time(span[1])}"
    said = content[:TEXT_MAX].decode("utf-8", "replace").strip()
    if status in (401, 403):
        raise InvalidInput(f"{question.url}: refused with HTTP {status}", "see --token")
    if status in (400, 422):
        raise InvalidInput(f"{question.url} refuses the query for {when}: {said}", "see --query")
    if status // 100 != 2:
        raise CannotRun(f"{question.url}: HTTP {status} for {when}: {said}",
                        "redirects are not followed: name the address itself" if status // 100 == 3
                        else "try again")  # fmt: skip
    if len(content) > ANSWER_BYTES_MAX:
        raise InvalidInput(f"{question.url}: more than {ANSWER_BYTES_MAX} bytes for {when}",
                           "choose fewer series in --query")  # fmt: skip
    line = content.rstrip(b"\r\n")
    if b"\n" in line or not line.startswith(b"{"):
        raise CannotRun(f"{question.url}: HTTP {status}, and no answer of the range query API: "
                        f"{said}", "is it Prometheus' address?")  # fmt: skip
    return line


def _s(ms: int) -> str:
    """Milliseconds as decimal seconds, exactly."""
    return f"{Decimal(ms) / MS_PER_S:f}"
