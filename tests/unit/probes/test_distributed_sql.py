# SPDX-License-Identifier: Apache-2.0
"""CockroachDB and YugabyteDB against documented answers, served by a real HTTP server."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from gameday.clock import NS_PER_S
from gameday.probes import TABLE
from gameday.probes.base import Failed, Schedule, Target, Value

CASES = Path(__file__).resolve().parents[2] / "cases"
WELL = (200, b"")


class Served:
    """Paths to (status, body)."""

    def __init__(self) -> None:
        self.answers: dict[str, tuple[int, bytes]] = {}
        served = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                status, body = served.answers.get(self.path, (404, b""))
                self.send_response(status)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, format: str, *args: Any) -> None:
                """Quiet."""

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    @property
    def port(self) -> int:
        return self.server.server_address[1]


@pytest.fixture
def served() -> Iterator[Served]:
    one = Served()
    yield one
    one.server.shutdown()
    one.server.server_close()


def look(kind: str, **params: Any) -> Any:
    probe = TABLE[kind]
    sampler = probe.sampler(
        probe.Params(address="127.0.0.1", **params), "n", Target("t", ("127.0.0.1",), ()),
        Schedule(NS_PER_S, 2 * NS_PER_S),
    )  # fmt: skip
    return sampler()


def case(name: str) -> bytes:
    return (CASES / name).read_bytes()


def test_a_ready_node_tells_its_ranges(served: Served) -> None:
    served.answers = {"/health?ready=1": WELL, "/_status/vars": (200, case("cockroachdb/vars.txt"))}
    found = look("cockroachdb", port=served.port)
    assert isinstance(found, Value)
    assert found.value == {
        "ranges_unavailable": 3, "ranges_underreplicated": 11, "live_nodes": 5, "ready": True,
    }  # fmt: skip


def test_a_node_that_drains_is_not_ready_and_still_tells(served: Served) -> None:
    served.answers = {
        "/health?ready=1": (503, case("cockroachdb/not-ready.json")),
        "/_status/vars": (200, case("cockroachdb/vars.txt")),
    }
    found = look("cockroachdb", port=served.port)
    assert isinstance(found, Failed)
    assert found.reason == "not ready: node is shutting down"
    assert found.value["ready"] is False and found.value["ranges_unavailable"] == 3


@pytest.mark.parametrize(
    ("answers", "told"),
    [
        ({"/_status/vars": (200, b"ranges_unavailable 0\n")}, "metric"),
        ({"/_status/vars": (500, b"")}, "status: 500"),
        ({"/_status/vars": (200, case("cockroachdb/vars.txt"))}, "status: 404"),
    ],
)
def test_what_is_missing_is_never_taken_for_well(
    served: Served, answers: dict[str, tuple[int, bytes]], told: str
) -> None:
    served.answers = answers
    found = look("cockroachdb", port=served.port)
    assert isinstance(found, Failed) and told in found.reason


def test_nobody_there() -> None:
    for kind in ("cockroachdb", "yugabytedb"):
        found = look(kind, port=1)
        assert isinstance(found, Failed) and "refused" in found.reason


@pytest.mark.parametrize(("name", "dead", "tablets"), [("well", 0, 0), ("hurt", 1, 2)])
def test_a_master_tells_what_is_dead(served: Served, name: str, dead: int, tablets: int) -> None:
    served.answers = {"/api/v1/health-check": (200, case(f"yugabytedb/{name}.json"))}
    found = look("yugabytedb", port=served.port)
    assert isinstance(found, Value)
    assert found.value == {"dead_nodes": dead, "tablets_underreplicated": tablets}


@pytest.mark.parametrize(
    ("answer", "told"),
    [
        ((200, case("yugabytedb/error.json")), "not initialized"),
        ((200, b"{}"), "dead_nodes is missing"),
        ((200, b'{"dead_nodes": [], "under_replicated_tablets": null}'), "under_replicated"),
        ((200, b"[]"), "not a JSON object"),
        ((200, b"<html>"), ""),
        ((307, b""), "status: 307"),
    ],
)
def test_an_answer_that_says_nothing_is_a_failed_look(
    served: Served, answer: tuple[int, bytes], told: str
) -> None:
    served.answers = {"/api/v1/health-check": answer}
    found = look("yugabytedb", port=served.port)
    assert isinstance(found, Failed) and told in found.reason


def test_a_statement_is_asked_for_only_where_it_is_wanted(served: Served) -> None:
    served.answers = {"/health?ready=1": WELL, "/_status/vars": (200, case("cockroachdb/vars.txt"))}
    found = look("cockroachdb", port=served.port, sql_port=1)
    assert isinstance(found, Failed) and "refused" in found.reason
    assert found.value["ready"] is True
