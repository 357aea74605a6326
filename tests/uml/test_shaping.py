# SPDX-License-Identifier: Apache-2.0
"""netem, excursion, saturate and mtu-blackhole on a kernel that has what they need."""

from __future__ import annotations

from typing import Any

import pytest

from tests.uml.harness import Machine

ROOM_MS = 25
"""What a busy machine of one processor adds to a round trip."""


@pytest.fixture(scope="module")
def found(machine: Machine) -> dict[str, Any]:
    """What all leaves of netem did, one after another."""
    seen: dict[str, Any] = machine.run("shaping.py", timeout_s=240)
    return seen


def near(value: float, asked: float) -> bool:
    return asked <= value < asked + ROOM_MS


def test_delay_is_what_was_asked_and_only_for_the_peer(found: dict[str, Any]) -> None:
    assert near(found["delay"]["peer"], 50) and near(found["delay"]["peer6"], 50)
    assert near(found["delay"]["other"], 0) and near(found["after delay"], 0)
    low, middle, high = found["jitter"]["ms"]
    assert 40 - 25 < low < middle < 40 + ROOM_MS and high - low > 10


@pytest.mark.parametrize(
    ("leaf", "came"), [("loss", 0.7), ("bursts", 0.8), ("states", 0.8), ("corrupt", 0.5)]
)
def test_loss_is_what_was_asked(found: dict[str, Any], leaf: str, came: float) -> None:
    # Four standard deviations of 400 echoes are 10 %; bursts count as fewer, larger events.
    assert abs(found[leaf]["came"] - came) < (0.2 if leaf in ("bursts", "states") else 0.12)


def test_duplicates_and_overtaking(found: dict[str, Any]) -> None:
    assert abs(found["duplicate"]["twice"] - 0.5) < 0.12 and found["duplicate"]["came"] == 1
    assert found["reorder"]["overtook"] > 0.1 and found["delay"]["other"] < ROOM_MS


def test_rate_makes_a_queue(found: dict[str, Any]) -> None:
    # 242 bytes and 20 of overhead every 5 ms are 419 kbit/s of 1000: 2.1 ms each, none waits.
    assert found["rate"]["came"] == 1 and found["rate"]["ms"][1] >= 2


def test_ports_sources_and_directions(found: dict[str, Any]) -> None:
    assert near(found["ports"]["udp"]["ms"][1], 50) and near(found["ports"]["icmp"], 0)
    assert near(found["forwarded"]["client"], 50) and near(found["forwarded"]["own"], 0)
    assert near(found["ingress"]["peer"], 50) and near(found["ingress"]["other"], 0)


def test_nothing_is_left(found: dict[str, Any]) -> None:
    assert "9ad0" not in found["left"] and "ingress" not in found["left"]
    assert "gameday" not in found["left"] and "GD-" not in found["left"]


def test_a_delay_comes_on_top_of_one_that_was_there(machine: Machine) -> None:
    seen = machine.run("shaping.py", function="stacked", timeout_s=60)
    assert near(seen["peer"], 200) and near(seen["other"], 80) and near(seen["after"], 80)


def test_every_root_comes_back_the_same(machine: Machine) -> None:
    seen = machine.run("shaping.py", function="roots", timeout_s=120)
    refused = {root for root, what in seen.items() if what.startswith("refused")}
    assert refused == {"netem delay 6ms 1ms", "htb", "prio"}
    assert {what for root, what in seen.items() if root not in refused} == {"same"}


def test_mtu_is_exact_and_silent(machine: Machine) -> None:
    seen = machine.run("shaping.py", function="sizes", timeout_s=90)
    assert " 0% packet loss" in seen["1299"] and " 0% packet loss" in seen["1300"]
    for size in ("1301", "1500"):
        assert "100% packet loss" in seen[size]
        assert "Frag needed" not in seen[size] and "too long" not in seen[size]
    assert seen["tcp"] == -1, "a large transfer stalls: nobody tells TCP to send less"


def test_a_full_path_is_slow_only_when_it_is_full(machine: Machine) -> None:
    seen = machine.run("shaping.py", function="full", timeout_s=60)
    assert near(seen["empty"], 0)
    assert 250 < seen["filled"] < 500 + 4 * ROOM_MS


def test_changes_lose_no_packet(machine: Machine) -> None:
    seen = machine.run("shaping.py", {"every_ms": 10, "seconds": 6}, function="changes",
                       timeout_s=60)  # fmt: skip
    assert seen["came"] == 1 and seen["twice"] == 0
    assert seen["calls"] > 60, "at least ten changes a second"
    assert 20 <= seen["ms"][1] < 60 + ROOM_MS
