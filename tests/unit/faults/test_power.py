# SPDX-License-Identifier: Apache-2.0
"""``power``: BMCs that take their time, fail or were never asked; what is refused."""

from __future__ import annotations

import json
import stat
from pathlib import Path
from typing import Any

import pytest

from gameday.agent.system import power_redfish
from gameday.agent.system.power import RealPower
from gameday.clock import NS_PER_S
from gameday.errors import InvalidInput, NodeError
from gameday.faults.base import CONTROLLER, Selector
from gameday.faults.power import FAULT, PowerParams
from gameday.record.types import Lease
from tests.unit.faults.fake_host import FakeHost

CASES = Path(__file__).resolve().parents[2] / "cases" / "faults"
BMC = {"url": "https://10.0.0.1", "user_env": "U", "password_env": "P", "credentials_file": "",
       "ca_file": ""}  # fmt: skip


def lease(action: str = "off", case: str = "power") -> Lease:
    spec = json.loads((CASES / f"{case}.json").read_text())["spec"]
    fire = 1_010 * NS_PER_S
    spec["action"] = action
    return Lease("1a2b3c4d", "r", CONTROLLER, "f", "power", spec, fire, fire + 30 * NS_PER_S)


def started(host: FakeHost, one: Lease) -> dict[str, Any]:
    before = FAULT.before(one, host)
    host.now = one.fire_at_ns
    FAULT.drive(one, before, host, 0)
    return before


def end(host: FakeHost, one: Lease, before: dict[str, Any], seconds: int) -> str:
    """Disarm every 0.2 s as guards do after the window; the state in the end."""
    host.now = max(host.now, one.expire_at_ns)
    for _ in range(seconds * 5):
        FAULT.disarm(one, before, host)
        if FAULT.observe(one, before, host).state == "absent":
            return "absent"
        host.now += NS_PER_S // 5
    return FAULT.observe(one, before, host).state


def test_off_is_asked_once_and_watched_until_it_is_so() -> None:
    host, one = FakeHost(), lease()
    host.power.lag = 3
    before = started(host, one)
    assert FAULT.observe(one, before, host).state == "foreign", "asked, but not off yet"
    due: int | None = NS_PER_S
    while due is not None:
        host.now = one.fire_at_ns + due
        due = FAULT.drive(one, before, host, due)
    assert [kind for _, kind in host.power.asked] == ["ForceOff", "ForceOff"]
    found = FAULT.observe(one, before, host)
    assert found.state == "active" and found.counters == {"away": 2, "seen": 2}
    assert "restore policy: LastState" in found.left[0] and "`On`" in found.left[0]


def test_on_is_asked_only_once_off_was_seen() -> None:
    host, one = FakeHost(), lease()
    host.power.lag = 6
    before = started(host, one)
    # Called off at once, before any BMC has done what it was asked.
    assert FAULT.disarm(one, before, host) == []
    assert end(host, one, before, 20) == "absent"
    assert host.power.states == {"fra-1": "On", "fra-2": "On"}
    assert [kind for _, kind in host.power.asked] == ["ForceOff"] * 2 + ["On"] * 2


def test_a_bmc_that_ignored_off_ends_the_lease_after_a_while() -> None:
    host, one = FakeHost(), lease()
    host.power.lag = 10**9
    before = started(host, one)
    host.now = one.fire_at_ns + NS_PER_S
    FAULT.disarm(one, before, host)
    assert FAULT.observe(one, before, host).state == "foreign"
    assert end(host, one, before, 5) == "absent"


def test_a_bmc_that_ignored_on_is_asked_again() -> None:
    host, one = FakeHost(), lease()
    before = started(host, one)
    host.power.lag = 10**9
    assert end(host, one, before, 10) == "foreign"
    kinds = [kind for node, kind in host.power.asked if node == "fra-1"]
    assert kinds == ["ForceOff", "On", "On"]
    host.power.states = {"fra-1": "On", "fra-2": "On"}
    assert end(host, one, before, 1) == "absent"


def test_a_bmc_that_does_not_answer_is_not_called_clean() -> None:
    host, one = FakeHost(), lease()
    before = started(host, one)
    host.power.errors = {"fra-2": "timed out"}
    assert end(host, one, before, 3) == "foreign"
    assert host.power.states == {"fra-1": "On", "fra-2": "Off"}
    left = FAULT.observe(one, before, host).left
    assert len(left) == 1 and "fra-2 is unknown (timed out)" in left[0]
    host.power.errors = {}
    assert end(host, one, before, 10) == "absent"


