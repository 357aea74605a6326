# SPDX-License-Identifier: Apache-2.0
"""``alertmanager-webhook``: stamps the moment at which Alertmanager tells us of an alert.

The receiver runs on the vantage: the monitoring node, where alerts are stamped and kept even
while the controller cannot be reached, or the controller where no such vantage exists.
"""

from __future__ import annotations

import hmac
import json
import socket
import struct
import threading
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Dict, List, Tuple

from gameday import clock
from gameday.probes.base import Emit, Failed, Listening, Outcome, Value
from gameday.probes.secret import check_reference, read_secret

BODY_BYTES_MAX = 1 << 20
SENDER_S = 10
"""A sender that is slower than this is hung up on, so that nobody can hold threads for ever."""

INFO_BYTES, LAST_DATA_RECV = 104, 52
"""Of ``struct tcp_info``: how much is asked for, and where ``tcpi_last_data_recv`` (ms) lies."""

TICK_NS = 10 * clock.NS_PER_MS
"""The kernel counts these milliseconds in timer ticks, at the longest of this length."""


@dataclass(frozen=True)
class WebhookParams:
    """Parameters of ``alertmanager-webhook``.

    Attributes:
        port: where Alertmanager's webhook_config points to on this node.
        address: the address to listen on.
        token: where the last part of the URL's path is that a sender must know, as env:NAME or
            file:/path on the vantage; wanted for every address that others can reach.
    """

    port: int = 9099
    address: str = "127.0.0.1"
    token: str = ""

    def __post_init__(self) -> None:
        check_reference("token", self.token)
        if not self.token and self.address not in ("127.0.0.1", "::1"):
            raise ValueError(
                f"others can reach {self.address}: name a token (env:NAME or file:/path), and "
                "put it at the end of the URL in Alertmanager"
            )


class AlertmanagerWebhook:
    """A webhook receiver."""

    kind = "alertmanager-webhook"
    Params: type = WebhookParams
    summary = "the moment at which Alertmanager's webhook tells of an alert"
    fan_out = "none"
    listens = True

    def listen(self, params: WebhookParams, emit: Emit) -> Listening:
        """Serve until closed; every alert of every notification becomes a sample."""
        return Server(params, read_secret(params.token) if params.token else "", emit)


class Server(ThreadingHTTPServer):
    """Receives notifications; answers once they are written down."""

    allow_reuse_address = True
    daemon_threads = True

    def __init__(self, params: WebhookParams, token: str, emit: Emit) -> None:
        self.path, self.emit = f"/{token}".encode(), emit
        self.address_family = socket.AF_INET6 if ":" in params.address else socket.AF_INET
        super().__init__((params.address, params.port), Handler)
        self._thread = threading.Thread(target=self.serve_forever, args=(0.1,), daemon=True)
        self._thread.start()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Senders that hang up are no news; what a notification says is in the samples."""

    def trouble(self) -> str:
        """Why nobody is listening; empty while somebody is."""
        return "" if self._thread.is_alive() else "the receiver has ended"

    def close(self) -> None:
        """Stop serving."""
        self.shutdown()
        self.server_close()


class Handler(BaseHTTPRequestHandler):
    """One notification."""

    timeout = SENDER_S

    def do_POST(self) -> None:
        """Write down what it tells, where the sender knows the token."""
        server = self.server
        if not isinstance(server, Server):
            return
        size = self.headers.get("Content-Length", "")
        if len(server.path) > 1 and not hmac.compare_digest(self.path.encode(), server.path):
            status = 404
        elif not size.isdecimal():
            status = 411
        elif int(size) > BODY_BYTES_MAX:
            status = 413
        else:
            body = self.rfile.read(int(size))
            since_ns = arrived_ns(self.connection)
            for target, outcome in parse(body):
                server.emit(target, outcome, since_ns)
            status = 200
        self.send_response(status)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, format: str, *args: Any) -> None:
        """Nothing is logged: the samples say it all, and the path is a secret."""


def arrived_ns(connection: socket.socket) -> int:
    """A moment (monotonic) after which the last bytes arrived that a connection has received.

    A busy node runs the receiver late, by more than any clock is off; its kernel knows.
    """
    now = clock.mono_ns()
    info = connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, INFO_BYTES)
    (since_ms,) = struct.unpack_from("=I", info, LAST_DATA_RECV)
    return now - int(since_ms) * clock.NS_PER_MS - TICK_NS


def parse(body: bytes) -> List[Tuple[str, Outcome]]:
    """(alert name, what was said) for each alert of one notification (webhook version 4)."""
    try:
        data: Dict[str, Any] = json.loads(body)
        return [_alert(alert) for alert in data["alerts"]]
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        return [("listener", Failed(f"protocol: not a notification: {error}"[:200]))]


def _alert(alert: Dict[str, Any]) -> Tuple[str, Outcome]:
    labels = alert["labels"]
    value = {
        "status": str(alert["status"]),
        "labels": sorted(f"{k}={v}" for k, v in labels.items()),
        "starts_at": str(alert.get("startsAt", "")),
    }
    return str(labels["alertname"]), Value(value)


PROBE = AlertmanagerWebhook()
