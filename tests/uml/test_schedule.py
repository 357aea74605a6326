# SPDX-License-Identifier: Apache-2.0
"""A drill that systemd begins by itself, on a machine that is controller and node at once.

The timer is the one that ``gameday schedule add --system`` wrote; nobody is logged in, and the
service has neither HOME nor a working directory of anybody's. The clock is set forward to its date.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import yaml

from gameday import clock
from tests.guarantee.machine import CONTROLLER, MANAGEMENT, OWN, PEER, SystemdMachine
from tests.uml.harness import REPOSITORY

HOME = "/root/drills"
PLACE = "/var/lib/gameday-schedules"
SERVICE = "gameday_drill-nothing.service"
TIMER = "gameday_drill-nothing.timer"

COMMAND_S = 300
"""Python imports for half a minute and more there, when the host is busy."""

RUN_S = 480
HOUR_S, DAY_S = 3600, 86_400
SOON_S = 20
"""The clock is set to so long before the date."""

EXPERIMENT = {
    "schema": "gameday/v1",
    "metadata": {"name": "nothing", "title": "Nothing", "why": "To see a timer begin it.",
                 "owner": "tests@gameday.test"},
    "steady_state": {"for_s": 2, "checks": [{"probe": "ping", "ok_percent": 50}]},
    "faults": [{"name": "nothing", "kind": "noop", "at_s": 0, "for_s": 3,
                "params": {"nodes": {"node": ["node"]}}}],
    "probes": [{"name": "ping", "kind": "icmp", "from": {"node": ["node"]},
                "to": {"node": ["peer"]}, "period_ms": 1000}],
    "recover_s": 2,
}  # fmt: skip


def inventory() -> dict[str, Any]:
    """The machine itself, and the host's end of the link that it pings."""
    hosts = {
        "here": {"node": {"ansible_host": MANAGEMENT, "gameday_addresses": [OWN]}},
        "there": {"peer": {"ansible_host": CONTROLLER, "gameday_addresses": [PEER],
                           "gameday_vantage_only": True}},
    }  # fmt: skip
    return {"all": {
        "vars": {"ansible_user": "gameday", "ansible_ssh_private_key_file": "id_ed25519",
                 "gameday_known_hosts": "known_hosts", "gameday_management": ["198.19.1.0/24"]},
        "children": {"sites": {"children": {s: {"hosts": h} for s, h in hosts.items()}}},
    }}  # fmt: skip


def put(node: SystemdMachine, name: str, text: str) -> None:
    """Write a file of the machine, for root only."""
    node.exec("sh", "-c", f"umask 077; mkdir -p {HOME}; cat >{HOME}/{name}", stdin=text)


def gameday(node: SystemdMachine, *argv: str, check: bool = True) -> str:
    """The command line, as root types it there."""
    return node.exec(
        "env", "HOME=/root", f"PYTHONPATH={REPOSITORY}", sys.executable, "-m", "gameday.cli.main",
        *argv, timeout_s=COMMAND_S, check=check,
    )  # fmt: skip


def journal(node: SystemdMachine) -> list[dict[str, Any]]:
    """What became of the drill."""
    text = node.exec("sh", "-c", f"cat {PLACE}/nothing.journal 2>/dev/null || true")
    return [json.loads(line) for line in text.splitlines()]


def shown(node: SystemdMachine, unit: str, name: str) -> str:
    """A property of a unit."""
    return node.exec("systemctl", "show", f"--property={name}", "--value", unit).strip()


def said(node: SystemdMachine) -> str:
    """What the service wrote, as systemd's journal has it."""
    return node.exec("journalctl", "--no-pager", "-u", SERVICE, "-n", "60", check=False)


def wait(condition: Callable[[], bool], node: SystemdMachine, timeout_s: int) -> None:
    deadline = clock.mono_ns() + timeout_s * clock.NS_PER_S
    while not condition():
        state = shown(node, SERVICE, "ActiveState")
        assert clock.mono_ns() < deadline, f"{state} {journal(node)}\n{said(node)}"
        clock.sleep_until_mono(clock.mono_ns() + 2 * clock.NS_PER_S)


