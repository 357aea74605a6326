# SPDX-License-Identifier: Apache-2.0
"""The lab's nodes prepared for a user of gameday's own, used, and cleaned again."""

from __future__ import annotations

import signal
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from gameday.errors import EXIT_NOT_CLEAN, EXIT_NOT_MET, EXIT_UNKNOWN
from tests.lab.drill import Drill, wait
from tests.lab.prepared import (
    NODES,
    OURS,
    STEP_S,
    assert_code,
    includes,
    listed,
    nodes,
    without,
)

RUNNER = str(Path(sys.executable).with_name("ansible-runner"))


@pytest.fixture
def mine(drill: Drill) -> Path:
    """The lab's inventory for a user that no node has."""
    return drill.inventory(lambda data: data["vars"].update(ansible_user="drill"))


@pytest.fixture
def reading(drill: Drill) -> Iterator[None]:
    """sudo reads /etc/sudoers.d on all nodes but lon-2."""
    includes(drill, [node for node in NODES if node != "lon-2"])
    yield
    without(drill)


@pytest.mark.usefixtures("reading")
def test_a_node_that_fails_is_undone_and_the_others_go_on(drill: Drill) -> None:
    def shape(data: dict[str, Any]) -> None:
        data["vars"]["ansible_user"] = "drill"
        hosts = data["children"]["sites"]["children"]["amsterdam"]["hosts"]
        hosts["ams-1"]["ansible_host"] = "198.19.0.99"
        # The others do not have it, so the playbook goes both ways.
        data["vars"]["gameday_workers"] = {"west": [RUNNER, "worker"]}
        clients = data["children"]["sites"]["children"]["clients"]["hosts"]
        clients["cli-1"]["gameday_worker"] = "west"

    inventory = str(drill.inventory(shape))
    was = listed(drill, "lon-2")
    said = assert_code(
        nodes(drill, "prepare", "-i", inventory, *OURS, "lon-2", "ams-1", "cli-1"), EXIT_UNKNOWN
    )
    assert "2 of 3 node(s) not prepared" in said, said
    assert "lon-2: Sudo takes the rule: sudo does not read /etc/sudoers.d/gameday" in said, said
    assert "undone again" in said and "ams-1: Look at the node" in said, said
    assert listed(drill, "lon-2") == was

    said = assert_code(
        nodes(drill, "check", "-i", inventory, *OURS, "lon-2", "cli-1"), EXIT_NOT_MET
    )
    assert "cli-1: prepared" in said and "lon-2: not prepared; lacks: " in said, said
    assert_code(nodes(drill, "clean", "-i", inventory, *OURS, "cli-1"), 0)


@pytest.mark.usefixtures("reading")
def test_a_life_of_prepared_nodes(drill: Drill, mine: Path) -> None:
    """Prepare, again, prove, drill, clean: the nodes are as they were."""
    includes(drill, ["lon-2"])
    inventory = str(mine)
    was = {node: listed(drill, node) for node in NODES}

    said = assert_code(
        nodes(drill, "prepare", "-i", inventory, *OURS, "--check", "--diff", "fra-1"), 0
    )
    assert "+drill ALL=(root) NOPASSWD: NOSETENV: /usr/bin/python3 -I -S /etc/gameday/" in said
    assert listed(drill, "fra-1") == was["fra-1"]

    said = assert_code(nodes(drill, "prepare", "-i", inventory, *OURS, *NODES), 0)
    assert "7 node(s) prepared, 7 changed" in said, said
    said = assert_code(nodes(drill, "prepare", "-i", inventory, *OURS, *NODES), 0)
    assert "7 node(s) prepared, 0 changed" in said, said
    deep = ("check", "--deep", "-i", inventory, *OURS)
    assert "not proven" not in assert_code(nodes(drill, *deep, "fra-1", "cli-1"), 0)

    _drill(drill, mine)

    assert_code(nodes(drill, *deep, "--expect", "ended", "fra-1"), 0)
    said = assert_code(nodes(drill, "clean", "-i", inventory, *OURS, *NODES), 0)
    assert "7 node(s) clean" in said, said
    assert_code(nodes(drill, *deep, "--expect", "clean", "fra-1", "cli-1"), 0)
    assert {node: listed(drill, node) for node in NODES} == was


def _drill(drill: Drill, inventory: Path) -> None:
    """A run by the prepared user, stopped by hand; meanwhile its lease is proven and protected."""
    experiment = drill.experiment(lambda data: data["faults"][0].update(for_s=240))
    process = drill.start(experiment, inventory)
    drill.wait_step("faults", timeout_s=120)
    deep = ("check", "--deep", "-i", str(inventory), *OURS, "--expect")
    assert_code(nodes(drill, *deep, "armed", "fra-1"), 0)
    # A proof that cannot fail would prove nothing.
    said = assert_code(nodes(drill, *deep, "ended", "fra-1"), EXIT_NOT_MET)
    assert "fra-1: no lease is open: not proven: open: " in said, said
    said = assert_code(nodes(drill, "clean", "-i", str(inventory), *OURS, "fra-1"), EXIT_NOT_CLEAN)
    assert "fra-1: No lease is open: 1 lease(s) open here" in said, said
    process.send_signal(signal.SIGINT)
    process.wait(timeout=STEP_S)

    def agents() -> str:
        return str(drill.lab.exec("fra-1", ["pgrep", "-af", "[g]ameday/agent/"]).stdout)

    wait(lambda: not agents(), 120, agents)
    assert drill.report()["clean"]["proven"] is True
    assert drill.leftovers() == []
    home = drill.lab.exec("fra-1", ["ls", "-a", "/home/drill"]).stdout.split()
    assert ".gameday" not in home, "an agent was pushed although the sealed one is there"
