# SPDX-License-Identifier: Apache-2.0
"""The lab's application: writes through etcd, and has a shallow and a deep health check.

python3 app.py <site> <port> <etcd host:port>...
"""

import base64
import http.client
import json
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

SITE, PORT, MEMBERS = sys.argv[1], int(sys.argv[2]), sys.argv[3:]
WRITE_TIMEOUT_S = 0.7
COUNTS = {"ok": 0, "failed": 0}
LOCK = threading.Lock()


def write() -> bool:
    """A linearizable write through the first of the site's members that answers."""
    body = json.dumps(
        {
            "key": base64.b64encode(("app/" + SITE).encode()).decode(),
            "value": base64.b64encode(b"order").decode(),
        }
    )
    for member in MEMBERS:
        connection = http.client.HTTPConnection(member, timeout=WRITE_TIMEOUT_S)
        try:
            connection.request("POST", "/v3/kv/put", body)
            if connection.getresponse().status == 200:
                return True
        except (OSError, http.client.HTTPException):
            continue
        finally:
            connection.close()
    return False


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        if self.path == "/healthz":
            self.answer(200, "ok\n")
        elif self.path == "/metrics":
            lines = [f'app_requests_total{{result="{key}"}} {n}' for key, n in COUNTS.items()]
            self.answer(200, "\n".join(lines) + "\n")
        elif self.path in ("/", "/healthz/deep"):
            good = write()
            with LOCK:
                COUNTS["ok" if good else "failed"] += 1
            self.answer(200 if good else 503, "written\n" if good else "no quorum\n")
        else:
            self.answer(404, "not found\n")

    do_HEAD = do_GET  # noqa: N815 - the name that http.server calls

    def answer(self, status: int, text: str) -> None:
        body = text.encode()
        self.send_response(status)
        self.send_header("Content-Type", "text/plain; version=0.0.4")
        self.send_header("Content-Length", str(len(body)))
        self.send_header("X-Gameday-Site", SITE)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        """Silent: nginx in front of it has the access log."""


ThreadingHTTPServer.daemon_threads = True
ThreadingHTTPServer(("0.0.0.0", PORT), Handler).serve_forever()  # noqa: S104 - in its own namespace
