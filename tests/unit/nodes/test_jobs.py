# SPDX-License-Identifier: Apache-2.0
"""Jobs of ``gameday nodes``: what Ansible is given, and what is refused before that.

Ansible itself runs here too, on a playbook that cannot reach any node.
"""

from __future__ import annotations

import json
import socket
import sys
import threading
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml

from gameday.errors import CannotRun, InvalidInput
from gameday.nodes import job as jobs
from gameday.nodes.prepare import job
from gameday.plan import Inventory, load_inventory
from gameday.transport.package import agent_package

PUBLIC = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIKvbH4Lozya me@here"


@pytest.fixture
def estate(tmp_path: Path) -> Inventory:
    """Two nodes that nobody can reach, and a key."""
    (tmp_path / "known_hosts").touch()
    (tmp_path / "key.pub").write_text(PUBLIC + "\n", encoding="ascii")
    hosts = {name: {"ansible_host": "127.0.0.1", "ansible_port": port,
                    "gameday_addresses": [f"10.1.0.{port}"]}
             for name, port in (("a", 1), ("b", 2))}  # fmt: skip
    data = {"all": {
        "vars": {"ansible_user": "drill", "ansible_ssh_private_key_file": "key",
                 "gameday_known_hosts": "known_hosts", "gameday_management": ["10.0.0.0/24"]},
        "children": {"sites": {"children": {"here": {"hosts": hosts}}}},
    }}  # fmt: skip
    path = tmp_path / "inventory.yaml"
    path.write_text(yaml.safe_dump(data), encoding="utf-8")
    return load_inventory(path)


def test_what_every_node_gets(estate: Inventory) -> None:
    found = job("prepare", estate, ["a"], login="admin")
    assert found.variables["gameday_nodes"] == {
        "a": {
            "user": "drill",
            "python": "/usr/bin/python3",
            "vantage": False,
            "key": PUBLIC,
            "key_file": str(Path(estate.source).parent / "key"),
        }
    }
    assert found.variables["gameday_agent"]["sha256"] == agent_package().sha256
    assert found.files["agent.pyz"] == agent_package().content
    assert jobs.variables(found, "/c", "/k")["ansible_user"] == "admin"
    assert "ansible_user" not in jobs.variables(replace(found, login=""), "/c", "/k")


def test_every_probes_libraries_may_be_carried() -> None:
    from gameday.nodes.prepare import agent
    from gameday.probes import TABLE
    from gameday.transport.carried import archive, wanted

    kinds: list[dict[str, Any]] = [{"kind": kind} for kind in TABLE]
    named = {wanted([one]) for one in kinds} | {wanted(kinds)} - {()}
    assert {archive(one).sha256 for one in named if one} <= set(agent()["carried"])


def test_what_is_refused_before_any_node_is_touched(estate: Inventory, tmp_path: Path) -> None:
    odd = replace(estate, nodes=tuple(replace(one, python="python3") for one in estate.nodes))
    (tmp_path / "private").write_text("-----BEGIN OPENSSH PRIVATE KEY-----\n", encoding="ascii")
    with pytest.raises(InvalidInput) as caught:
        job("prepare", odd, ["a", "b"], key_file=tmp_path / "private")
    said = "\n".join(caught.value.problems)
    assert "a: drill is to be made and cannot do that itself; name an administrator" in said
    assert "b: ansible_python_interpreter 'python3' must be a path" in said
    assert "private: is no OpenSSH public key of one line" in said
    for user, why in (("root", "root needs no rule"), ("ALL", "is no name for a user"),
                      ("x, y", "is no name")):  # fmt: skip
        with pytest.raises(InvalidInput) as caught:
            job("clean", estate, ["a"], login="admin", user=user)
        assert why in caught.value.problems[0]


def test_pins_come_before_whatever_else_ssh_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    lines = jobs.ssh_config(Path("/k n")).splitlines()
    assert lines[:2] == ["StrictHostKeyChecking yes", 'UserKnownHostsFile "/k n"']
    assert lines.index(f'Include "{tmp_path}/.ssh/config"') > lines.index("KnownHostsCommand none")


