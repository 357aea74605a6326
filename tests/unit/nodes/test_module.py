# SPDX-License-Identifier: Apache-2.0
"""The Ansible module that looks at a node, on directories as a node has them."""

from __future__ import annotations

import ast
import importlib.util
from pathlib import Path
from types import ModuleType

import pytest

from gameday.nodes.job import playbooks

PATH = playbooks() / "library" / "gameday_node.py"


@pytest.fixture(scope="module")
def module() -> ModuleType:
    spec = importlib.util.spec_from_file_location("gameday_node", PATH)
    assert spec is not None and spec.loader is not None
    found = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(found)
    return found


def test_nodes_run_python_3_9() -> None:
    ast.parse(PATH.read_text(encoding="utf-8"), feature_version=(3, 9))


def test_open_leases(module: ModuleType, tmp_path: Path) -> None:
    assert module.leases(tmp_path / "none") == []
    for name in ("0a0b0c0d.json", "11111111.ended.json", "0a0b0c0d.reap.pid", ".lock"):
        (tmp_path / name).touch()
    assert module.leases(tmp_path) == ["0a0b0c0d"]


@pytest.mark.parametrize(("text", "family"), [
    ("ID=debian\n", "debian"), ("ID=ubuntu\nID_LIKE=debian\n", "debian"),
    ('ID="rocky"\nID_LIKE="rhel centos fedora"\n', "rhel"), ("ID=fedora\n", "rhel"),
    ("ID=alpine\n", "alpine"), ("", "unknown"),
])  # fmt: skip
def test_families(module: ModuleType, tmp_path: Path, text: str, family: str) -> None:
    (tmp_path / "os-release").write_text(text, encoding="ascii")
    assert module.family(tmp_path / "os-release") == family


def test_processes_of_the_agent(module: ModuleType, tmp_path: Path) -> None:
    commands = {
        "1": "/sbin/init", "20": "/usr/bin/python3\0-I\0-S\0/var/lib/gameday/agent/ab\0reap",
        "21": "/usr/bin/python3\0-I\0-S\0/etc/gameday/agent-ab.pyz\0serve",
        "22": "vi\0/etc/gameday/agent-ab.pyz", "23": "/usr/bin/python3\0/opt/other.py", "24": "",
    }  # fmt: skip
    for pid, command in commands.items():
        (tmp_path / pid).mkdir()
        (tmp_path / pid / "cmdline").write_text(command, encoding="ascii")
    (tmp_path / "meminfo").touch()
    (tmp_path / "25").mkdir()
    assert module.processes(tmp_path) == [20, 21]


def test_missing_commands_and_users(module: ModuleType) -> None:
    found = module.look("no-such-user-here", ["sh", "no-such-program"], ["no_such_module"])
    assert found["missing"] == ["no-such-program"]
    assert found["user"] == {} and found["modules"] == {"no_such_module": "missing"}
