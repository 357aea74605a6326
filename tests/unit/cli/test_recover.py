# SPDX-License-Identifier: Apache-2.0
"""``gameday recover`` ends what is left first; runs of no node at all stand for all others."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from gameday import clock
from gameday.cli.main import main
from gameday.conduct.collect import Recorder
from gameday.conduct.recover import state_of
from gameday.errors import EXIT_INVALID_INPUT, EXIT_UNKNOWN
from gameday.record import kinds
from tests.unit.synthetic import write_run


def unfinished(directory: Path) -> Path:
    """A run whose controller died before it had asked any node."""
    write_run(directory)
    (directory / "events.jsonl").unlink()
    plan = json.loads((directory / "plan.json").read_bytes())
    (directory / "plan.json").write_text(json.dumps({**plan, "probes": [], "faults": []}))
    inventory = {"nodes": {}, "workers": {}, "controller_netns": None}
    (directory / "inventory.json").write_text(json.dumps(inventory))
    recorder = Recorder(directory)
    recorder.event(kinds.RUN_STARTED, boot_id=clock.boot_id(), pid=1)
    recorder.close()
    assert state_of(directory) == "unfinished"
    return directory


def recover(reports: Path, capsys: pytest.CaptureFixture[str]) -> tuple[int, str]:
    """Exit code, and all that was said."""
    with pytest.raises(SystemExit) as caught:
        main(["recover", "--reports", str(reports), "--key", str(reports / "no-key")])
    said = capsys.readouterr()
    return int(str(caught.value.code)), said.out + said.err


def test_without_a_key_the_faults_end_all_the_same(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = unfinished(tmp_path / "20260101T000000Z-x-000001")
    code, said = recover(tmp_path, capsys)
    assert code == EXIT_INVALID_INPUT and state_of(run) == "ended", said
    assert "its faults are ended, everything is proven clean" in said
    assert f"gameday measure {run.name} --write" in said
    assert "no-key" in said, "which key is missing is said"


def test_a_run_that_cannot_be_read_keeps_no_other_waiting(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    broken = unfinished(tmp_path / "20260101T000000Z-x-000001")
    (broken / "inventory.json").unlink()
    run = unfinished(tmp_path / "20260101T000000Z-x-000002")
    code, said = recover(tmp_path, capsys)
    assert code == EXIT_UNKNOWN, said
    assert (state_of(broken), state_of(run)) == ("unfinished", "ended")
    assert "inventory.json" in said and "no-key" in said
