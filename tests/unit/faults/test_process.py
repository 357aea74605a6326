# SPDX-License-Identifier: Apache-2.0
"""Every action of ``process`` on every kind of target: done, seen, undone, and refused."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from gameday.clock import NS_PER_MS, NS_PER_S
from gameday.errors import InvalidInput, NodeError
from gameday.faults.base import Selector
from gameday.faults.hosts.processes import Process
from gameday.faults.process import FAULT, ProcessParams
from gameday.record.types import Lease
from tests.unit.faults.fake_host import FakeHost
from tests.unit.faults.fake_processes import Service

FREEZER = "/sys/fs/cgroup/system.slice/etcd.service"
CONTAINER = "c" * 12

SPECS = [
    ("name", "etcd", "pause"), ("unit", "etcd.service", "pause"), ("container", CONTAINER, "pause"),
    ("unit", "etcd.service", "kill"), ("unit", "etcd.service", "restart-loop"),
    ("unit", "etcd.service", "stop"), ("unit", "etcd.service", "mask"),
]  # fmt: skip


def lease(by: str, what: str, action: str) -> Lease:
    fire = 1_010 * NS_PER_S
    spec = {"by": by, "what": what, "action": action, "period_ms": 2000}
    return Lease("1a2b3c4d", "r", "n", "f", "process", spec, fire, fire + 30 * NS_PER_S)


def prepared(one: Lease, host: FakeHost) -> dict[str, Any]:
    before = FAULT.before(one, host)
    host.now = one.fire_at_ns
    return before


@pytest.mark.parametrize("spec", SPECS, ids=" ".join)
@pytest.mark.parametrize("freezer", [False, True], ids=["signals", "freezer"])
def test_done_seen_and_undone(spec: tuple[str, str, str], freezer: bool) -> None:
    host, one = FakeHost(), lease(*spec)
    if freezer:
        host.processes.freezers[FREEZER] = "thawed"
    was = host.state()
    before = prepared(one, host)
    FAULT.drive(one, before, host, 0)
    found = FAULT.observe(one, before, host)
    assert found.state == "active" and found.left and not found.foreign_changed
    assert host.state() != was
    host.now = one.expire_at_ns
    assert FAULT.disarm(one, before, host)
    assert host.state() == was
    assert FAULT.observe(one, before, host).state == "absent"
    assert FAULT.disarm(one, before, host) == []


@pytest.mark.parametrize("spec", SPECS, ids=" ".join)
def test_crash_after_any_mutation_is_undone(spec: tuple[str, str, str]) -> None:
    for step in range(1, 8):
        host, one = FakeHost(), lease(*spec)
        was, before = host.state(), prepared(one, host)
        host.fail_at = step
        try:
            FAULT.drive(one, before, host, 0)
        except NodeError:
            host.fail_at = None
        host.fail_at, host.now = None, one.expire_at_ns
        FAULT.disarm(one, before, host)
        assert host.state() == was, f"after a crash at mutation {step}"
        assert FAULT.observe(one, before, host).state == "absent"


def test_only_the_lease_s_own_stopped_processes_are_resumed() -> None:
    host, one = FakeHost(), lease("name", "etcd", "pause")
    seen = host.processes
    seen.living[101] = replace(seen.living[101], state="T")
    before = prepared(one, host)
    FAULT.drive(one, before, host, 0)
    FAULT.disarm(one, before, host)
    assert (seen.living[100].state, seen.living[101].state) == ("S", "T")


def test_a_number_that_somebody_else_got_is_not_signalled() -> None:
    host, one = FakeHost(), lease("name", "etcd", "pause")
    before = prepared(one, host)
    FAULT.drive(one, before, host, 0)
    host.processes.living[100] = Process(100, 77_777, 1, "T", "somebody-else")
    found = FAULT.observe(one, before, host)
    assert found.counters["stopped"] == 1
    assert "1 paused process(es) ended" in found.foreign_changed[0]
    FAULT.disarm(one, before, host)
    assert host.processes.living[100].state == "T"
    ended = FAULT.observe(one, before, host)
    assert ended.state == "absent" and ended.foreign_changed == found.foreign_changed


def test_resumed_by_somebody_else_is_said_and_half_of_it_is_foreign() -> None:
    host, one = FakeHost(), lease("name", "etcd", "pause")
    before = prepared(one, host)
    FAULT.drive(one, before, host, 0)
    host.processes.signal(100, 1000, "CONT")
    found = FAULT.observe(one, before, host)
    assert found.state == "foreign" and "resumed by somebody else" in found.foreign_changed[0]
    assert "kill -CONT 101" in found.left[0]


def test_killed_by_name_and_not_started_again_is_not_called_clean() -> None:
    host, one = FakeHost(), lease("name", "etcd", "kill")
    before = prepared(one, host)
    FAULT.drive(one, before, host, 0)
    host.now = one.expire_at_ns
    assert FAULT.disarm(one, before, host) == []
    found = FAULT.observe(one, before, host)
    assert found.state == "foreign" and "nobody started it again" in found.left[0]
    host.processes.run(Service("etcd", workers=3))
    FAULT.disarm(one, before, host)
    assert FAULT.observe(one, before, host).state == "absent"


def test_a_keeper_that_begins_anew_does_not_kill_what_was_started_meanwhile() -> None:
    host, one = FakeHost(), lease("name", "etcd", "kill")
    before = prepared(one, host)
    FAULT.drive(one, before, host, 0)
    host.processes.run(Service("etcd"))
    FAULT.drive(one, before, host, 0)
    assert len(host.processes.find("name", "etcd")) == 1


def test_a_killed_container_may_come_back_under_another_id() -> None:
    host, one = FakeHost(), lease("container", CONTAINER, "kill")
    before = prepared(one, host)
    FAULT.drive(one, before, host, 0)
    host.now = one.expire_at_ns
    assert FAULT.observe(one, before, host).state == "foreign"
    host.processes.run(Service("sh", container="d" * 64))
    FAULT.disarm(one, before, host)
    assert FAULT.observe(one, before, host).state == "absent"


def test_restart_loop_kills_every_period() -> None:
    host, one = FakeHost(), lease("name", "etcd", "restart-loop")
    before = prepared(one, host)
    assert FAULT.drive(one, before, host, 0) == 2000 * NS_PER_MS
    host.processes.run(Service("etcd"))
    assert FAULT.drive(one, before, host, 2003 * NS_PER_MS) == 4000 * NS_PER_MS
    counters = FAULT.observe(one, before, host).counters
    assert counters == {"killed": 3, "running": 0}


def test_units_that_systemd_stops_along_are_started_again() -> None:
    host, one = FakeHost(), lease("unit", "etcd.service", "stop")
    seen = host.processes
    seen.units["api.service"] = replace(seen.units["etcd.service"])
    seen.units["etcd.service"] = replace(seen.units["etcd.service"], dependents=("api.service",))
    before = prepared(one, host)
    FAULT.drive(one, before, host, 0)
    seen.systemctl("stop", "api.service")
    assert FAULT.disarm(one, before, host) == ["started etcd.service", "started api.service"]


def test_started_by_somebody_else_is_left_alone_and_said() -> None:
    host, one = FakeHost(), lease("unit", "etcd.service", "stop")
    before = prepared(one, host)
    FAULT.drive(one, before, host, 0)
    host.processes.systemctl("start", "etcd.service")
    assert FAULT.disarm(one, before, host) == []
    found = FAULT.observe(one, before, host)
    assert found.state == "absent" and "started by somebody else" in found.foreign_changed[0]


@pytest.mark.parametrize(
    ("spec", "change", "words"),
    [
        (("name", "nothing", "pause"), {}, "no living process"),
        (("unit", "nothing.service", "kill"), {}, "knows no unit"),
        (("unit", "etcd.service", "mask"), {"file_state": "masked"}, "masked already"),
        (("unit", "etcd.service", "stop"), {"active": "inactive"}, "nothing to stop"),
        (
            ("unit", "etcd.service", "mask"),
            {"fragment": "/etc/systemd/system/etcd.service"},
            "use the action stop",
        ),
        (("unit", "etcd.service", "stop"), {"dependents": ("a.target",)}, "takes a.target along"),
    ],
)
def test_refused_on_the_node(spec: tuple[str, str, str], change: Any, words: str) -> None:
    host, one = FakeHost(), lease(*spec)
    seen = host.processes
    seen.units["etcd.service"] = replace(seen.units["etcd.service"], **change)
    with pytest.raises(NodeError, match=words):
        FAULT.before(one, host)


def test_what_is_paused_already_is_refused() -> None:
    host, one = FakeHost(), lease("name", "etcd", "pause")
    for pid in (100, 101):
        host.processes.signal(pid, pid * 10, "STOP")
    with pytest.raises(NodeError, match="stopped already"):
        FAULT.before(one, host)
    host.processes.freezers[FREEZER] = "frozen"
    with pytest.raises(NodeError, match="frozen already"):
        FAULT.before(lease("unit", "etcd.service", "pause"), host)


@pytest.mark.parametrize("spec", SPECS, ids=" ".join)
def test_gameday_s_own_session_is_out_of_bounds(spec: tuple[str, str, str]) -> None:
    host, one = FakeHost(), lease(*spec)
    pid = 150 if spec[0] == "container" else 101
    host.processes.own = {pid: "gameday's own session runs below it"}
    with pytest.raises(NodeError, match="out of bounds: gameday's own"):
        FAULT.before(one, host)
    # Detached from the session, the keeper does not see it; the receipt remembers.
    host.processes.own = {}
    before = prepared(one, host)
    before["protected"] = [[pid, pid * 10]]
    was = host.state()
    with pytest.raises(NodeError, match="out of bounds"):
        FAULT.drive(one, before, host, 0)
    assert host.state() == was


class Estate:
    def select(self, selector: Selector) -> tuple[str, ...]:
        return ("a", "b", "v")

    def can_arm(self, node: str) -> bool:
        return node != "v"


def spread(**params: Any) -> Any:
    return FAULT.spread(ProcessParams(Selector(), **params), Estate())  # type: ignore[arg-type]


def test_spread_names_services_in_full() -> None:
    found = spread(action="stop", unit="kubelet")
    assert found["a"] == {
        "by": "unit",
        "what": "kubelet.service",
        "action": "stop",
        "period_ms": 0,
    }
    assert set(found) == {"a", "b"}
    assert spread(action="restart-loop", name="etcd")["b"]["period_ms"] == 2000


@pytest.mark.parametrize(
    ("params", "words"),
    [
        ({"action": "pause"}, "exactly one"),
        ({"action": "pause", "unit": "a", "name": "b"}, "exactly one"),
        ({"action": "mask", "name": "etcd"}, "systemd units only"),
        ({"action": "stop", "unit": "systemd-journald"}, "out of bounds"),
        ({"action": "stop", "unit": "local-fs.target"}, "no service"),
        ({"action": "pause", "container": "c" * 12}, "one of them only"),
    ],
)
def test_spread_refuses(params: dict[str, Any], words: str) -> None:
    with pytest.raises(InvalidInput, match=words):
        spread(**params)
