# SPDX-License-Identifier: Apache-2.0
"""Calls through ansible-runner's own worker; ports where nobody listens stand for nodes."""

from __future__ import annotations

import os
import socket
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from gameday import clock
from gameday.errors import Unreachable
from gameday.transport import relay
from gameday.transport.ssh import Address
from gameday.transport.worker_job import Worker, WorkerLost
from gameday.transport.workers import NODES_MAX, Call, Workers, choose

WORKER = [str(Path(sys.executable).with_name("ansible-runner")), "worker"]


@pytest.fixture(autouse=True)
def _place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Workers find this gameday, and keep their sockets here."""
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(path for path in sys.path if path))
    monkeypatch.setenv("TMPDIR", str(tmp_path))


@pytest.fixture
def nodes(tmp_path: Path) -> Iterator[list[Address]]:
    """Two addresses of this host where nobody listens."""
    known = tmp_path / "known_hosts"
    known.write_text("", encoding="ascii")
    with socket.socket() as first, socket.socket() as second:
        # Bound and not listening: nobody else can take the port meanwhile.
        for one in (first, second):
            one.bind(("127.0.0.1", 0))
        yield [
            Address(name, "127.0.0.1", one.getsockname()[1], "nobody", None, str(known), "python3")
            for name, one in (("n1", first), ("n2", second))
        ]


def batch(session: str, **more: Any) -> dict[str, Any]:
    return {"session": session, "package": "feed", "calls": [], "known_hosts": "",
            "addresses": {}, **more}  # fmt: skip


def test_what_a_node_says_comes_back_through_the_worker(nodes: list[Address]) -> None:
    """The refusal is the worker's own, word for word."""
    workers = Workers({"west": WORKER}, "0a")
    try:
        for node in nodes:
            with pytest.raises(Unreachable, match=f"{node.node} .*cannot connect"):
                workers.agent(node, ["west"]).call("facts")
    finally:
        workers.close()


def test_a_lost_worker_is_named_and_the_next_one_is_asked(nodes: list[Address]) -> None:
    """Calls that may be repeated go on; arming is never asked twice."""
    workers = Workers({"west": ["false"], "east": WORKER}, "0b")
    agent = workers.agent(nodes[0], ["west", "east"])
    try:
        with pytest.raises(Unreachable, match="n1: arm: worker west was lost"):
            agent.call("arm", lease={})
        with pytest.raises(Unreachable, match=r"n1 .*cannot connect"):
            agent.call("observe", lease="1a2b3c4d")
    finally:
        workers.close()


@pytest.mark.parametrize(
    ("command", "why"),
    [(["/nonexistent/worker"], "cannot start /nonexistent/worker"),
     (["cat"], "was lost"),
     (["sh", "-c", "read line; kill -9 $$"], "was lost"),
     (["sh", "-c", "echo no; cat >/dev/null"], "was lost")],
)  # fmt: skip
def test_a_command_that_is_no_worker(command: list[str], why: str) -> None:
    """It is said which worker, and what it did."""
    with pytest.raises(WorkerLost, match=f"worker west.*{why}"):
        Worker("west", command).run(batch("0c"))


def test_a_worker_without_ansible_says_so() -> None:
    """Its PATH is its own; what is missing there is named."""
    worker = Worker("west", ["env", "PATH=/nonexistent", *WORKER])
    with pytest.raises(WorkerLost, match=r"worker west.*not found.*ansible-playbook"):
        worker.run(batch("0f"))


def test_another_version_on_the_worker_is_refused() -> None:
    """Nodes are not asked: they would answer what another version means."""
    worker = Worker("west", WORKER)
    call = {"n": 0, "node": "n1", "call": "facts", "with": {}}
    found = worker.run(batch("0d", calls=[call], addresses={"n1": {}}))
    try:
        (answer,) = found.lines()
        assert "another version of gameday" in answer["error"]
    finally:
        worker.close()
        found.discard()


def test_the_workers_clock_is_bounded() -> None:
    """Here both clocks are one, so a moment must lie within its own bound."""
    worker = Worker("west", WORKER)
    try:
        for _ in range(2):
            found = worker.run(batch("0e"))
            during = (found.sent_ns + found.received_ns) // 2
            lo, hi = found.ours((during, during))
            found.discard()
            assert found.sent_ns <= lo <= during <= hi <= found.received_ns
            assert hi - lo < found.received_ns - found.sent_ns
    finally:
        worker.close()


