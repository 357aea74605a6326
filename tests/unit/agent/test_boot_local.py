# SPDX-License-Identifier: Apache-2.0
"""The unit that ends leases of the controller's host after a reboot: where it stands, and goes."""

from __future__ import annotations

import os
import pwd
from pathlib import Path

import pytest

from gameday.agent import vigil
from gameday.agent.system import boot_local

ARGV = ["/opt/a venv/bin/python", "-I", "-S", "/state/agent/x", "boot"]


@pytest.fixture
def base(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in ("RUNNING", "SYSTEM", "LINGER"):
        (tmp_path / name).mkdir()
        monkeypatch.setattr(boot_local, name, tmp_path / name)
    monkeypatch.setattr(vigil, "LOCAL", True)
    monkeypatch.setattr(vigil, "HOME", "/state")
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    return tmp_path


def test_of_the_system_for_root(base: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    boot_local.install(ARGV)
    (unit,) = (base / "SYSTEM").glob("gameday-boot-*.service")
    text = unit.read_text()
    assert "ExecStart='/opt/a venv/bin/python' -I -S /state/agent/x boot\n" in text
    assert "WantedBy=multi-user.target" in text and "Type=exec" in text
    link = base / "SYSTEM" / "multi-user.target.wants" / unit.name
    assert link.resolve() == unit and boot_local.there()
    boot_local.install(ARGV)
    boot_local.remove()
    assert list((base / "SYSTEM").rglob("*.service")) == [] and not boot_local.there()


def test_of_the_user_only_where_systemd_starts_it_at_boot(
    base: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    user = next(one for one in pwd.getpwall() if one.pw_uid != 0)
    monkeypatch.setattr(os, "geteuid", lambda: user.pw_uid)
    assert boot_local.place() is None
    boot_local.install(ARGV)
    assert not boot_local.there(), "without lingering nobody would start it"
    (base / "LINGER" / user.pw_name).touch()
    boot_local.install(ARGV)
    assert boot_local.there()
    assert (base / "config/systemd/user/default.target.wants").is_dir()


def test_none_on_nodes_and_without_systemd(base: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(vigil, "LOCAL", False)
    assert boot_local.place() is None
    monkeypatch.setattr(vigil, "LOCAL", True)
    (base / "RUNNING").rmdir()
    assert boot_local.place() is None
