# SPDX-License-Identifier: Apache-2.0
"""A machine that lacks something is told exactly what, all of it at once."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from gameday.errors import EXIT_UNKNOWN, CannotRun
from gameday.lab import Lab, system


def test_without_root_it_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(system.os, "geteuid", lambda: 1000)
    with pytest.raises(CannotRun) as caught:
        system.check_machine({})
    assert any("root" in problem for problem in caught.value.problems)
    assert caught.value.exit_code == EXIT_UNKNOWN


def test_missing_programs_are_named_by_their_packages_in_one_command(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(system.os, "geteuid", lambda: 1000)
    monkeypatch.setattr(system.shutil, "which", lambda name, path="": None)
    with pytest.raises(CannotRun) as caught:
        system.check_machine({})
    packages = next(p for p in caught.value.problems if "apt-get install" in p)
    assert "etcd-server" in packages
    assert "gdnsd" in packages
    assert any("root" in problem for problem in caught.value.problems)


def test_a_container_that_allows_no_namespaces_is_told_so(monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(argv: Sequence[str]) -> int:
        return int(argv[0] == "unshare" and "--pid" in argv)

    monkeypatch.setattr(system.os, "geteuid", lambda: 0)
    monkeypatch.setattr(system.shutil, "which", lambda name, path="": f"/usr/bin/{name}")
    monkeypatch.setattr(system, "run_ok", refused)
    with pytest.raises(CannotRun) as caught:
        system.check_machine({})
    assert any("unshare" in problem for problem in caught.value.problems)


@pytest.mark.parametrize("name", ["", "../etc", "a b", "a/b", "a-b"])
def test_a_name_that_could_be_a_path_is_refused(name: str) -> None:
    with pytest.raises(CannotRun):
        Lab(name)
