# SPDX-License-Identifier: Apache-2.0
"""A webhook's server on loopback, which keeps what it is told."""

from __future__ import annotations

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

SECRET = "T0SECRET/B0SECRET/very-secret-token"  # noqa: S105 - what must never be seen


class Hooks:
    """Listens until it is closed.

    Attributes:
        told: bodies, in order. status: what it answers with; None never answers.
    """

    def __init__(self) -> None:
        self.told: list[dict[str, Any]] = []
        self.status: int | None = 200
        self._end = threading.Event()
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self._server.daemon_threads = True
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    @property
    def url(self) -> str:
        """With the secret in its path, as Slack's have it."""
        return f"http://127.0.0.1:{self._server.server_address[1]}/services/{SECRET}"

    def close(self) -> None:
        """Let go of everybody who still waits."""
        self._end.set()
        self._server.shutdown()
        self._server.server_close()

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        hooks = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                assert self.path == f"/services/{SECRET}"
                hooks.told.append(json.loads(body))
                if hooks.status is None:
                    hooks._end.wait(120)
                    return
                self.send_response(hooks.status)
                self.send_header("Location", hooks.url)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *arguments: Any) -> None:
                """Says nothing."""

        return Handler
