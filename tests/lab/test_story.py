# SPDX-License-Identifier: Apache-2.0
"""A quarterly drill as an organisation has it, from bare nodes to bare nodes; people only sign.

Nodes are prepared, the drill is scheduled and approved by two people, the timer's command runs it,
one of them signs its report as well, it is compared with the next, and the nodes are as they were.

The unit's own command is run as systemd runs it: no home directory, no working directory. That
systemd does begin it by itself is shown in tests/uml/test_schedule.py.
"""

from __future__ import annotations

import json
import os
import shlex
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from gameday import clock
from gameday.errors import EXIT_UNKNOWN
from tests.lab.drill import ROOT, RUN_TIMEOUT_S, Drill, wait
from tests.lab.prepared import OURS, assert_code, includes, listed, nodes, without
from tests.unit.drills.hooks import SECRET, Hooks

REHEARSAL = ROOT / "experiments" / "rehearsal.yaml"
NODES = ("fra-1", "lon-1", "cli-1")
"""All that the rehearsal reaches here; a playbook takes a quarter of a minute a node and more."""

PEOPLE = ("ann", "bob")
EVERY_MINUTE = "*-*-* 0/1:0/1"
"""So that a date comes while the test makes keys and signs."""


@pytest.fixture
def hooks() -> Iterator[Hooks]:
    """Who is told; on the host's loopback, while runs work from the lab's network."""
    one = Hooks()
    yield one
    one.close()


def rehearsal(drill: Drill, for_s: int, name: str) -> Path:
    """The shipped rehearsal, for the nodes that were prepared."""

    def shape(data: dict[str, Any]) -> None:
        data.clear()
        data.update(yaml.safe_load(REHEARSAL.read_text(encoding="utf-8")))
        data["faults"][0].update(for_s=for_s, params={"nodes": {"node": ["fra-1", "lon-1"]}})
        data["probes"][0]["from"] = {"node": ["fra-1", "lon-1"]}
        # A busy machine's ingress misses a second now and then, which is much of so short a run.
        data["objectives"][0]["at_most_percent"] = 50

    return drill.experiment(shape, name)


