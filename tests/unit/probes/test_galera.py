# SPDX-License-Identifier: Apache-2.0
"""The Galera probe: what real members told, kept in tests/cases/galera, and what is no answer."""

from __future__ import annotations

import contextlib
import os
import socket
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from gameday.agent import carried as kept
from gameday.clock import NS_PER_S
from gameday.probes import galera
from gameday.probes.base import Failed, Outcome, Schedule, Target, Value
from gameday.transport import carried

HERE = Target("here", ("127.0.0.1",))
CASES = Path(__file__).parents[2] / "cases" / "galera"


def status(name: str) -> dict[str, str]:
    """A kept answer of SHOW GLOBAL STATUS."""
    lines = (CASES / name).read_text(encoding="utf-8").splitlines()
    pairs = [line.split("\t", 1) for line in lines if line and not line.startswith("#")]
    return {name: text for name, text in pairs}


def look_at(said: bytes, timeout_ns: int = NS_PER_S) -> Outcome:
    """One look at a server that greets with ``said`` and says nothing more."""
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve() -> None:
            connection, _ = server.accept()
            with connection, contextlib.suppress(ConnectionResetError):
                connection.sendall(said)
                while connection.recv(4096):
                    pass

        threading.Thread(target=serve, daemon=True).start()
        params = galera.GaleraParams(server.getsockname()[1])
        return galera.PROBE.sampler(params, "fra-2", HERE, Schedule(timeout_ns, timeout_ns))()


def test_a_member_of_the_primary_component() -> None:
    outcome = galera.told(status("synced.txt"))
    assert isinstance(outcome, Value)
    assert outcome.value["cluster_status"] == "Primary" and outcome.value["state"] == "Synced"
    assert outcome.value["cluster_size"] == 3
    assert outcome.value["ready"] is True and outcome.value["connected"] is True
    assert outcome.value["paused_ns"] > 10**9, "it was paused before"


def test_a_member_that_lost_the_others() -> None:
    outcome = galera.told(status("non-primary.txt"))
    assert isinstance(outcome, Value)
    assert outcome.value["cluster_status"] == "non-Primary"
    assert outcome.value["cluster_size"] == 1 and outcome.value["ready"] is False


def test_a_server_without_galera_is_no_member() -> None:
    outcome = galera.told({})
    assert outcome == Failed("no Galera: the server has no wsrep_cluster_status")


def test_silence_is_cut_at_the_timeout() -> None:
    assert look_at(b"", NS_PER_S // 2) == Failed("timeout: 500 ms")


@pytest.mark.parametrize("said", [b"HTTP/1.0 400 Bad Request\r\n\r\n", b"\x05\0\0\0\x09abcd"])
def test_what_is_not_a_greeting_is_a_failure(said: bytes) -> None:
    assert isinstance(look_at(said), Failed)


def test_refusal_is_the_servers_own_word() -> None:
    body = b"\xff\x10\x04Too many connections"
    outcome = look_at(len(body).to_bytes(3, "little") + b"\0" + body)
    assert outcome == Failed("server: 1040 Too many connections")


def test_the_library_is_carried_alone(tmp_path: Path) -> None:
    package = carried.archive(carried.wanted([{"kind": "galera"}]))
    path = tmp_path / "carried.zip"
    path.write_bytes(package.content)
    code = (
        "import sys; sys.path.insert(0, sys.argv[1]); import pymysql.cursors as m;"
        "sys.stdout.write(m.__file__)"
    )
    done = subprocess.run(
        [sys.executable, "-I", "-S", "-c", code, str(path)],
        capture_output=True, text=True, check=True, env=dict(os.environ),
    )  # fmt: skip
    assert done.stdout.startswith(str(path))
    assert kept.path_of(package.sha256).name == f"{package.sha256}.zip"