def test_a_password_is_shown_nowhere(estate: Inventory) -> None:
    found = job("clean", estate, ["a"], login="admin", sudo_password="hush")  # noqa: S106
    assert "hush" not in repr(found)
    assert "hush" not in json.dumps(jobs.variables(found, "/c", "/k"))
    assert "hush" not in jobs.command_line(found)


def test_nodes_that_cannot_be_reached(estate: Inventory) -> None:
    """Through ansible-runner and Ansible: each node with its own reason, and none is done."""
    told: list[str] = []
    found = jobs.run(job("prepare", estate, ["a", "b"], login="admin"), told.append)
    assert set(found) == {"a", "b"}
    for one in found.values():
        assert one.lost and not one.done and "Look at the node" in one.problem()
    assert "a: Look at the node: failed" in told


def test_a_playbook_that_is_stopped_tells_no_node_as_done(estate: Inventory) -> None:
    """Stopped while the first node is looked at: it answers nothing, and nothing is known of it."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = silent.getsockname()[1]
        path = Path(estate.source)
        data = yaml.safe_load(path.read_text(encoding="utf-8"))
        hosts = data["all"]["children"]["sites"]["children"]["here"]["hosts"]
        hosts["a"]["ansible_port"] = port
        path.write_text(yaml.safe_dump(data), encoding="utf-8")
        stop, links = threading.Event(), list[Any]()

        def connected() -> None:
            links.append(silent.accept())
            stop.set()

        waiting = threading.Thread(target=connected, daemon=True)
        waiting.start()
        found = jobs.run(job("clean", load_inventory(path), ["a"], login="admin"), str, stop)
        waiting.join()
    assert not found["a"].done
    assert found["a"].problem() == (
        "a: not finished: the playbook stopped before its end; run it again"
    )


def test_a_playbook_that_cannot_begin(estate: Inventory) -> None:
    wrong = replace(job("clean", estate, ["a"], login="admin"), playbook="none.yaml")
    with pytest.raises(CannotRun, match="the playbook did not begin"):
        jobs.run(wrong, lambda line: None)


def test_nodes_behind_a_worker(estate: Inventory) -> None:
    """ansible-runner's own worker, as a process here: it gets only its own nodes."""
    runner = str(Path(sys.executable).with_name("ansible-runner"))
    whole = job("clean", estate, ["a", "b"], login="admin")
    found = jobs.run(
        replace(whole, workers={"west": [runner, "worker"]}, via={"b": "west"}), lambda line: None
    )
    for name in ("a", "b"):
        said = found[name].problem()
        assert found[name].lost and f"{name}: Look at the node: " in said, said
        assert "Connection refused" in said, said


@pytest.mark.parametrize(("command", "why"), [
    (["false"], "worker west was lost"), (["/nowhere/worker"], "cannot start /nowhere/worker"),
])  # fmt: skip
def test_a_lost_worker_is_said_of_its_nodes_alone(
    estate: Inventory, command: list[str], why: str
) -> None:
    whole = job("clean", estate, ["a", "b"], login="admin")
    found = jobs.run(replace(whole, workers={"west": command}, via={"b": "west"}), lambda x: None)
    assert "Look at the node" in found["a"].problem()
    assert why in found["b"].problem() and not found["b"].done


def test_a_worker_is_given_what_ansible_knows(estate: Inventory, tmp_path: Path) -> None:
    from gameday.nodes import relayed

    Path(estate.known_hosts).write_text("pinned\n", encoding="ascii")
    relayed.prepare(tmp_path / "there", job("prepare", estate, ["b"], login="admin"))
    hosts = json.loads((tmp_path / "there" / "inventory" / "hosts.json").read_text())["all"][
        "hosts"
    ]
    assert set(hosts) == {"b"} and hosts["b"]["ansible_port"] == 2
    assert hosts["b"]["ansible_user"] == "drill"
    assert (tmp_path / "there" / "project" / "known_hosts").read_text() == "pinned\n"
    assert (tmp_path / "there" / "project" / "agent.pyz").read_bytes() == agent_package().content