def test_the_timer_begins_a_drill_by_itself(node: SystemdMachine) -> None:
    """In time it is run and signed; a date that a sleep of the machine passed over is not."""
    for name in ("id_ed25519", "known_hosts"):
        put(node, name, (node.directory / name).read_text(encoding="ascii"))
    put(node, "inventory.yaml", yaml.safe_dump(inventory()))
    put(node, "nothing.yaml", yaml.safe_dump(EXPERIMENT, sort_keys=False))
    now = int(node.exec("date", "+%s"))
    minute = (now + 2 * HOUR_S) // 60 % (24 * 60)
    gameday(node, "keygen", "--principal", "drills@controller")
    gameday(node, "schedule", "add", f"{HOME}/nothing.yaml", "--system", "-i",
            f"{HOME}/inventory.yaml", "--on", f"*-*-* {minute // 60:02d}:{minute % 60:02d}",
            "--reports", f"{HOME}/reports")  # fmt: skip
    assert shown(node, TIMER, "ActiveState") == "active"
    assert shown(node, TIMER, "Persistent") == "no"
    due = (now + 2 * HOUR_S) // 60 * 60
    stepped = 0
    try:
        stepped += step_to(node, due - SOON_S)
        wait(lambda: any(one["what"] == "ended" for one in journal(node)), node, RUN_S)
        began, ended = journal(node)
        assert began["what"] == "began" and began["due_ns"] == due * clock.NS_PER_S
        assert_run(node, ended)

        # As after a night's sleep: systemd fires at once, and nothing is begun.
        stepped += step_to(node, due + DAY_S + 2 * HOUR_S)
        wait(lambda: "is not begun so late" in said(node), node, COMMAND_S)
        wait(lambda: shown(node, SERVICE, "ActiveState") == "failed", node, COMMAND_S)
        assert shown(node, SERVICE, "ExecMainStatus") == "3"
        assert len(journal(node)) == 2 and "Traceback" not in said(node)
        assert "OVERDUE" in gameday(node, "schedule", "list", "--system", check=False)
    finally:
        node.step_clock(-stepped)
    gameday(node, "schedule", "remove", "nothing", "--system")
    assert shown(node, TIMER, "LoadState") == "not-found"
    assert shown(node, SERVICE, "LoadState") == "not-found"
    # The last run failed, and is no failure of this machine any more.
    assert node.exec("systemctl", "list-units", "--all", "--plain", "--no-legend", "gameday*") == ""


def step_to(node: SystemdMachine, moment: int) -> int:
    """Set the clock forward to a moment; by how much."""
    ahead = moment - int(node.exec("date", "+%s"))
    assert ahead > 0
    node.step_clock(ahead)
    return ahead


def assert_run(node: SystemdMachine, ended: dict[str, Any]) -> None:
    """A whole run: fired, proven clean, signed, and its verdict is the service's exit code."""
    run = Path(node.exec("sh", "-c", f"echo {HOME}/reports/*").strip())
    events = [json.loads(line) for line in node.exec("cat", f"{run}/events.jsonl").splitlines()]
    steps = [one["data"]["step"] for one in events if one["kind"] == "run.step"]
    assert "fire" in steps and "prove-clean" in steps, (ended, steps)
    report = json.loads(node.exec("cat", f"{run}/report.json"))
    assert report["clean"]["proven"] is True
    # A starved machine's looks may be lost, and the verdict unknown: it is the same everywhere.
    assert ended["exit_code"] == report["verdict"]["exit_code"], ended
    wait(lambda: shown(node, SERVICE, "ActiveState") != "activating", node, COMMAND_S)
    assert shown(node, SERVICE, "ExecMainStatus") == str(ended["exit_code"])
    assert "signed by drills@controller" in gameday(node, "verify", str(run))
