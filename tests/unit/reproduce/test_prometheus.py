# SPDX-License-Identifier: Apache-2.0
"""Prometheus as evidence, without one: its answers' text, the ranges asked for, the refusals.

``tests/lab/test_prometheus_evidence.py`` has a real one.
"""

from __future__ import annotations

import http.server
import itertools
import json
import threading
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest

from gameday.errors import CannotRun, GamedayError, InvalidInput
from gameday.reproduce.columns import Column
from gameday.reproduce.fetch import POINTS_MAX, Question, check, fetch, spans
from gameday.reproduce.prometheus import is_answer, parse, parse_labels, parse_means
from gameday.reproduce.read import Asked, read

RTT = ("rtt", Column("value", "s"))
AT = 1_772_330_400


def answer(*series: tuple[dict[str, str], list[list[Any]]], **more: Any) -> str:
    """An answer as Prometheus writes one."""
    result = [{"metric": labels, "values": points} for labels, points in series]
    return json.dumps({"status": "success", "data": {"resultType": "matrix", "result": result},
                       **more})  # fmt: skip


def told(error: GamedayError) -> str:
    return "\n".join([str(error), error.hint, *getattr(error, "problems", ())])


def test_points_are_looks_to_the_microsecond() -> None:
    text = answer(({"pair": "a"}, [[AT, "0.0123456"], [AT + 0.25, "0.02"], [AT + 1, "NaN"]]))
    looks, warnings = parse(text, "x", RTT, "")
    assert [(look.at_ms - AT * 1000, look.rtt_us) for look in looks] == [(0, 12_345), (250, 20_000)]
    assert warnings == ()


def test_losses_are_shares() -> None:
    looks, _ = parse(answer(({}, [[AT, "2.5"]])), "x", ("loss", Column("value", "percent")), "")
    assert (looks[0].rtt_us, looks[0].loss_ppm) == (None, 25_000)


def test_several_answers_are_one_series() -> None:
    one, two = answer(({"a": "1"}, [[AT, "0.1"]])), answer(({"a": "1"}, [[AT + 1, "0.2"]]))
    empty = answer()
    looks, _ = parse(f"{one}\n{empty}\n{two}\n", "x", RTT, "")
    assert [look.rtt_us for look in looks] == [100_000, 200_000]


def test_warnings_are_passed_on() -> None:
    text = answer(({}, [[AT, "0.1"]]), warnings=["one store did not answer"])
    assert parse(text, "x", RTT, "")[1] == ("one store did not answer",)


@pytest.mark.parametrize(
    ("text", "means", "path", "words"),
    [
        (answer(({"a": "1"}, [[AT, "1"]]), ({"a": "2"}, [[AT, "1"]])), RTT, "", "--path 'a=1'"),
        (answer(({"a": "1"}, [[AT, "1"]])), RTT, "a=2", "no series in it fits a=2"),
        (answer(({"a": "1"}, [[AT, "1"]])), RTT, "a", "is no label"),
        (answer(({}, [[AT, "1"]])), None, "", "--means rtt:s"),
        (answer(({}, [[AT, "+Inf"]])), RTT, "", "no number"),
        (answer(({}, [[AT, "0"]])), RTT, "", "is impossible"),
        (answer(({}, [[AT, "120"]])), RTT, "", "is the unit right?"),
        (answer(({}, [[AT, "NaN"]])), RTT, "", "none of its 1 points"),
        (answer(({}, [[AT, "1"], [AT, "1"]])), RTT, "", "is not after the point before it"),
        ('{"status":"error","errorType":"bad_data","error":"parse error"}', RTT, "",
         "bad_data: parse error"),
        ('{"status":"success","data":{"resultType":"vector","result":[]}}', RTT, "", "is a vector"),
        ('{"status":"success","data":{"resultType":"matrix","result":[{"metric":{},'
         '"histograms":[]}]}}', RTT, "", "a matrix is wanted"),
        ('{"status":"success"}', RTT, "", "is no answer of Prometheus"),
        (answer(({"a": "1"}, [[AT, "1"]])) + "\n" + answer(({"a": "2"}, [[AT + 1, "1"]])), RTT, "",
         "another series than before"),
    ],
)  # fmt: skip
def test_what_an_answer_does_not_say(
    text: str, means: tuple[str, Column] | None, path: str, words: str
) -> None:
    with pytest.raises(InvalidInput) as caught:
        parse(text, "night.json", means, path)
    assert words in told(caught.value)


def test_a_file_of_answers_is_told_from_ndjson(tmp_path: Path) -> None:
    assert not is_answer('{"time": 1, "rtt_ms": 2, "status": 200}\n')
    path = tmp_path / "night.json"
    path.write_text(answer(({}, [[AT, "0.1"]])))
    found = read(path, Asked({}, "", RTT))
    assert found.sha256 == sha256(path.read_bytes()).hexdigest()
    assert found.looks[0].rtt_us == 100_000


