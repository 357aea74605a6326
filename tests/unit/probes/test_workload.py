# SPDX-License-Identifier: Apache-2.0
"""The workload: every call has a name of its own, failing says what it may have done, it ends."""

from __future__ import annotations

import json
import threading
from pathlib import Path
from typing import Any

import pytest

from gameday import clock
from gameday.agent import prober
from gameday.clock import NS_PER_MS, NS_PER_S
from gameday.probes import workload
from gameday.probes.base import Failed, Schedule, Value
from gameday.probes.workload import CallFailed, Mix, Workload, ranges
from gameday.probes.workload_etcd import Cells, EtcdWorkloadParams
from tests.unit.probes.test_probes import HERE, Server

SCHEDULE = Schedule(50 * NS_PER_MS, 250 * NS_PER_MS, 0, "3f9a", "calls")
PAGE = 3


class Shelf:
    """Registers in this process."""

    def __init__(self, ready_after: int = 0) -> None:
        self.held: dict[str, str] = {}
        self.left: list[tuple[str, int]] = []
        self.failing = ""
        self._lock, self._ready_after = threading.Lock(), ready_after

    def prepare(self) -> bool:
        self._ready_after -= 1
        return self._ready_after < 0

    def read(self, key: str) -> str:
        self._fail()
        with self._lock:
            return self.held.get(key, "")

    def write(self, key: str, number: int, value: str) -> None:
        self._fail()
        with self._lock:
            self.held[key] = value
            self.left.append((value.rpartition("#")[0], number))

    def swap(self, key: str, number: int, value: str, was: str) -> str | None:
        self._fail()
        with self._lock:
            found = self.held.get(key, "")
        if found != was:
            return found
        self.write(key, number, value)
        return None

    def written(self, after: str) -> tuple[list[tuple[str, int]], str]:
        self._fail()
        begin = int(after or "0")
        more = str(begin + PAGE) if begin + PAGE < len(self.left) else ""
        return self.left[begin : begin + PAGE], more

    def _fail(self) -> None:
        if self.failing:
            raise CallFailed("timeout: 250 ms", self.failing)


def test_every_call_has_a_name_and_what_it_needs() -> None:
    shelf = Shelf(ready_after=1)
    look = Workload(shelf, Mix(2, 40, 30), "fra-1", SCHEDULE)
    assert [look(), look()] == [Value({"op": "prepare"})] * 2
    seen = [look() for _ in range(200)]
    values = [one.value for one in seen if isinstance(one, Value)]
    assert [value["call"] for value in values] == [f"fra-1#{n}" for n in range(200)]
    assert {value["op"] for value in values} == {"read", "write", "swap"}
    assert all("saw" in v for v in values if v["op"] == "read")
    assert all("was" in v for v in values if v["op"] == "swap")
    done = [int(v["call"].split("#")[1]) for v in values if v["op"] != "read"]
    assert done == [number for _, number in shelf.left]


def test_the_same_run_makes_the_same_calls() -> None:
    def calls(run: str) -> list[Any]:
        look = Workload(Shelf(), Mix(5, 50, 25), "a", Schedule(1, 1, 0, run))
        return [look() for _ in range(50)]

    assert calls("one") == calls("one")
    assert calls("one") != calls("two")


def test_a_swap_that_found_another_value_is_a_read() -> None:
    shelf = Shelf()
    look = Workload(shelf, Mix(1, 0, 100), "a", SCHEDULE)
    look()
    shelf.held["k0"] = "b#7"
    assert look() == Value({"op": "read", "key": "k0", "call": "a#0", "saw": "b#7"})
    assert look() == Value({"op": "swap", "key": "k0", "call": "a#1", "was": "b#7"})
    assert shelf.held["k0"] == "a#1"


def test_a_call_that_failed_says_what_it_may_have_done() -> None:
    shelf = Shelf()
    look = Workload(shelf, Mix(1, 0, 0), "a", SCHEDULE)
    look()
    for number, applied in enumerate(("no", "maybe")):
        shelf.failing = applied
        tried = {"op": "write", "key": "k0", "call": f"a#{number}", "applied": applied}
        assert look() == Failed("timeout: 250 ms", tried)


