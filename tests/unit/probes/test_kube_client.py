# SPDX-License-Identifier: Apache-2.0
"""The client of API servers, against a server that answers as it is told to.

What a real kube-apiserver says is asked in tests/kube.
"""

from __future__ import annotations

import base64
import json
import socket
import ssl
import tempfile
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from gameday.probes.kube_client import MERGE_PATCH, ApiFailed, Client, same_cluster
from tests.certificates import Authority

Answer = Callable[[BaseHTTPRequestHandler], None]


def says(status: int, body: Any) -> Answer:
    """An answer of JSON."""

    def answer(handler: BaseHTTPRequestHandler) -> None:
        data = json.dumps(body).encode()
        handler.send_response(status)
        handler.send_header("Content-Length", str(len(data)))
        handler.end_headers()
        handler.wfile.write(data)

    return answer


class Server:
    """Gives one answer after the other, the last one for ever; keeps what it was asked."""

    def __init__(self, directory: Path) -> None:
        self.answers: list[Answer] = []
        self.asked: list[tuple[str, str, dict[str, str], Any]] = []
        self.over = threading.Event()
        outer = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def handle_any(self) -> None:
                size = int(self.headers.get("Content-Length") or 0)
                body = json.loads(self.rfile.read(size)) if size else None
                outer.asked.append((self.command, self.path, dict(self.headers), body))
                answer = outer.answers.pop(0) if len(outer.answers) > 1 else outer.answers[0]
                answer(self)

            do_GET = do_PATCH = do_POST = do_PUT = do_DELETE = handle_any  # noqa: N815

            def log_message(self, *_: Any) -> None:
                """Quiet."""

        self.http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.port = self.http.server_address[1]
        threading.Thread(target=self.http.serve_forever, daemon=True).start()
        self.kubeconfig = directory / "kubeconfig"
        self.write("first-token")

    def write(self, token: str, scheme: str = "http") -> dict[str, Any]:
        """A kubeconfig with a token; returns the cluster."""
        self.kubeconfig.write_text(json.dumps({
            "apiVersion": "v1", "kind": "Config", "current-context": "other",
            "clusters": [
                {"name": "c", "cluster": {"server": f"{scheme}://127.0.0.1:{self.port}"}}
            ],
            "users": [{"name": "u", "user": {"token": token}}],
            "contexts": [{"name": "east", "context": {"cluster": "c", "user": "u"}}],
        }), encoding="utf-8")  # fmt: skip
        return {"kubeconfig": str(self.kubeconfig), "context": "east", "in_cluster": False}

    def close(self) -> None:
        self.over.set()
        self.http.shutdown()
        self.http.server_close()


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    one = Server(tmp_path)
    yield one
    one.close()


@pytest.fixture
def client(server: Server) -> Iterator[Client]:
    one = Client(server.write("first-token"))
    yield one
    one.close()


def failed(ask: Callable[[], Any]) -> tuple[int, str]:
    with pytest.raises(ApiFailed) as caught:
        ask()
    assert "token" not in str(caught.value)
    return caught.value.status, caught.value.reason


def test_json_there_and_back(server: Server, client: Client) -> None:
    server.answers = [says(200, {"kind": "Node"})]
    patch = {"spec": {"unschedulable": True}}
    got = client.request("PATCH", "/api/v1/nodes/a", patch, {"dryRun": "All"},
                         content_type=MERGE_PATCH)  # fmt: skip
    assert got == {"kind": "Node"}
    method, path, headers, body = server.asked[0]
    assert (method, path, body) == ("PATCH", "/api/v1/nodes/a?dryRun=All", patch)
    assert headers["Content-Type"] == MERGE_PATCH
    assert headers["Authorization"] == "Bearer first-token"


@pytest.mark.parametrize(
    ("status", "reason"),
    [(403, "forbidden"), (404, "not-found"), (409, "conflict"), (410, "gone"), (422, "server"),
     (429, "server"), (500, "server"), (503, "server")],
)  # fmt: skip
def test_statuses(server: Server, client: Client, status: int, reason: str) -> None:
    server.answers = [says(status, {"kind": "Status", "message": "why"})]
    with pytest.raises(ApiFailed, match=rf"{reason}: /api/v1/x: why"):
        client.request("GET", "/api/v1/x")
    assert failed(lambda: client.request("GET", "/api/v1/x")) == (status, reason)


def test_an_expired_token_is_read_again_once(server: Server, client: Client) -> None:
    expired = says(401, {"message": "Unauthorized"})
    server.answers = [says(200, {}), expired, says(200, {"n": 1})]
    client.request("GET", "/version")
    server.write("second-token")
    assert client.request("GET", "/version") == {"n": 1}
    used = [headers["Authorization"] for _, _, headers, _ in server.asked]
    assert used == ["Bearer first-token", "Bearer first-token", "Bearer second-token"]
    server.answers = [expired]
    assert failed(lambda: client.request("GET", "/version")) == (401, "unauthorized")
    assert len(server.asked) == 5, "once again, and not for ever"


