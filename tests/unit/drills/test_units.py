# SPDX-License-Identifier: Apache-2.0
"""What systemd is asked, with a systemctl that keeps what it was called with."""

from __future__ import annotations

import os
from datetime import UTC, datetime
from pathlib import Path

import pytest

from gameday.drills import units
from gameday.drills.calendar import parse
from gameday.drills.schedule import Drill
from gameday.errors import CannotRun

SCRIPT = '#!/bin/sh\necho "$@" >>{log}\n{fails} && {{ echo "no bus" >&2; exit 1; }}\nexit 0\n'
MOMENT = datetime(2026, 1, 1, tzinfo=UTC)


def drill() -> Drill:
    paths = {name: "/x" for name in ("experiment", "inventory", "reports", "approvals", "key",
                                     "allowed_signers", "journal")}  # fmt: skip
    return Drill.model_validate({"name": "q", "on": "quarterly", "time_zone": "UTC", "kind": "user",
                                 "length_s": 1, "added_ns": 0, **paths})  # fmt: skip


def tools(place: Path, monkeypatch: pytest.MonkeyPatch, name: str, fails: str) -> Path:
    """A tool of systemd's, first in PATH; its calls go to the file that is returned."""
    log = place / "log"
    tool = place / "bin" / name
    tool.parent.mkdir(exist_ok=True)
    tool.write_text(SCRIPT.format(log=log, fails=fails), encoding="utf-8")
    tool.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tool.parent}:{os.environ['PATH']}")
    monkeypatch.setenv("XDG_CONFIG_HOME", str(place / "config"))
    monkeypatch.setattr(units, "running", lambda: True)
    return log


def test_a_users_timer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Enabled when its files are there; removed, nothing of it is left."""
    log = tools(tmp_path, monkeypatch, "systemctl", "false")
    written = units.install(drill(), Path("/drills"))
    assert [path.parent for path in written] == [tmp_path / "config/systemd/user"] * 2
    assert log.read_text(encoding="utf-8").splitlines() == [
        "--no-ask-password --user daemon-reload",
        "--no-ask-password --user enable --now gameday_drill-q.timer"]  # fmt: skip
    assert sorted(units.remove(drill())) == sorted(written)
    assert not any(path.exists() for path in written) and units.remove(drill()) == []


def test_nothing_is_left_where_systemd_refuses(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tools(tmp_path, monkeypatch, "systemctl", "true")
    with pytest.raises(CannotRun, match="no bus"):
        units.install(drill(), Path("/drills"))
    assert list((tmp_path / "config/systemd/user").iterdir()) == []


@pytest.mark.parametrize(
    ("answer", "said"),
    [("    Next elapse: Thu 2026-04-02 00:00:00 UTC", "systemd reads 2026-04-02 00:00"),
     ("    Next elapse: Wed 2026-04-01 00:00:00 UTC", ""), ("", "finds no date")],
)  # fmt: skip
def test_systemd_has_the_last_word(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, answer: str, said: str
) -> None:
    """Where it reads an expression differently, the drill is refused."""
    tools(tmp_path, monkeypatch, "systemd-analyze", f"echo '{answer}'; false")
    found = units.disagreement(parse("quarterly"), MOMENT)
    assert said in found and bool(said) == bool(found)
