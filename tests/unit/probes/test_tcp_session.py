# SPDX-License-Identifier: Apache-2.0
"""A held connection against servers on loopback that answer, stay silent, reset or close."""

from __future__ import annotations

import socket
import struct
import threading
from collections.abc import Callable, Iterator

import pytest

from gameday.clock import NS_PER_MS
from gameday.probes import tcp_session
from gameday.probes.base import Failed, Outcome, Schedule, Target, Value

Looker = Callable[[], Outcome]
ANSWER = b"HTTP/1.1 503 No\r\nX-Gameday-Site: london\r\nContent-Length: 9\r\n\r\n"


class Server:
    """Answers each request as ``how`` says: "answer", "wait", "reset", "close", "last", "odd"."""

    def __init__(self) -> None:
        self.how = "answer"
        self.late = threading.Event()
        self.accepted = 0
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.port = self._listening.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        while True:
            try:
                sock, _ = self._listening.accept()
            except OSError:
                return
            self.accepted += 1
            threading.Thread(target=self._serve, args=(sock,), daemon=True).start()

    def _serve(self, sock: socket.socket) -> None:
        with sock:
            while sock.recv(4096):
                if self.how == "wait":
                    self.late.wait(5)
                if self.how == "reset":
                    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                    return
                if self.how == "close":
                    return
                if self.how == "last":
                    sock.sendall(ANSWER.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n"))
                    return
                sock.sendall(b"SSH-2.0\r\n\r\n" if self.how == "odd" else ANSWER)

    def close(self) -> None:
        self.late.set()
        self._listening.close()


@pytest.fixture
def server() -> Iterator[Server]:
    one = Server()
    yield one
    one.close()


def looker(port: int, timeout_ms: int = 5000) -> Looker:
    params = tcp_session.TcpSessionParams("127.0.0.1", port)
    schedule = Schedule(250 * NS_PER_MS, timeout_ms * NS_PER_MS)
    return tcp_session.PROBE.sampler(params, "cli-1", Target("tcp-session", ()), schedule)


def test_one_connection_for_all_looks(server: Server) -> None:
    look = looker(server.port)
    for _ in range(3):
        found = look()
        assert isinstance(found, Value)
        assert (found.value["session"], found.value["status"]) == (1, 503)
        assert found.value["site"] == "london"
    assert server.accepted == 1


@pytest.mark.parametrize(("how", "word"), [("reset", "reset:"), ("close", "closed:")])
def test_a_session_that_ends_is_lost_and_the_next_look_begins_another(
    server: Server, how: str, word: str
) -> None:
    look = looker(server.port)
    look()
    server.how = how
    found = look()
    assert isinstance(found, Failed) and found.reason.startswith(word)
    assert (found.value["session"], found.value["lost"]) == (1, True)
    server.how = "answer"
    found = look()
    assert isinstance(found, Value) and found.value["session"] == 2


def test_a_new_connection_that_ends_at_once_was_no_session(server: Server) -> None:
    server.how = "reset"
    found = looker(server.port)()
    assert isinstance(found, Failed) and found.value["lost"] is False


def test_silence_ends_nothing_and_a_late_answer_is_of_the_same_session(server: Server) -> None:
    look, patient = looker(server.port, 200), None
    look()
    server.how = "wait"
    assert look() == Failed("timeout: 200 ms", {"session": 1})
    server.late.set()
    server.how = "answer"
    while not isinstance(patient, Value):
        patient = look()
        assert isinstance(patient, Value) or patient.reason.startswith("timeout")
    assert patient.value["session"] == 1 and server.accepted == 1


def test_a_server_that_says_that_it_closes_loses_nothing(server: Server) -> None:
    server.how = "last"
    look = looker(server.port)
    assert isinstance(look(), Value)
    found = look()
    assert isinstance(found, Value) and found.value["session"] == 2


def test_nobody_there_and_nonsense(server: Server) -> None:
    server.how = "odd"
    found = looker(server.port)()
    assert isinstance(found, Failed) and found.reason.startswith("protocol: not an answer")
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        found = looker(unused.getsockname()[1])()
    assert isinstance(found, Failed) and found.reason == "connect: refused: nothing listens"


@pytest.mark.parametrize("wrong", [{"address": "app"}, {"address": "::1", "path": "/ x"}])
def test_parameters_that_do_not_fit(wrong: dict[str, str]) -> None:
    with pytest.raises(ValueError, match=r"address|path"):
        tcp_session.TcpSessionParams(**wrong)