def test_only_what_was_off_comes_on() -> None:
    host, one = FakeHost(), lease("on")
    host.power.states = {"fra-1": "Off", "fra-2": "Off"}
    before = started(host, one)
    assert host.power.states == {"fra-1": "On", "fra-2": "On"}
    assert end(host, one, before, 5) == "absent"
    assert host.power.states == {"fra-1": "Off", "fra-2": "Off"}


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"states": {"fra-1": "On", "fra-2": "Off"}}, "fra-2 is Off, not On"),
        ({"errors": {"fra-1": "refused our credentials"}}, "fra-1: refused"),
        ({"uuid": "UUID-FRA-2"}, "fra-2 is this very machine"),
    ],
)
def test_refused_when_armed(change: dict[str, Any], words: str) -> None:
    host = FakeHost()
    for name, value in change.items():
        setattr(host.power, name, value)
    with pytest.raises(NodeError, match=words):
        FAULT.before(lease(), host)


def test_sysrq_is_triggered_once_and_never_where_it_must_not() -> None:
    host, one = FakeHost(), lease("cycle", "power.sysrq")
    before = started(host, one)
    FAULT.drive(one, before, host, 0)
    assert host.power.letters == ["b"]
    host.power.refusal = "this node is a container"
    with pytest.raises(NodeError, match="container"):
        FAULT.before(one, host)


def test_the_real_sysrq_is_refused_in_a_container() -> None:
    pid = Path("/proc/self/ns/pid").readlink().name
    if pid != "pid:[4026531836]":
        assert "container" in RealPower().sysrq_refusal()


class Estate:
    def __init__(self, **bmcs: Any) -> None:
        self.bmcs = bmcs

    def select(self, selector: Selector) -> tuple[str, ...]:
        return () if selector.node == (CONTROLLER,) else tuple(sorted(self.bmcs))

    def can_arm(self, node: str) -> bool:
        return True

    def bmc(self, node: str) -> Any:
        return self.bmcs[node]


def spread(estate: Estate, **params: Any) -> Any:
    return FAULT.spread(PowerParams(Selector(), **params), estate)  # type: ignore[arg-type]


def test_the_controller_s_host_holds_the_lease() -> None:
    found = spread(Estate(a=BMC, b=BMC), action="off")
    assert list(found) == [CONTROLLER]
    assert [one["node"] for one in found[CONTROLLER]["systems"]] == ["a", "b"]
    assert spread(Estate(a=None), action="cycle", means="sysrq") == {
        "a": {"means": "sysrq", "action": "cycle"}
    }


@pytest.mark.parametrize(
    ("bmc", "params", "words"),
    [
        (None, {"action": "off"}, "without a BMC"),
        (BMC, {"action": "off", "means": "sysrq"}, "nothing on it can undo"),
        (BMC, {"action": "on", "means": "sysrq"}, "needs a BMC"),
    ],
)
def test_refused_in_the_plan(bmc: Any, params: dict[str, Any], words: str) -> None:
    with pytest.raises(InvalidInput, match=words):
        spread(Estate(a=bmc), **params)


def test_credentials_come_from_where_the_inventory_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("U", "root")
    with pytest.raises(NodeError, match="variable P is not set"):
        power_redfish.credentials(BMC)
    monkeypatch.setenv("P", "s3cret")
    assert power_redfish.credentials(BMC) == ("root", "s3cret")
    file = tmp_path / "bmc"
    file.write_text("username=admin\npassword=a=b\n")
    file.chmod(stat.S_IRUSR | stat.S_IRGRP)
    system = {**BMC, "credentials_file": str(file)}
    with pytest.raises(NodeError, match="open to others"):
        power_redfish.credentials(system)
    file.chmod(stat.S_IRUSR)
    assert power_redfish.credentials(system) == ("admin", "a=b")
    file.chmod(stat.S_IRUSR | stat.S_IWUSR)
    file.write_text("username=admin\n")
    with pytest.raises(NodeError, match="lacks a line"):
        power_redfish.credentials(system)
