# SPDX-License-Identifier: Apache-2.0
"""Which agent is started: the sealed one of a prepared node, or one in the user's home.

Commands run here, in a directory that stands for the user's home.
"""

from __future__ import annotations

import subprocess
from collections.abc import Sequence
from pathlib import Path

import pytest

from gameday.transport import agent as module
from gameday.transport.agent import push
from gameday.transport.package import agent_package
from gameday.transport.pinned import not_pinned
from gameday.transport.ssh import Address, Jump

NAME = f"agent-{agent_package().sha256[:16]}.pyz"
ADDRESS = Address("n", "10.0.0.1", 22, "drill", None, "known_hosts", "/usr/bin/python3")


class Here:
    """A connection to this host."""

    address = ADDRESS

    def __init__(self, home: Path) -> None:
        self._home = home
        self.sent: list[str] = []

    def run(self, argv: Sequence[str], stdin: bytes = b"") -> tuple[int, bytes, bytes]:
        done = subprocess.run(argv, cwd=self._home, capture_output=True, check=False, input=stdin)
        return done.returncode, done.stdout, done.stderr

    def put(self, content: bytes, path: str) -> None:
        self.sent.append(path)
        (self._home / path).write_bytes(content)


@pytest.fixture
def sealed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where a prepared node has its agent."""
    directory = tmp_path / "etc"
    directory.mkdir()
    monkeypatch.setattr(module, "SEALED", str(directory))
    return directory


@pytest.mark.usefixtures("sealed")
def test_a_node_that_was_not_prepared(tmp_path: Path) -> None:
    one = Here(tmp_path)
    assert push(one) == (f".gameday/{NAME}", False, True)  # type: ignore[arg-type]
    assert push(one) == (f".gameday/{NAME}", False, False)  # type: ignore[arg-type]
    assert one.sent == [f".gameday/{NAME}"]


def test_a_prepared_node(tmp_path: Path, sealed: Path) -> None:
    one = Here(tmp_path)
    (sealed / NAME).write_bytes(agent_package().content)
    assert push(one) == (f"{sealed}/{NAME}", True, False)  # type: ignore[arg-type]
    assert one.sent == [] and not (tmp_path / ".gameday").exists()


def test_a_sealed_agent_with_other_bytes_is_not_started(tmp_path: Path, sealed: Path) -> None:
    one = Here(tmp_path)
    (sealed / NAME).write_bytes(b"other")
    assert push(one)[:2] == (f".gameday/{NAME}", False)  # type: ignore[arg-type]


def test_jump_hosts_are_pinned_too(tmp_path: Path) -> None:
    known = tmp_path / "known_hosts"
    key = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIKvbH4LozyaV9ns/NgQ6+4nio3yPfzLbSddCYSJSjLpa"
    known.write_text(f"10.0.0.1 {key}\n", encoding="ascii")
    way = (Jump("192.0.2.7", 2222, "door", None),)
    address = Address("n", "10.0.0.1", 22, "drill", None, str(known), "/usr/bin/python3", way)
    ((node, what, _),) = not_pinned([address])
    assert node == "n" and "no host key of jump host [192.0.2.7]:2222 is pinned" in what
    known.write_text(f"10.0.0.1,[192.0.2.7]:2222 {key}\n", encoding="ascii")
    assert not_pinned([address]) == []
