# SPDX-License-Identifier: Apache-2.0
"""``gameday ack``: what a person says gets into the journal, with the kernel's word on who."""

from __future__ import annotations

import getpass
import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from gameday import clock
from gameday.cli.main import cli
from gameday.conduct.acks import ACKS_MAX, DIRECTORY, Acks, discard, tell
from gameday.conduct.collect import Recorder
from gameday.errors import InvalidInput, Refused
from gameday.record import kinds
from gameday.record.journal import read_events


def listen(directory: Path) -> tuple[Acks, Recorder, list[str]]:
    recorder, notes = Recorder(directory), list[str]()
    acks = Acks(directory, recorder, notes.append)
    acks.open()
    return acks, recorder, notes


def test_what_is_said_is_written_down(tmp_path: Path) -> None:
    acks, recorder, notes = listen(tmp_path)
    before = clock.mono_ns()
    tell(tmp_path, "Frankfurt\x1b[2J is\ngone", "kim")
    acks.close()
    recorder.close()
    events = read_events(tmp_path / "events.jsonl")
    assert [e.kind for e in events] == [kinds.ACKS_OPENED, kinds.HUMAN_ACK, kinds.ACKS_CLOSED]
    said = events[1]
    assert said.data["text"] == "Frankfurt [2J is gone"
    assert (said.data["user"], said.data["said_by"]) == (getpass.getuser(), "kim")
    assert before <= said.data["said_ns"] <= said.at_ns
    assert notes == ["kim says: Frankfurt [2J is gone"]
    assert not (tmp_path / DIRECTORY).exists(), "a finished run holds nothing but its record"


def test_who_does_not_listen_is_said(tmp_path: Path) -> None:
    with pytest.raises(Refused, match="does not listen"):
        tell(tmp_path, "hello", "")
    with pytest.raises(InvalidInput, match="nothing to tell"):
        tell(tmp_path, " \n", "")


def test_what_is_not_ours_is_not_taken(tmp_path: Path) -> None:
    acks, recorder, notes = listen(tmp_path)
    place = tmp_path / DIRECTORY
    secret = tmp_path / "secret.json"
    secret.write_text(json.dumps({"text": "x", "said_by": "", "said_ns": 1, "boot_id": ""}))
    (place / "a.json").symlink_to(secret)
    (place / "b.json").write_text("not json")
    (place / "c.json").write_text(json.dumps({"text": 1, "said_by": "", "said_ns": 1,
                                              "boot_id": ""}))  # fmt: skip
    (place / "d.json").write_text("x" * 10_000)
    (place / "e.part").write_text("half")
    acks.close()
    recorder.close()
    assert len(notes) == 4
    assert secret.exists()
    assert not any(e.kind == kinds.HUMAN_ACK for e in read_events(tmp_path / "events.jsonl"))


def test_a_stamp_of_another_boot_or_of_the_future_is_not_believed(tmp_path: Path) -> None:
    acks, recorder, _ = listen(tmp_path)
    for number, (stamp, boot) in enumerate(((5, "other"), (1 << 62, clock.boot_id()))):
        (tmp_path / DIRECTORY / f"{number}.json").write_text(
            json.dumps({"text": "x", "said_by": "", "said_ns": stamp, "boot_id": boot})
        )
    acks.close()
    recorder.close()
    found = [e for e in read_events(tmp_path / "events.jsonl") if e.kind == kinds.HUMAN_ACK]
    assert len(found) == 2
    assert all(0 <= e.at_ns - e.data["said_ns"] < clock.NS_PER_S for e in found)


def test_too_many_words_are_a_program(tmp_path: Path) -> None:
    acks, recorder, _ = listen(tmp_path)
    for number in range(ACKS_MAX + 10):
        said = {"text": "x", "said_by": "", "said_ns": 5, "boot_id": clock.boot_id()}
        part = tmp_path / DIRECTORY / f"{number:04d}.part"
        part.write_text(json.dumps(said))
        part.rename(part.with_suffix(".json"))
    acks.close()
    recorder.close()
    events = read_events(tmp_path / "events.jsonl")
    assert sum(e.kind == kinds.HUMAN_ACK for e in events) == ACKS_MAX


def test_discard_twice(tmp_path: Path) -> None:
    (tmp_path / DIRECTORY).mkdir()
    (tmp_path / DIRECTORY / "x.json").write_text("{}")
    discard(tmp_path)
    discard(tmp_path)
    assert not (tmp_path / DIRECTORY).exists()


def test_the_command(tmp_path: Path) -> None:
    run = tmp_path / "20260101T000000Z-drill-abc123"
    run.mkdir()
    (run / "plan.json").write_text("{}")
    acks, recorder, notes = listen(run)
    asked = ["ack", "--reports", str(tmp_path), "--as", "kim", "drill", "all dark"]
    found = CliRunner().invoke(cli, asked, standalone_mode=False)
    acks.close()
    recorder.close()
    assert found.output == f"told {run.name}\n" and notes == ["kim says: all dark"]
    none = CliRunner().invoke(
        cli, ["ack", "--reports", str(tmp_path), "all dark"], standalone_mode=False
    )
    assert isinstance(none.exception, InvalidInput)
    assert "no run goes on" in none.exception.message