@pytest.mark.parametrize("text", ["rtt", "rtt:", "delay:s", "loss:ms", "rtt:percent"])
def test_a_unit_is_never_guessed(text: str) -> None:
    with pytest.raises(InvalidInput):
        parse_means(text)
    assert parse_means("rtt:milliseconds") == ("rtt", Column("value", "ms"))


def test_labels_as_people_write_them() -> None:
    assert parse_labels('job="ping", pair=fra-lon') == {"job": "ping", "pair": "fra-lon"}


def test_ranges_have_no_more_points_than_are_answered() -> None:
    assert spans((10_000, 20_000), (0, 5000), 1000) == [(0, 5000), (10_000, 20_000)]
    assert spans((10_000, 20_000), (0, 9500), 1000) == [(0, 20_000)]
    assert spans((0, 2500), None, 1000) == [(0, 2000)]
    found = spans((0, 25_000 * 100), None, 100)
    assert [(b - a) // 100 + 1 for a, b in found] == [POINTS_MAX, POINTS_MAX, 3001]
    assert all(b - a == 100 for (_, a), (b, _) in itertools.pairwise(found))
    with pytest.raises(InvalidInput, match="more than 20 answers"):
        spans((0, 86_400_000), (-86_400_000, 0), 50)


@pytest.mark.parametrize(
    ("url", "token", "words"),
    [
        ("http://kim:secret@prometheus:9090", "", "holds credentials"),
        ("ftp://prometheus", "", "is not http://host:port"),
        ("http://prometheus:port", "", "is not http://host:port"),
        ("http://prometheus:9090", "env:TOKEN", "in plain text"),
        ("https://prometheus", "hunter2", "is no reference"),
    ],
)
def test_what_is_not_asked_at_all(url: str, token: str, words: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        check(Question(url, "up", 1000, token))
    assert words in told(caught.value)
    assert "hunter2" not in told(caught.value) and "secret@" not in told(caught.value)


class Server(http.server.BaseHTTPRequestHandler):
    """Answers what the test says, and remembers what it was asked."""

    replies: list[tuple[int, bytes]]
    asked: list[tuple[str, str, str]]

    def do_POST(self) -> None:
        """One range query."""
        body = self.rfile.read(int(self.headers["Content-Length"])).decode()
        self.asked.append((self.path, body, self.headers.get("Authorization", "")))
        status, content = self.replies.pop(0)
        self.send_response(status)
        self.send_header("Content-Length", str(len(content)))
        self.send_header("Location", "http://127.0.0.1:9/")
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, format: str, *args: Any) -> None:
        """Quiet."""


@pytest.fixture
def server() -> Iterator[http.server.HTTPServer]:
    Server.replies, Server.asked = [], []
    with http.server.HTTPServer(("127.0.0.1", 0), Server) as one:
        threading.Thread(target=one.serve_forever, daemon=True).start()
        yield one
        one.shutdown()


def url(server: http.server.HTTPServer) -> str:
    return f"http://127.0.0.1:{server.server_port}/prom/"


def test_answers_are_kept_byte_for_byte(
    server: http.server.HTTPServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PROM_TOKEN", "s3cret")
    Server.replies = [(200, b'{"status":"success",  "a":1}\n'), (200, b'{"status":"success"}')]
    question = Question(url(server), "up & down", 250, "env:PROM_TOKEN")
    found = fetch(question, [(AT * 1000, AT * 1000 + 500), (0, 250)])
    assert found == b'{"status":"success",  "a":1}\n{"status":"success"}\n'
    path, body, authorization = Server.asked[0]
    assert (path, authorization) == ("/prom/api/v1/query_range", "Bearer s3cret")
    assert body == f"query=up+%26+down&start={AT}&end={AT}.5&step=0.25"


@pytest.mark.parametrize(
    ("status", "content", "kind", "words"),
    [
        (400, b'{"status":"error","error":"parse error"}', InvalidInput, "parse error"),
        (422, b'{"status":"error","error":"too many samples"}', InvalidInput, "too many samples"),
        (401, b"", InvalidInput, "see --token"),
        (302, b"", CannotRun, "redirects are not followed"),
        (503, b"starting", CannotRun, "HTTP 503"),
        (200, b"<html>login</html>", CannotRun, "no answer of the range query API"),
        (200, b'{"a":\n1}', CannotRun, "no answer of the range query API"),
    ],
)
def test_what_is_no_answer(
    server: http.server.HTTPServer,
    status: int,
    content: bytes,
    kind: type[GamedayError],
    words: str,
) -> None:
    Server.replies = [(status, content)]
    with pytest.raises(kind) as caught:
        fetch(Question(url(server), "up", 1000), [(0, 1000)])
    assert words in told(caught.value)