def test_writes_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(workload, "WRITES_MAX", 3)
    shelf = Shelf()
    look = Workload(shelf, Mix(1, 0, 0), "a", SCHEDULE)
    found = [look() for _ in range(6)]
    assert [one.value["op"] for one in found[1:] if isinstance(one, Value)] == [
        "write", "write", "write", "read", "read",
    ]  # fmt: skip


def test_the_last_looks_read_everything_and_try_again() -> None:
    shelf = Shelf()
    look = Workload(shelf, Mix(2, 0, 0), "a", SCHEDULE)
    for _ in range(8):
        look()
    shelf.left += [("b", 0), ("b", 1)]
    pages = []
    for number, last in enumerate(look.last_looks()):
        shelf.failing = "maybe" if number == 2 else ""
        found = last()
        if found.value["op"] == "final":
            pages.append(found)
    assert isinstance(pages[0], Failed)
    values = [page.value for page in pages[1:]]
    assert [value["page"] for value in values] == [0, 1, 2]
    assert [value["last"] for value in values] == [False, False, True]
    assert [value["found"] for value in values] == [["a:0-2"], ["a:3-5"], ["a:6", "b:0-1"]]


def test_ranges() -> None:
    assert ranges([("b", 9), ("a", 3), ("a", 1), ("a", 2), ("a", 7)]) == ["a:1-3,7", "b:9"]
    assert ranges([]) == []


def etcd(port: int, **more: Any) -> Cells:
    return Cells(EtcdWorkloadParams(port=port, **more), "a", HERE, SCHEDULE)


def test_etcd_tells_what_may_have_happened() -> None:
    errors = {
        b'{"error":"etcdserver: request timed out"}': "maybe",
        b'{"error":"etcdserver: requested lease not found"}': "no",
        b'{"error":"etcdserver: too many requests"}': "no",
        b"": "maybe",
    }
    for body, applied in errors.items():
        with Server(503, body) as server, pytest.raises(CallFailed) as caught:
            etcd(server.port).write("k0", 0, "a#0")
        assert caught.value.applied == applied, body
    with pytest.raises(CallFailed, match="refused: nothing listens") as caught:
        etcd(server.port).write("k0", 0, "a#0")
    assert caught.value.applied == "no"
    with Server(200, b"", silent=True) as server, pytest.raises(CallFailed) as caught:
        etcd(server.port).write("k0", 0, "a#0")
    assert caught.value.applied == "maybe"


def test_an_answer_after_the_keys_may_have_gone_is_not_believed() -> None:
    until = clock.mono_ns() - 55 * NS_PER_S
    late = Schedule(NS_PER_S, NS_PER_S, until, "3f9a", "calls")
    with Server(200, b"{}") as server:
        cells = Cells(EtcdWorkloadParams(port=server.port), "a", HERE, late)
        with pytest.raises(CallFailed, match="late"):
            cells.read("k0")


def test_shares_are_checked() -> None:
    with pytest.raises(ValueError, match="more than 100 together"):
        EtcdWorkloadParams(read_percent=80, swap_percent=30)


def test_the_probe_loop_makes_the_last_looks(tmp_path: Path) -> None:
    """A server that answers everything with nothing: reads find nothing, the last read is empty."""
    directory = tmp_path / "3f9a"
    directory.mkdir()
    body = b'{"ID":"7","header":{"revision":"1"},"succeeded":true}'
    with Server(200, body) as server:
        spec = {
            "name": "calls", "kind": "etcd-workload", "period_ns": 50 * NS_PER_MS,
            "timeout_ns": 2000 * NS_PER_MS, "params": {"port": server.port, "keys": 2},
            "samplers": [{"node": "a", "target": "a", "addresses": ["127.0.0.1"], "peers": []}],
        }  # fmt: skip
        until = clock.mono_ns() + NS_PER_S
        (directory / "probes.json").write_text(
            json.dumps({"probes": [spec], "until_mono_ns": until})
        )
        assert prober.run(directory) == 0
    lines = (directory / "samples.jsonl").read_text().splitlines()
    samples = sorted(map(json.loads, lines), key=lambda sample: sample["seq"])
    assert [sample["seq"] for sample in samples] == list(range(len(samples)))
    assert [sample["value"]["op"] for sample in samples[-3:]] == ["read", "read", "final"]
    assert samples[-1]["value"] == {"op": "final", "page": 0, "last": True, "found": []}
    assert samples[-3]["start_ns"] >= samples[-4]["start_ns"]