def test_answers_beyond_the_limit_are_asked_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody holds more than the limit and what one node says."""
    monkeypatch.setattr(relay, "ANSWERS_BYTES_MAX", 100)
    one = relay.Relay(tmp_path)
    monkeypatch.setattr(one, "_call", lambda call: {"n": call["n"], "ok": "x" * 60})
    calls = {"n1": [{"n": number, "node": "n1"} for number in range(4)]}
    found = list(one._ask(calls))
    assert [relay.LATER in answer for answer in found] == [False, False, True, True]


def test_serving_ends_and_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A dead controller's connections are given up after a while."""
    monkeypatch.setattr(relay, "IDLE_S", 0.1)
    directory = tmp_path / "session"
    directory.mkdir()
    (directory / "lock").touch()
    assert relay.serve(directory) == 0
    assert not directory.exists()


def test_a_bound_holds_although_clocks_drift() -> None:
    """Moments long after the batch arrived are known less closely, never wrongly."""
    from gameday.transport.worker_job import Batch

    s = clock.NS_PER_S
    stamps = {"arrived_wall_ns": 100 * s, "wall_ns": 110 * s, "mono_ns": 1010 * s}
    one = Batch(Path(), Path(), 5 * s, 16 * s, stamps)
    lo, hi = one.ours((1005 * s, 1006 * s))
    assert lo <= 10 * s and lo > 9 * s, "5 s after it arrived, which was after 5"
    assert hi >= 12 * s and hi < 13 * s, "4 s before the end, which was before 16"


def test_a_batch_is_bounded_in_nodes_and_what_is_waited_for_goes_first() -> None:
    """A run of five hundred nodes arms before it fetches, in batches that end in time."""

    def call(number: int, name: str, **arguments: Any) -> Call:
        return Call(Address(f"n{number:03}", "127.0.0.1", 22, "u", None, "", ""), name, arguments)

    fetched = [call(number, "samples", run="r", offset=0) for number in range(500)]
    clocks = [call(number, "exchanges", count=1) for number in range(500)]
    preflight = [call(number, "exchanges", count=8) for number in range(10)]
    arms = [call(number, "arm", lease={}) for number in range(400, 500)]
    first = choose([*fetched, *clocks, *arms])
    assert [one.name for one in first[:NODES_MAX]] == ["arm"] * NODES_MAX
    assert {one.address.node for one in first} == {one.address.node for one in arms[:NODES_MAX]}
    assert len(first) == 3 * NODES_MAX, "what those nodes are asked beside goes with it"
    assert choose([*fetched, *preflight])[:10] == preflight
    waiting, rounds = [*fetched, *clocks], 0
    while waiting:
        chosen = choose(waiting)
        assert chosen and len({one.address.node for one in chosen}) <= NODES_MAX
        waiting = [one for one in waiting if one not in chosen]
        rounds += 1
    assert rounds == -(-500 // NODES_MAX)


def test_nothing_is_only_fetched_while_the_run_is_short_of_time(nodes: list[Address]) -> None:
    """What arming waits for finds its worker free; what was held back goes afterwards."""
    workers = Workers({"west": WORKER}, "10")
    agent = workers.agent(nodes[0], ["west"])
    try:
        with ThreadPoolExecutor(1) as pool:
            with workers.urgent():
                fetched = pool.submit(agent.poll, "run", 0, True)
                with pytest.raises(Unreachable, match="cannot connect"):
                    agent.call("observe", lease="1a2b3c4d")
                assert not fetched.done()
            with pytest.raises(Unreachable, match="cannot connect"):
                fetched.result(timeout=60)
    finally:
        workers.close()


def test_more_nodes_than_one_batch_holds_are_all_asked(
    nodes: list[Address], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gameday.transport.workers.NODES_MAX", 1)
    workers = Workers({"west": WORKER}, "0e")
    try:
        with ThreadPoolExecutor() as pool:
            asked = [pool.submit(workers.agent(n, ["west"]).call, "facts") for n in nodes]
            for node, one in zip(nodes, asked, strict=True):
                with pytest.raises(Unreachable, match=f"{node.node} .*cannot connect"):
                    one.result()
    finally:
        workers.close()
