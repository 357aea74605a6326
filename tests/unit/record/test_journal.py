# SPDX-License-Identifier: Apache-2.0
"""The journal survives a dying writer, and holds no floats."""

from __future__ import annotations

from pathlib import Path

import pytest

from gameday.errors import EvidenceError, RequirementFailed
from gameday.record.journal import Journal, read_events
from gameday.record.types import Event, Sample, from_json, to_json


def test_events_are_read_back_in_order(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "e")
    journal.write("run.step", step="arm", text="ü")
    journal.write("node.back", node="n")
    journal.close()
    events = read_events(tmp_path / "e")
    assert [(e.seq, e.kind) for e in events] == [(0, "run.step"), (1, "node.back")]
    assert events[0].data["text"] == "ü"
    assert events[0].at_ns <= events[1].at_ns


def test_an_unfinished_line_is_cut_off_and_the_journal_goes_on(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "e")
    journal.write("run.step", step="a", text="")
    journal.close()
    with open(tmp_path / "e", "ab") as file:
        file.write(b'{"seq": 1, "kind"')
    journal = Journal(tmp_path / "e")
    journal.write("run.step", step="b", text="")
    journal.close()
    assert [e.data["step"] for e in read_events(tmp_path / "e")] == ["a", "b"]


@pytest.mark.parametrize("line", [b"nonsense\n", b"{}\n", b"[]\n", b'{"seq": 1}\n'])
def test_a_damaged_whole_line_is_said(tmp_path: Path, line: bytes) -> None:
    (tmp_path / "e").write_bytes(line)
    with pytest.raises(EvidenceError, match=":1:"):
        read_events(tmp_path / "e")


def test_a_missing_event_is_said(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "e")
    for step in "abc":
        journal.write("run.step", step=step, text="")
    journal.close()
    lines = (tmp_path / "e").read_bytes().splitlines(keepends=True)
    (tmp_path / "e").write_bytes(lines[0] + lines[2])
    with pytest.raises(EvidenceError, match="where 1 is due"):
        read_events(tmp_path / "e")


def test_floats_are_refused(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "e")
    with pytest.raises(RequirementFailed):
        journal.write("run.step", step="x", text="", deep=[{"a": 0.5}])
    assert read_events(tmp_path / "e") == []


def test_records_are_equal_after_a_round_trip() -> None:
    sample = Sample("dns", "cli-1", "fra-2", 3, 10, 20, True, {"addresses": ["a"]}, "")
    assert from_json(Sample, to_json(sample)) == sample
    event = Event(0, 1, 2, "run.step", {"step": "a"})
    assert from_json(Event, to_json(event)) == event
    with pytest.raises(EvidenceError, match="extra"):
        from_json(Event, {**to_json(event), "extra": 1})
