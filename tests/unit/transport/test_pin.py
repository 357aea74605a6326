# SPDX-License-Identifier: Apache-2.0
"""Which host keys a connection is pinned to: those that its file has for that host, no others."""

from __future__ import annotations

from pathlib import Path

import paramiko
import pytest

from gameday.transport.ssh import Address, Jump, known_as, pin

ONE = "AAAAC3NzaC1lZDI1NTE5AAAAIKvbH4LozyaV9ns/NgQ6+4nio3yPfzLbSddCYSJSjLpa"
TWO = "AAAAC3NzaC1lZDI1NTE5AAAAIIAQ6+4nio3yPfzLbSddCYSJSjLpaKvbH4LozyaV9ns/"


def pinned(tmp_path: Path, lines: str, name: str = "10.0.0.1") -> dict[str, str]:
    path = tmp_path / "known_hosts"
    path.write_text(lines, encoding="utf-8")
    keys = paramiko.HostKeys()
    pin(keys, name, path)
    assert list(keys) in ([], [name]), "nobody else's keys"
    return {kind: key.get_base64() for kind, key in (keys.lookup(name) or {}).items()}


@pytest.mark.parametrize(
    "line",
    [f"10.0.0.1 ssh-ed25519 {ONE}",
     f"node,10.0.0.1 ssh-ed25519 {ONE} a comment",
     f"{paramiko.HostKeys.hash_host('10.0.0.1')} ssh-ed25519 {ONE}"],
)  # fmt: skip
def test_a_host_is_found_by_each_of_its_names(tmp_path: Path, line: str) -> None:
    others = f"10.0.0.11 ssh-ed25519 {TWO}\n[10.0.0.1]:2222 ssh-ed25519 {TWO}\n"
    assert pinned(tmp_path, f"{others}{line}\n{others}") == {"ssh-ed25519": ONE}


def test_the_first_of_two_keys_counts_as_paramiko_has_it(tmp_path: Path) -> None:
    lines = f"10.0.0.1 ssh-ed25519 {ONE}\n10.0.0.1 ssh-ed25519 {TWO}\n"
    assert pinned(tmp_path, lines) == {"ssh-ed25519": ONE}
    loaded = paramiko.HostKeys(str(tmp_path / "known_hosts"))
    assert loaded["10.0.0.1"]["ssh-ed25519"].get_base64() == ONE


@pytest.mark.parametrize(
    "line",
    [f"# 10.0.0.1 ssh-ed25519 {ONE}", "10.0.0.1 ssh-ed25519", "10.0.0.1 ssh-ed25519 x",
     f"10.0.0.1 ssh-ed25519 {ONE[:7]}!!!{ONE[8:]}",
     f"10.0.0.1 ssh-other {ONE}", f"@revoked 10.0.0.1 ssh-ed25519 {ONE}",
     f"10.0.0.* ssh-ed25519 {ONE}", f"110.0.0.1 ssh-ed25519 {ONE}"],
)  # fmt: skip
def test_a_line_without_its_key_pins_nothing(tmp_path: Path, line: str) -> None:
    assert pinned(tmp_path, f"{line}\n") == {}


def test_a_file_that_cannot_be_read_says_so(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        pin(paramiko.HostKeys(), "10.0.0.1", tmp_path / "none")


def test_another_port_is_another_name() -> None:
    assert known_as(Jump("10.0.0.1", 2222, "u", None)) == "[10.0.0.1]:2222"
    assert known_as(Address("n", "10.0.0.1", 22, "u", None, "", "")) == "10.0.0.1"
