# SPDX-License-Identifier: Apache-2.0
"""``alertmanager-webhook``: stamps the moment at which Alertmanager tells us of an alert.

The receiver runs on the vantage node (the monitoring node), so alerts are stamped and kept
there even while the controller cannot be reached.
"""

from __future__ import annotations

import json
import threading
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Callable, Dict, List, Tuple

from gameday.probes.base import Failed, Outcome, Value

BODY_BYTES_MAX = 1 << 20


@dataclass(frozen=True)
class WebhookParams:
    """Parameters of ``alertmanager-webhook``.

    Attributes:
        port: where Alertmanager's webhook_config points to on this node.
        address: the address to listen on.
    """

    port: int = 9099
    address: str = "127.0.0.1"


class AlertmanagerWebhook:
    """A webhook receiver."""

    kind = "alertmanager-webhook"
    Params: type = WebhookParams
    summary = "the moment at which Alertmanager's webhook tells of an alert"
    fan_out = "none"
    listens = True

    def listen(
        self, params: WebhookParams, emit: Callable[[str, Outcome], None]
    ) -> Callable[[], None]:
        """Serve until closed; every alert of every notification becomes a sample."""

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                size = min(int(self.headers.get("Content-Length", 0)), BODY_BYTES_MAX)
                for target, outcome in parse(self.rfile.read(size)):
                    emit(target, outcome)
                self.send_response(200)
                self.end_headers()

            def log_message(self, format: str, *args: Any) -> None:
                """Nothing is logged: the samples say it all."""

        ThreadingHTTPServer.allow_reuse_address = True
        server = ThreadingHTTPServer((params.address, params.port), Handler)
        threading.Thread(target=server.serve_forever, args=(0.1,), daemon=True).start()

        def close() -> None:
            server.shutdown()
            server.server_close()

        return close


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
