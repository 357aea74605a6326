# SPDX-License-Identifier: Apache-2.0
"""Where alerts come from: a webhook with a token, Prometheus, a file, the journal."""

from __future__ import annotations

import json
import os
import socket
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from gameday import clock
from gameday.clock import NS_PER_S
from gameday.errors import InvalidInput
from gameday.probes import alertmanager, journal, log_line, prometheus
from gameday.probes.base import Failed, Outcome, Schedule, Target, Value
from gameday.probes.deadline import Deadline, request
from gameday.probes.secret import check_reference, read_secret
from gameday.probes.tail import LINE_BYTES_MAX, Tail

SCHEDULE = Schedule(2 * NS_PER_S, 2 * NS_PER_S)
NOWHERE = Target("prometheus", ())


class Heard:
    """Collects what a listener emits."""

    def __init__(self) -> None:
        self.items: list[tuple[str, Outcome, int | None]] = []
        self._more = threading.Condition()

    def __call__(self, target: str, outcome: Outcome, since_ns: int | None = None) -> None:
        with self._more:
            self.items.append((target, outcome, since_ns))
            self._more.notify_all()

    def wait_for(self, count: int) -> list[tuple[str, Outcome, int | None]]:
        with self._more:
            assert self._more.wait_for(lambda: len(self.items) >= count, 20), self.items
        return self.items


def until(true: Callable[[], object]) -> None:
    """Wait for a condition, long enough for a busy machine."""
    end = clock.mono_ns() + 20 * NS_PER_S
    while not true():
        assert clock.mono_ns() < end, "it did not come true"
        threading.Event().wait(0.02)


def free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


def test_secrets_are_references(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ValueError, match="never the secret") as error:
        check_reference("token", "hunter2")
    assert "hunter2" not in str(error.value)
    kept = tmp_path / "token"
    kept.write_text("abc\n")
    kept.chmod(0o644)
    with pytest.raises(InvalidInput, match="nobody but its owner"):
        read_secret(f"file:{kept}")
    kept.chmod(0o600)
    assert read_secret(f"file:{kept}") == "abc"
    with pytest.raises(InvalidInput, match="cannot be read"):
        read_secret(f"file:{tmp_path}/none")
    monkeypatch.setenv("GAMEDAY_TEST_TOKEN", "xyz")
    assert read_secret("env:GAMEDAY_TEST_TOKEN") == "xyz"
    with pytest.raises(InvalidInput, match="holds no secret"):
        read_secret("env:GAMEDAY_TEST_NONE")


def test_webhook_wants_its_token(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ValueError, match="name a token"):
        alertmanager.WebhookParams(address="0.0.0.0")  # noqa: S104 - what is to be refused
    monkeypatch.setenv("GAMEDAY_TEST_TOKEN", "s3cret")
    port, heard = free_port(), Heard()
    params = alertmanager.WebhookParams(port=port, token="env:GAMEDAY_TEST_TOKEN")  # noqa: S106
    listening = alertmanager.PROBE.listen(params, heard)
    body = json.dumps({"alerts": [{"status": "firing", "labels": {"alertname": "A"}}]}).encode()

    def post(path: str, content: bytes = body) -> int:
        where = ("127.0.0.1", port)
        return request(where, "POST", path, Deadline(5 * NS_PER_S), content)[0]

    try:
        assert post("/") == post("/other") == post("/s3cret/") == 404
        assert not heard.items
        assert post("/s3cret") == 200
        assert [item[0] for item in heard.wait_for(1)] == ["A"]
        # Only announced: a server that refuses a body unread resets the line of who still sends it.
        size = {"Content-Length": str(alertmanager.BODY_BYTES_MAX + 1)}
        where = ("127.0.0.1", port)
        refused = request(where, "POST", "/s3cret", Deadline(5 * NS_PER_S), b"", size)
        assert refused[0] == 413
        assert listening.trouble() == ""
    finally:
        listening.close()


