# SPDX-License-Identifier: Apache-2.0
"""Tell others that a drill begins, and how it ended: webhooks, as an inventory's policy names them.

A webhook's URL is a secret: whoever has it can write there. It is read from an environment
variable or a file at the moment it is used and stands in no message; that is also why errors of
the HTTP library, which may repeat it, are put into words here. Each webhook has a thread of its
own, so that none is waited for longer than its time-out, whatever blocks inside.
"""

from __future__ import annotations

import http.client
import json
import os
import queue
import ssl
import threading
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from gameday import __version__, clock
from gameday.drills.told import slack_text
from gameday.errors import CannotRun
from gameday.plan.policy import Announcement
from gameday.transport.pinned import open_keys

ANSWER_BYTES_MAX = 65_536
URL_BYTES_MAX = 8192
HEADERS = {"Content-Type": "application/json", "User-Agent": f"gameday/{__version__}"}

Body = Mapping[str, Any]


class CannotTell(Exception):
    """One announcement was not taken; the text says why, without the URL."""


class Announcer:
    """Webhooks of a policy. Make it before the controller moves to a network namespace.

    Args:
        announcements: of the policy. say: is told, in a sentence, what could not be announced.
    """

    def __init__(self, announcements: Sequence[Announcement], say: Callable[[str], None]) -> None:
        self._lines = [_Line(one) for one in announcements]
        self._say = say

    def begins(self, body: Body) -> None:
        """Announce what is about to happen.

        Raises:
            CannotRun: where an announcement that is required was not taken. Those that were
                are told so.
        """
        failed = self._tell(body)
        required = [text for line, text in failed if line.announcement.required]
        if required:
            self.ends({**body, "event": "refused", "why": "a required announcement failed"})
            raise CannotRun(
                "an announcement that is required was not taken; nothing was begun",
                "see gameday_policy.announcements", problems=required,
            )  # fmt: skip

    def ends(self, body: Body) -> None:
        """Announce a result; what fails is said and changes nothing."""
        self._tell(body)

    def _tell(self, body: Body) -> list[tuple[_Line, str]]:
        for line in self._lines:
            line.send(body)
        failed = [(line, said) for line in self._lines if (said := line.answer())]
        for _, said in failed:
            self._say(f"not announced: {said}")
        return failed


class _Line:
    """One webhook and its thread, which dies with the process."""

    def __init__(self, announcement: Announcement) -> None:
        self.announcement = announcement
        self._asked: queue.Queue[tuple[Body, queue.Queue[str]]] = queue.Queue()
        self._answer: queue.Queue[str] = queue.Queue()
        self._deadline_ns = 0
        name = f"announce-{announcement.name}"
        threading.Thread(target=self._work, name=name, daemon=True).start()

    def send(self, body: Body) -> None:
        # A later answer to an earlier question goes to a queue that nobody reads.
        self._answer = queue.Queue()
        self._deadline_ns = clock.mono_ns() + self.announcement.timeout_s * clock.NS_PER_S
        self._asked.put((body, self._answer))

    def answer(self) -> str:
        """Why it was not taken; empty where it was."""
        left_s = max(0.0, (self._deadline_ns - clock.mono_ns()) / clock.NS_PER_S)
        try:
            return self._answer.get(timeout=left_s)
        except queue.Empty:
            timeout_s = self.announcement.timeout_s
            return f"{self.announcement.name}: no answer within {timeout_s} s"

    def _work(self) -> None:
        while True:
            body, answer = self._asked.get()
            try:
                post(self.announcement, body)
            except CannotTell as error:
                answer.put(f"{self.announcement.name}: {error}")
            except Exception as error:  # noqa: BLE001 - a traceback could repeat the URL
                answer.put(f"{self.announcement.name}: failed ({type(error).__name__})")
            else:
                answer.put("")


def post(announcement: Announcement, body: Body) -> None:
    """Send one announcement.

    Raises:
        CannotTell: why it was not taken.
    """
    data = {"text": slack_text(body)} if announcement.format == "slack" else body
    request_url = url_of(announcement)
    try:
        context = ssl.create_default_context()
        if announcement.ca_file:
            context.load_verify_locations(announcement.ca_file)
        request = urllib.request.Request(  # noqa: S310 - url_of lets https and loopback through
            request_url, json.dumps(data).encode(), HEADERS, method="POST"
        )
        opener = urllib.request.build_opener(
            _NoRedirects, urllib.request.HTTPSHandler(context=context)
        )
        with opener.open(request, timeout=announcement.timeout_s) as answer:
            answer.read(ANSWER_BYTES_MAX)
    except urllib.error.HTTPError as error:
        raise CannotTell(f"HTTP status {error.code}") from None
    except (OSError, http.client.HTTPException, ValueError) as error:
        raise CannotTell(_why(error)) from None


def url_of(announcement: Announcement) -> str:
    """The URL of a webhook.

    Raises:
        CannotTell: where there is none that may be used.
    """
    if announcement.url_env:
        where, text = f"environment variable {announcement.url_env}", os.environ.get(
            announcement.url_env, ""
        )  # fmt: skip
    else:
        where, text = announcement.url_file, _read(announcement.url_file)
    url = text.strip()
    if not url:
        raise CannotTell(f"{where} holds no URL")
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname or "", parts.port
    except ValueError:
        raise CannotTell(f"{where} holds something that is no URL") from None
    loopback = parts.scheme == "http" and host in ("localhost", "127.0.0.1", "::1")
    if not host or not (parts.scheme == "https" or loopback) or any(c.isspace() for c in url):
        raise CannotTell(f"{where} holds no https URL")
    return url


def missing(announcements: Sequence[Announcement]) -> list[str]:
    """What keeps announcements from being made, without making one."""
    found = []
    for one in announcements:
        try:
            url_of(one)
            if one.ca_file:
                ssl.create_default_context(cafile=one.ca_file)
        except CannotTell as error:
            found.append(f"announcement {one.name}: {error}")
        except OSError as error:
            found.append(f"announcement {one.name}: {one.ca_file}: {_why(error)}")
    return found


class _NoRedirects(urllib.request.HTTPRedirectHandler):
    """A webhook that moved is told as such: a drill's text goes nowhere else by itself."""

    def redirect_request(self, *arguments: Any, **named: Any) -> None:
        return None


def _read(path: str) -> str:
    try:
        with open(path, encoding="utf-8") as file:
            text = file.read(URL_BYTES_MAX)
    except (OSError, UnicodeDecodeError) as error:
        raise CannotTell(f"{path}: {_why(error)}") from None
    if open_keys([str(Path(path))]):
        raise CannotTell(f"{path} may be read by others: chmod 600 {path}")
    return text


def _why(error: BaseException) -> str:
    """A failure in words that cannot hold the URL: only what the system or TLS says."""
    reason = error.reason if isinstance(error, urllib.error.URLError) else error
    if isinstance(reason, ssl.SSLCertVerificationError):
        return f"its certificate was refused: {reason.verify_message}"
    if isinstance(reason, TimeoutError):
        return "no answer in time"
    if isinstance(reason, OSError) and reason.strerror:
        return reason.strerror
    return f"no answer that can be read ({type(reason).__name__})"