def add(drill: Drill, name: str, inventory: Path) -> list[str]:
    """Add a drill; the command of the service that it prints."""
    experiment = rehearsal(drill, 5, "rehearsal.yaml")
    done = drill.gameday(
        "schedule", "add", str(experiment), "--name", name, "--on", EVERY_MINUTE, "-i",
        str(inventory), "--user", "--print", "--reports", str(drill.reports), "--approvals",
        str(drill.home / "approvals"), "--environment-file", str(drill.home / "hook.env"),
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    (line,) = [x for x in done.stdout.splitlines() if x.startswith("ExecStart=")]
    return shlex.split(line.removeprefix("ExecStart="))


def fire(argv: list[str]) -> Any:
    """As systemd does: nothing of a user's environment, and nobody's directory."""
    return subprocess.run(
        argv, capture_output=True, text=True, cwd="/", env={"PATH": os.environ["PATH"]},
        timeout=RUN_TIMEOUT_S, check=False, stdin=subprocess.DEVNULL,
    )  # fmt: skip


def people(drill: Drill) -> None:
    """A key each, trusted by the operator's own file."""
    for name in PEOPLE:
        key = drill.home / name / "key"
        done = drill.gameday("keygen", "--principal", f"{name}@ops", "--key", str(key))
        assert done.returncode == 0, done.stderr
        with open(drill.home / "config/gameday/allowed_signers", "a", encoding="utf-8") as file:
            file.write((key.parent / "allowed_signers").read_text(encoding="utf-8"))


def again_where_starved(drill: Drill, done: Any, name: str) -> Any:
    """As ``Drill.run``: lost looks of a stalled machine are no finding. By hand, as one does."""
    if done.returncode == EXIT_UNKNOWN and drill._starved():
        done = drill.gameday("schedule", "run", name, "--user")
    return done


@pytest.fixture
def were(drill: Drill) -> Iterator[dict[str, str]]:
    """What nodes had before, while their sudo reads rules of a directory."""
    includes(drill, NODES)
    yield {node: listed(drill, node) for node in NODES}
    without(drill, NODES)


def test_two_quarters(drill: Drill, hooks: Hooks, were: dict[str, str]) -> None:
    inventory = estate(drill, hooks)
    there = ("-i", str(inventory), *OURS, *NODES)
    deep = ("check", "--deep", "--expect")
    said = assert_code(nodes(drill, "prepare", *there), 0)
    assert "3 nodes prepared, 3 changed" in said, said
    assert_code(nodes(drill, *deep, "prepared", *there), 0)
    quarters(drill, hooks, inventory)
    said = assert_code(nodes(drill, "clean", *there), 0)
    assert "3 nodes clean" in said, said
    assert_code(nodes(drill, *deep, "clean", *there), 0)
    assert {node: listed(drill, node) for node in NODES} == were


def estate(drill: Drill, hooks: Hooks) -> Path:
    """The lab, for a user that no node has yet, with a policy; who is told is a secret."""
    secret = drill.home / "hook.env"
    secret.write_text(f"HOOK={hooks.url}\n", encoding="utf-8")
    secret.chmod(0o600)
    told = {"name": "ops", "url_env": "HOOK", "required": True, "timeout_s": 60}
    policy = {"approvals": 2, "announcements": [told]}
    return drill.inventory(
        lambda data: data["vars"].update(gameday_policy=policy, ansible_user="drill")
    )


def quarters(drill: Drill, hooks: Hooks, inventory: Path) -> None:
    """This quarter's drill and the next one."""
    people(drill)
    timer, other = (add(drill, name, inventory) for name in ("quarter", "other"))
    added_ns = clock.wall_ns()
    experiment = str(drill.home / "rehearsal.yaml")
    for name in PEOPLE:
        done = drill.gameday(
            "approve", experiment, "-i", str(inventory), "--yes", "--approvals",
            str(drill.home / "approvals"), "--key", str(drill.home / name / "key"),
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
    minute_ns = 60 * clock.NS_PER_S
    wait(lambda: clock.wall_ns() // minute_ns > added_ns // minute_ns, 120, lambda: "no minute")

    first = again_where_starved(drill, fire(timer), "quarter")
    assert first.returncode == 0, first.stdout + first.stderr
    before = drill.run_directory
    assert hooks.told[0]["event"] == "begins" and hooks.told[0]["drill"] == "quarter"
    assert hooks.told[-1]["event"] == "ended" and hooks.told[-1]["run"] == before.name
    assert hooks.told[-1]["verdict"] == "met" and hooks.told[-1]["clean"] is True
    assert SECRET not in first.stdout + first.stderr
    for path in before.iterdir():
        assert SECRET.encode() not in path.read_bytes(), path
    approved = [e["data"]["principals"] for e in drill.events() if e["kind"] == "run.approved"]
    assert sorted(approved) == ["ann@ops", "bob@ops"]

    done = drill.gameday("countersign", str(before), "--key", str(drill.home / "ann" / "key"))
    assert done.returncode == 0, done.stderr
    done = drill.gameday("verify", str(before))
    assert done.returncode == 0 and "ann@ops" in done.stdout, done.stdout + done.stderr

    done = again_where_starved(drill, drill.gameday("schedule", "run", "quarter", "--user"),
                               "quarter")  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    after = drill.run_directory
    assert after != before
    done = drill.gameday("compare", str(before), str(after), "--json")
    assert done.returncode in (0, 1), done.stdout + done.stderr
    (row,) = json.loads(done.stdout)["objectives"]
    assert row["objective"] == "failed user requests"
    listed = drill.gameday("schedule", "list", "--user", "--json", "--dates", "1")
    assert listed.returncode == 0, listed.stdout + listed.stderr
    while_another_runs(drill, other)
    assert hooks.told[-1]["event"] == "refused" and hooks.told[-1]["drill"] == "other"
    assert drill.leftovers() == []


def while_another_runs(drill: Drill, timer: list[str]) -> None:
    """A timer that fires while a drill runs: refused, who is first is named, nothing is armed."""
    # It is ended as soon as the timer has fired; it must not end before that by itself.
    runs = len(list(drill.reports.iterdir())) + 1
    going = drill.start(rehearsal(drill, 240, "x.yaml"))
    log = drill.home / "run.log"
    wait(lambda: len(list(drill.reports.iterdir())) == runs, RUN_TIMEOUT_S, log.read_text)
    drill.wait_step("arm", RUN_TIMEOUT_S)
    busy = fire(timer)
    said = busy.stdout + busy.stderr
    assert busy.returncode == EXIT_UNKNOWN, said
    assert "is in use: run of x.yaml" in said and "Nothing was begun" in said
    assert "Traceback" not in said and len(list(drill.reports.iterdir())) == runs
    assert going.poll() is None, "the drill was to go on meanwhile"
    going.send_signal(signal.SIGINT)
    going.wait(timeout=RUN_TIMEOUT_S)