ANSWERS: list[tuple[int, dict[str, Any], Outcome]] = [
    (200, {"status": "success", "data": {"resultType": "vector", "result": []}},
     Value({"state": "inactive", "series": 0, "labels": [], "value": ""})),
    (200, {"status": "success", "data": {"resultType": "vector", "result": [
        {"metric": {"__name__": "ALERTS", "alertname": "A", "alertstate": "pending"},
         "value": [1763913600.123, "1"]},
        {"metric": {"__name__": "ALERTS", "alertname": "A", "alertstate": "firing",
                    "site": "frankfurt"}, "value": [1763913600.123, "1"]}]}},
     Value({"state": "firing", "series": 1, "value": "1",
            "labels": ["__name__=ALERTS", "alertname=A", "alertstate=firing", "site=frankfurt"]})),
    (200, {"status": "success", "data": {"resultType": "vector", "result": [
        {"metric": {"job": "etcd"}, "value": [1763913600.123, "0.25"]}]}},
     Value({"state": "firing", "series": 1, "labels": ["job=etcd"], "value": "0.25"})),
    (200, {"status": "success", "data": {"resultType": "scalar", "result": [1, "0"]}},
     Value({"state": "inactive", "series": 1, "labels": [], "value": "0"})),
    (200, {"status": "success", "data": {"resultType": "scalar", "result": [1, "NaN"]}},
     Value({"state": "inactive", "series": 1, "labels": [], "value": "NaN"})),
    (200, {"status": "success", "warnings": ["store lon-2 did not answer"],
           "data": {"resultType": "vector", "result": []}},
     Failed("partial: store lon-2 did not answer")),
    (400, {"status": "error", "errorType": "bad_data", "error": "parse error"},
     Failed("query: bad_data: parse error")),
    (200, {"status": "success", "data": {"resultType": "matrix", "result": []}},
     Failed("query: its result is a matrix; a vector or a scalar is wanted")),
    (502, {}, Failed("protocol: status 502, not an answer of the query API")),
]  # fmt: skip


@pytest.mark.parametrize(("status", "answer", "wanted"), ANSWERS)
def test_what_prometheus_says(status: int, answer: dict[str, Any], wanted: Outcome) -> None:
    assert prometheus.parse(status, json.dumps(answer).encode()) == wanted


def test_prometheus_parameters() -> None:
    url = "http://127.0.0.1:9090"
    params = prometheus.PrometheusParams(url, alert='A"B', labels={"site": "x"})
    assert prometheus.alert_query(params) == 'ALERTS{alertname="A\\"B",site="x"}'
    for wrong in ({}, {"alert": "A", "query": "up"}, {"query": "up", "labels": {"a": "b"}},
                  {"query": "up", "token": "plain"}):  # fmt: skip
        with pytest.raises(ValueError):
            prometheus.PrometheusParams(url, **wrong)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="by reference"):
        prometheus.PrometheusParams("http://me:pw@127.0.0.1:9090", query="up")


