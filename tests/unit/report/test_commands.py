# SPDX-License-Identifier: Apache-2.0
"""measure, verify, report and keygen as a user types them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from gameday.cli.main import main
from gameday.record import kinds
from gameday.record.journal import Journal
from gameday.report.files import ENVELOPES, HTML
from gameday.report.keygen import NewKey
from tests.unit.synthetic import S, Truth, write_run


def call(*words: object) -> int:
    """The exit code of a command line."""
    with pytest.raises(SystemExit) as caught:
        main([str(word) for word in words])
    return int(str(caught.value.code))


def test_verify(run: Path, key: NewKey, capsys: pytest.CaptureFixture[str]) -> None:
    assert call("verify", run, "--allowed-signers", key.allowed_signers) == 0
    said = capsys.readouterr().out
    assert "✓ signed by operator@controller" in said
    assert "verdict: objectives met" in said


def test_verify_names_what_differs(
    run: Path, key: NewKey, capsys: pytest.CaptureFixture[str]
) -> None:
    with open(run / "samples.jsonl.gz", "ab") as file:
        file.write(b"\0")
    assert call("verify", run, "--allowed-signers", key.allowed_signers) == 1
    assert "samples.jsonl.gz: differs from what was signed" in capsys.readouterr().err


def test_verify_without_a_trust_file_is_three(run: Path, tmp_path: Path) -> None:
    assert call("verify", run, "--allowed-signers", tmp_path / "none") == 3


def test_report(run: Path, key: NewKey, capsys: pytest.CaptureFixture[str]) -> None:
    assert call("report", run, "--allowed-signers", key.allowed_signers) == 0
    said = capsys.readouterr().out
    assert "✓ OBJECTIVES MET" in said
    assert f"Report: {run / HTML}" in said
    assert "Signed by: operator@controller" in said
    (run / HTML).write_text("forged")
    assert call("report", run, "--allowed-signers", key.allowed_signers) == 1


def test_measure_touches_nothing(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = {p.name: (p.read_bytes(), p.stat().st_mtime_ns) for p in run.iterdir()}
    assert call("measure", run) == 0
    assert "time to detect" in capsys.readouterr().out
    assert call("measure", run, "--json") == 0
    assert capsys.readouterr().out.encode() == (run / "report.json").read_bytes()
    assert {p.name: (p.read_bytes(), p.stat().st_mtime_ns) for p in run.iterdir()} == before


def test_measure_writes_only_what_ended_and_is_not_signed(
    run: Path, key: NewKey, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert call("measure", run, "--write", "--key", key.private) == 2
    assert "signed already" in capsys.readouterr().err
    unfinished = tmp_path / "unfinished"
    write_run(unfinished, Truth(abort_ns=6 * S))
    assert call("measure", unfinished, "--write", "--key", key.private) == 3
    assert "ABORTED" in capsys.readouterr().out
    assert all((unfinished / name).exists() for name in ENVELOPES)
    assert call("verify", unfinished, "--allowed-signers", key.allowed_signers) == 0


def test_measure_does_not_finish_a_run_that_may_hold_leases(
    key: NewKey, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_run(tmp_path / "live")
    events = (tmp_path / "live" / "events.jsonl").read_text().splitlines(keepends=True)
    (tmp_path / "live" / "events.jsonl").write_text("".join(events[:-1]))
    assert call("measure", tmp_path / "live", "--write", "--key", key.private) == 2
    assert "gameday recover" in capsys.readouterr().err
    assert not (tmp_path / "live" / "report.json").exists()


def test_exit_codes_follow_the_verdict(tmp_path: Path) -> None:
    for name, truth, code in (
        ("missed", Truth(detected_ns=20 * S), 1),
        ("unclean", Truth(clean=False), 4),
        ("aborted", Truth(abort_ns=5 * S), 3),
    ):
        write_run(tmp_path / name, truth)
        assert call("measure", tmp_path / name) == code, name


def test_newest_run_by_default(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_run(tmp_path / "20260101T000000Z-a")
    write_run(tmp_path / "20260102T000000Z-b", Truth(detected_ns=20 * S))
    assert call("measure", "--reports", tmp_path, "--json") == 1
    assert json.loads(capsys.readouterr().out)["verdict"]["verdict"] == "not-met"


def test_keygen(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    assert call("keygen", "--principal", "me@here") == 0
    assert "SHA256:" in capsys.readouterr().out
    assert call("keygen", "--principal", "me@here") == 2
    assert call("keygen", "--if-missing") == 0


GIVEN_UP = "the estate is not steady; nothing was armed; web: 3 of 10 looks failed"


@pytest.mark.parametrize(
    ("kept", "said"),
    [
        ((), "planned, and never begun"),
        ((kinds.RUN_STARTED,), "has not ended: gameday status"),
        ((kinds.RUN_STARTED, kinds.ABORT, kinds.RUN_ENDED), f"given up before arming: {GIVEN_UP}"),
        ((kinds.RUN_STARTED, kinds.ARM_INTENT, kinds.ABORT, kinds.RUN_ENDED),
         "not judged: gameday measure --write"),
    ],
)  # fmt: skip
def test_history_says_what_became_of_a_run_without_a_report(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], kept: tuple[str, ...], said: str
) -> None:
    run = tmp_path / "20260101T000000Z-a"
    write_run(run)
    (run / "events.jsonl").unlink()
    data = {kinds.ABORT: {"why": GIVEN_UP, "by": "error"}}
    journal = Journal(run / "events.jsonl") if kept else None
    for kind in kept:
        assert journal is not None
        journal.write(kind, **data.get(kind, {}))
    name = json.loads((run / "plan.json").read_bytes())["experiment"]["metadata"]["name"]
    for words in ((), (name,)):
        assert call("history", *words, "--reports", tmp_path) == 0
        assert f"{run.name}: {said}\n" in capsys.readouterr().err
    assert call("history", "another", "--reports", tmp_path) == 0
    assert said not in capsys.readouterr().err


def test_history_says_where_a_report_is_damaged(
    run: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (run / "report.json").write_text("{")
    assert call("history", "--reports", run.parent) == 0
    assert f"{run.name}: report.json cannot be read: gameday verify\n" in capsys.readouterr().err


def test_history_and_compare(run: Path, key: NewKey, capsys: pytest.CaptureFixture[str]) -> None:
    """A run beside itself: nothing got worse, and what its widths leave open is said."""
    name = json.loads((run / "report.json").read_bytes())["experiment"]["name"]
    assert call("history", name, "--reports", run.parent) == 0
    assert f"{name}  objectives met  {run.name}\n    ✓ " in capsys.readouterr().out
    assert call("history", "no-such-drill", "--reports", run.parent) == 0
    assert "no run of no-such-drill" in capsys.readouterr().err
    page = run.parent / "compared.html"
    words = ("compare", run, run, "--allowed-signers", key.allowed_signers, "--html", page)
    assert call(*words) == 0
    said = capsys.readouterr().out
    assert "both verified" in said and "differs:" not in said and "  changed " not in said
    assert "Interval against interval" in page.read_text(encoding="utf-8")
    assert call(*words, "--json") == 0
    found = json.loads(capsys.readouterr().out)
    assert {one["found"] for one in found["objectives"]} <= {"not changed", "cannot say"}
    (run / HTML).write_text("forged")
    assert call(*words) == 1, "a run that is not what was signed is not compared"
    assert HTML in capsys.readouterr().err
