# SPDX-License-Identifier: Apache-2.0
"""The lab's nodes prepared for a user of gameday's own, used, and cleaned again."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from gameday.errors import EXIT_NOT_CLEAN, EXIT_NOT_MET, EXIT_UNKNOWN
from tests.lab.drill import Drill, wait
from tests.lab.prepared import (
    OURS,
    STEP_S,
    assert_code,
    includes,
    listed,
    nodes,
    without,
)

NODES = ("fra-1", "cli-1")
"""One that gets a lease and one that looks; on the others the lab's own user stays."""

RUNNER = str(Path(sys.executable).with_name("ansible-runner"))


@pytest.fixture
def mine(drill: Drill) -> Path:
    """The lab's inventory, with a user that no node has for those that are prepared."""

    def shape(data: dict[str, Any]) -> None:
        for site in data["children"]["sites"]["children"].values():
            for name in set(site["hosts"]) & set(NODES):
                site["hosts"][name]["ansible_user"] = "drill"

    return drill.inventory(shape)


@pytest.fixture
def reading(drill: Drill) -> Iterator[None]:
    """sudo reads /etc/sudoers.d on the nodes that can be prepared."""
    includes(drill, NODES)
    yield
    without(drill, NODES)


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
    # What earlier tests left of an agent is not ours to find again.
    drill.lab.exec("lon-2", ["rm", "-rf", "/var/lib/gameday"])
    was = listed(drill, "lon-2")
    said = assert_code(
        nodes(drill, "prepare", "-i", inventory, *OURS, "lon-2", "ams-1", "cli-1"), EXIT_UNKNOWN
    )
    assert "2 of 3 nodes not prepared" in said, said
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
    inventory = str(mine)
    was = {node: listed(drill, node) for node in NODES}

    said = assert_code(
        nodes(drill, "prepare", "-i", inventory, *OURS, "--check", "--diff", "fra-1"), 0
    )
    assert "+drill ALL=(root) NOPASSWD: NOSETENV: /usr/bin/python3 -I -S /etc/gameday/" in said
    assert listed(drill, "fra-1") == was["fra-1"]

    said = assert_code(nodes(drill, "prepare", "-i", inventory, *OURS, *NODES), 0)
    assert "2 nodes prepared, 2 changed" in said, said
    said = assert_code(nodes(drill, "prepare", "-i", inventory, *OURS, *NODES), 0)
    assert "2 nodes prepared, 0 changed" in said, said
    deep = ("check", "--deep", "-i", inventory, *OURS)
    assert "not proven" not in assert_code(nodes(drill, *deep, *NODES), 0)

    _drill(drill, mine)

    assert_code(nodes(drill, *deep, "--expect", "ended", "fra-1"), 0)
    said = assert_code(nodes(drill, "clean", "-i", inventory, *OURS, *NODES), 0)
    assert "2 nodes clean" in said, said
    assert_code(nodes(drill, *deep, "--expect", "clean", "fra-1"), 0)
    assert {node: listed(drill, node) for node in NODES} == was


def _drill(drill: Drill, inventory: Path) -> None:
    """A run by the prepared user, stopped by hand; meanwhile its lease is proven and protected."""
    experiment = drill.experiment(lambda data: data["faults"][0].update(for_s=1800))
    process = drill.start(experiment, inventory)
    drill.wait_step("faults", timeout_s=240)
    deep = ("check", "--deep", "-i", str(inventory), *OURS, "--expect")
    assert_code(nodes(drill, *deep, "armed", "fra-1"), 0)
    # A proof that cannot fail would prove nothing.
    said = assert_code(nodes(drill, *deep, "ended", "fra-1"), EXIT_NOT_MET)
    assert "fra-1: no lease is open: not proven: open: " in said, said
    said = assert_code(nodes(drill, "clean", "-i", str(inventory), *OURS, "fra-1"), EXIT_NOT_CLEAN)
    assert "fra-1: No lease is open: 1 open here" in said, said
    process.send_signal(signal.SIGINT)
    process.wait(timeout=STEP_S)

    def agents() -> str:
        return str(drill.lab.exec("fra-1", ["pgrep", "-af", "[g]ameday/agent/"]).stdout)

    wait(lambda: not agents(), 120, agents)
    assert drill.report()["clean"]["proven"] is True
    assert drill.leftovers() == []
    home = drill.lab.exec("fra-1", ["ls", "-a", "/home/drill"]).stdout.split()
    assert ".gameday" not in home, "an agent was pushed although the sealed one is there"


@pytest.fixture
def key_agent(drill: Drill) -> Iterator[None]:
    """An ssh-agent with the lab's key, as the user's environment names it."""
    socket = str(drill.home / "agent.sock")
    process = subprocess.Popen(["ssh-agent", "-D", "-a", socket], stdout=subprocess.DEVNULL)
    try:
        wait(lambda: Path(socket).exists(), 60, lambda: "ssh-agent does not begin")
        drill.environment["SSH_AUTH_SOCK"] = socket
        key = drill.lab.inventory.parent / "id_ed25519"
        subprocess.run(["ssh-add", "-q", str(key)], check=True, env=drill.environment)
        yield
    finally:
        process.terminate()
        process.wait()


@pytest.mark.usefixtures("key_agent")
def test_behind_a_jump_host(drill: Drill) -> None:
    """A node that only another one reaches: for runs, for playbooks, and only by pinned keys.

    The jump host's key comes from ssh's configuration, the node's from the agent.
    """
    state, home = drill.lab.inventory.parent, drill.home
    (home / ".ssh").mkdir()
    (home / ".ssh" / "config").write_text(
        f"Host door\n  HostName 198.19.0.21\n  User gameday\n  IdentityFile {state}/id_ed25519\n",
        encoding="ascii",
    )
    pinned = (state / "known_hosts").read_text(encoding="ascii")
    key = (state / "keys" / "lon-2.pub").read_text(encoding="ascii")
    known = home / "known_hosts"

    def shape(data: dict[str, Any]) -> None:
        data["vars"]["gameday_known_hosts"] = str(known)
        del data["vars"]["ansible_ssh_private_key_file"]
        lon_2 = data["children"]["sites"]["children"]["london"]["hosts"]["lon-2"]
        # No route leads from the controller to the nodes' own network.
        lon_2["ansible_host"] = lon_2["gameday_addresses"][0]
        lon_2["ansible_ssh_common_args"] = "-o ProxyJump=door"
        known.write_text(f"{pinned}{lon_2['ansible_host']} {key}", encoding="ascii")

    inventory = str(drill.inventory(shape))
    assert "lon-2" in assert_code(drill.gameday("faults", "check", "-i", inventory, "lon-2"), 0)
    check = ("check", "-i", inventory, *OURS, "--user", "drill", "--authorize",
             f"{state}/id_ed25519.pub", "lon-2")  # fmt: skip
    assert "lon-2: not prepared; lacks: " in assert_code(nodes(drill, *check), EXIT_NOT_MET)

    lines = [x for x in known.read_text(encoding="ascii").splitlines() if "198.19.0.21 " not in x]
    known.write_text("\n".join(lines) + "\n", encoding="ascii")
    said = assert_code(drill.gameday("faults", "check", "-i", inventory, "lon-2"), EXIT_UNKNOWN)
    assert "lon-2 (jump host gameday@198.19.0.21 port 22)" in said, said
    said = assert_code(nodes(drill, *check), EXIT_UNKNOWN)
    # ssh does not hand on what the one to the jump host said; nothing but the pinned key is gone.
    assert "is the jump host up, and its host key pinned" in said, said