@pytest.fixture
def api() -> Iterator[tuple[int, list[tuple[str, str, bytes]]]]:
    """A server that answers as Prometheus does, and what it was asked."""
    asked: list[tuple[str, str, bytes]] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            asked.append((self.path, self.headers.get("Authorization", ""), body))
            self.send_response(200)
            self.end_headers()
            data = {"resultType": "vector", "result": []}
            self.wfile.write(json.dumps({"status": "success", "data": data}).encode())

        def log_message(self, format: str, *args: object) -> None:
            """Silent."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    yield server.server_address[1], asked
    server.shutdown()
    server.server_close()


def test_prometheus_is_asked_with_its_token(
    api: tuple[int, list[tuple[str, str, bytes]]], tmp_path: Path
) -> None:
    port, asked = api
    token = tmp_path / "token"
    token.write_text("t0ken")
    token.chmod(0o600)
    params = prometheus.PrometheusParams(
        f"http://127.0.0.1:{port}/prom/", query="up == 0", token=f"file:{token}"
    )
    look = prometheus.PROBE.sampler(params, "mon-1", NOWHERE, SCHEDULE)
    assert isinstance(look(), Value)
    assert asked == [("/prom/api/v1/query", "Bearer t0ken", b"query=up+%3D%3D+0")]
    token.chmod(0o644)
    refused = look()
    assert isinstance(refused, Failed) and refused.reason.startswith("credentials: file:")
    assert len(asked) == 1


def test_a_file_is_followed_through_rotation(tmp_path: Path) -> None:
    path = tmp_path / "app.log"
    path.write_text("old\n")
    tail = Tail(str(path))
    with path.open("a") as writer:
        writer.write("one\ntw")
        writer.flush()
        assert tail.read() == [b"one"]
        writer.write("o\n")
        writer.flush()
        assert tail.read() == [b"two"]
        path.rename(tmp_path / "app.log.1")
        writer.write("late one, rotated\n")
        writer.flush()
        assert tail.read() == [b"late one, rotated"], "the name stands for nothing yet"
        path.write_text("three\n")
        assert tail.read() == [b"three"]
        writer.write("later, rotated\n")
        writer.flush()
        assert tail.read() == [b"later, rotated"], "its program has not opened the new file yet"
    path.write_text("4\n")
    assert tail.read() == [b"4"], "truncated in place"
    with path.open("ab") as writer2:
        writer2.write(b"x" * (3 * LINE_BYTES_MAX) + b"\nfive\n")
    assert tail.read() == [b"x" * LINE_BYTES_MAX, b"five"]
    tail.close()


def test_a_line_in_a_file(tmp_path: Path) -> None:
    path, heard = tmp_path / "etcd.log", Heard()
    params = log_line.LogLineParams(r"lost leader \w+", file=str(path))
    listening = log_line.PROBE.listen(params, heard)
    try:
        assert listening.trouble() == f"{path}: no such file"
        path.write_text("started\n")
        until(lambda: listening.trouble() == "")
        began = clock.mono_ns()
        with path.open("a") as file:
            file.write("raft: lost leader a1 password=hunter2\nall well\n")
        target, outcome, since = heard.wait_for(1)[0]
        assert (target, outcome) == ("line", Value({"line": "lost leader a1"}))
        assert since is not None and since <= clock.mono_ns()
        assert since > began - 20 * NS_PER_S
    finally:
        listening.close()
    assert len(heard.items) == 1


def test_a_flood_is_said(tmp_path: Path) -> None:
    path, heard = tmp_path / "noisy.log", Heard()
    path.write_text("")
    listening = log_line.PROBE.listen(log_line.LogLineParams("x", file=str(path)), heard)
    path.write_text("x\n" * (log_line.MATCHES_MAX + 5))
    until(lambda: listening.trouble().startswith("flood: 1005"))
    listening.close()
    assert len(heard.items) == log_line.MATCHES_MAX


def test_log_line_parameters() -> None:
    for wrong in ({"pattern": "("}, {"pattern": "x", "file": "/a", "unit": "b"},
                  {"pattern": "x", "file": "relative"}):  # fmt: skip
        with pytest.raises(ValueError):
            log_line.LogLineParams(**wrong)


ENTRY = {
    "__CURSOR": "s=1", "__REALTIME_TIMESTAMP": "1763913600123456",
    "__MONOTONIC_TIMESTAMP": "81234567", "_BOOT_ID": "1b4e28ba2fa111d2883f0016d3cca427",
    "MESSAGE": "lost leader",
}  # fmt: skip
BOOT = "1b4e28ba-2fa1-11d2-883f-0016d3cca427"


def test_journal_entries() -> None:
    def parse(**changes: Any) -> Any:
        return journal.parse(json.dumps({**ENTRY, **changes}).encode(), BOOT)

    assert parse() == (b"lost leader", 81_234_567_000)
    assert parse(_BOOT_ID="00") == (b"lost leader", None)
    assert parse(MESSAGE=[108, 111, 255]) == (b"lo\xff", 81_234_567_000)
    assert parse(MESSAGE=None) is None
    for wrong in (b"not json", b"[]", b"{}"):
        with pytest.raises(ValueError):
            journal.parse(wrong, BOOT)
    assert journal.command("etcd.service")[-1] == "--unit=etcd.service"


def test_a_journal_that_ends_is_said(tmp_path: Path) -> None:
    """A program that prints one recorded entry stands for journalctl."""
    recorded = tmp_path / "entries.json"
    stamp = (clock.mono_ns() - 5 * NS_PER_S) // 1000
    recorded.write_text(
        json.dumps({**ENTRY, "_BOOT_ID": clock.boot_id().replace("-", ""),
                    "__MONOTONIC_TIMESTAMP": str(stamp)}) + "\n"
    )  # fmt: skip
    heard = Heard()
    listening = log_line.JournalListening(["cat", str(recorded)], log_line.Matches("lost", heard))
    assert heard.wait_for(1) == [("line", Value({"line": "lost"}), stamp * 1000)]
    until(lambda: listening.trouble() == "journalctl ended with 0")
    listening.close()
    assert os.path.exists(recorded)