def test_no_answer(server: Server, client: Client, tmp_path: Path) -> None:
    def hang(_: BaseHTTPRequestHandler) -> None:
        server.over.wait(10)

    server.answers = [hang]
    assert failed(lambda: client.request("GET", "/version", timeout_s=0.2)) == (0, "timeout")
    with socket.socket() as nobody:
        # Bound and not listening: whoever connects is refused.
        nobody.bind(("127.0.0.1", 0))
        cluster = server.write("x")
        text = server.kubeconfig.read_text().replace(
            f":{server.port}", f":{nobody.getsockname()[1]}"
        )
        server.kubeconfig.write_text(text)
        other = Client(cluster)
        assert failed(lambda: other.request("GET", "/version")) == (0, "refused")


def test_an_answer_that_breaks_off(server: Server, client: Client) -> None:
    def half(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(200)
        handler.send_header("Content-Length", "100")
        handler.end_headers()
        handler.wfile.write(b'{"half":')
        handler.close_connection = True

    server.answers = [half]
    assert failed(lambda: client.request("GET", "/version")) == (0, "refused")


def test_what_is_no_json_is_no_answer(server: Server, client: Client) -> None:
    server.answers = [says(200, ["a", "list"])]
    assert failed(lambda: client.request("GET", "/version")) == (200, "server")


def test_a_certificate_that_nobody_vouches_for(server: Server, tmp_path: Path) -> None:
    pair = Authority(tmp_path).sign("localhost", "127.0.0.1")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(pair.cert, pair.key)
    server.http.socket = context.wrap_socket(server.http.socket, server_side=True)
    other = Client(server.write("x", "https"))
    assert failed(lambda: other.request("GET", "/version")) == (0, "tls")


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"kubeconfig": "/nowhere/config"}, "/nowhere/config with context east cannot be used"),
        ({"context": "west"}, "with context west cannot be used"),
        ({"in_cluster": True}, "no pod with a service account"),
    ],
)
def test_configurations(server: Server, change: dict[str, Any], words: str) -> None:
    other = Client({**server.write("x"), **change})
    with pytest.raises(ApiFailed, match=words) as caught:
        other.request("GET", "/version")
    assert caught.value.reason == "config"


def test_a_broken_kubeconfig_is_not_repeated(server: Server) -> None:
    cluster = server.write("x")
    server.kubeconfig.write_text("users: [{user: {token: s3cret-token", encoding="utf-8")
    with pytest.raises(ApiFailed) as caught:
        Client(cluster).request("GET", "/version")
    assert caught.value.reason == "config" and "s3cret" not in str(caught.value)


def watches(*events: Any, then: Callable[[], Any] = lambda: None) -> Answer:
    """A watch of events, in pieces that end where no line does."""

    def answer(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(200)
        handler.send_header("Transfer-Encoding", "chunked")
        handler.end_headers()
        data = b"".join(json.dumps(event).encode() + b"\n" for event in events)
        for at in range(0, len(data), 7):
            piece = data[at : at + 7]
            handler.wfile.write(f"{len(piece):x}\r\n".encode() + piece + b"\r\n")
        handler.wfile.flush()
        then()
        handler.wfile.write(b"0\r\n\r\n")

    return answer


def test_a_watch(server: Server, client: Client) -> None:
    events = [{"type": "ADDED", "object": {"n": n}} for n in range(3)]
    server.answers = [watches(*events)]
    assert list(client.stream("/api/v1/nodes", {"resourceVersion": "7"})) == events
    assert server.asked[0][1] == "/api/v1/nodes?watch=true&resourceVersion=7"


def test_a_watch_that_is_too_old(server: Server, client: Client) -> None:
    gone = {"type": "ERROR", "object": {"code": 410, "message": "too old resource version"}}
    server.answers = [watches(gone)]
    assert failed(lambda: list(client.stream("/api/v1/nodes"))) == (410, "gone")


def test_a_watch_that_hangs(server: Server, client: Client) -> None:
    one = {"type": "ADDED", "object": {}}
    server.answers = [watches(one, then=lambda: server.over.wait(10))]
    seen: list[Any] = []

    def look() -> None:
        for event in client.stream("/api/v1/nodes", timeout_s=0.3):
            seen.append(event)

    assert failed(look) == (0, "timeout")
    assert seen == [one], "what came before is not lost"


def test_keys_of_a_kubeconfig_do_not_stay_on_disk(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    own = tmp_path / "temporary"
    own.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(own))
    pair = Authority(tmp_path).sign("localhost", "127.0.0.1")
    cluster = server.write("x", "https")
    data = json.loads(server.kubeconfig.read_text())
    data["users"][0]["user"] = {
        "client-certificate-data": base64.b64encode(pair.cert.read_bytes()).decode(),
        "client-key-data": base64.b64encode(pair.key.read_bytes()).decode(),
    }
    server.kubeconfig.write_text(json.dumps(data))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(pair.cert, pair.key)
    server.http.socket = context.wrap_socket(server.http.socket, server_side=True)
    one = Client(cluster)
    assert failed(lambda: one.request("GET", "/version")) == (0, "tls")
    assert pair.key.read_bytes() in [path.read_bytes() for path in own.iterdir()]
    one.close()
    assert list(own.iterdir()) == []


def test_one_cluster_for_two_sites() -> None:
    east = {"kubeconfig": "/k", "context": "east", "in_cluster": False}
    assert same_cluster(east, dict(east))
    assert not same_cluster(east, {**east, "context": "west"})
    assert not same_cluster(east, {"kubeconfig": "", "context": "", "in_cluster": True})
