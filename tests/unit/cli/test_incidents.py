# SPDX-License-Identifier: Apache-2.0
"""A suite of incidents is read, planned and allowed as a whole, or nothing of it is run."""

from __future__ import annotations

import json
from pathlib import Path
from typing import cast

import click
import pytest
import yaml
from click.testing import CliRunner, Result

from gameday.cli.incidents import WORST_FIRST, files
from gameday.cli.main import cli
from gameday.errors import InvalidInput, NotProvenClean, SteadyStateFailed
from gameday.report.keygen import generate

ROOT = Path(__file__).parents[3]
LAB = ROOT / "inventory" / "lab.yaml"
SHIPPED = ROOT / "experiments" / "wan-congestion-frankfurt-london.yaml"


def run_all(suite: Path, home: Path, *more: str) -> Result:
    key = generate("operator@controller", path=home / "key").private
    return CliRunner().invoke(cli, [
        "run", str(suite), "--all", "-i", str(LAB), "--key", str(key),
        "--reports", str(home / "reports"), *more,
    ], standalone_mode=False)  # fmt: skip


def test_the_mistakes_of_every_file_are_told_and_nothing_is_run(tmp_path: Path) -> None:
    suite = tmp_path / "suite"
    suite.mkdir()
    text = SHIPPED.read_text()
    (suite / "a.yaml").write_text(text)
    (suite / "b.yaml").write_text(text)
    (suite / "c.yaml").write_text(text.replace("site: london", "site: paris"))
    (suite / "d.yaml").write_text("schema: gameday/v1\n")
    done = run_all(suite, tmp_path, "--yes")
    assert isinstance(done.exception, InvalidInput)
    told = "\n".join(done.exception.problems)
    assert "b.yaml: is called wan-congestion-frankfurt-london, as a.yaml is" in told
    assert "c.yaml" in told and "paris" in told and "d.yaml:1" in told
    assert not (tmp_path / "reports").exists()


def test_who_is_asked_and_says_no_runs_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gameday.cli.run.require_files", lambda inventory: None)
    suite = tmp_path / "suite"
    suite.mkdir()
    (suite / "a.yaml").write_text(SHIPPED.read_text())
    done = run_all(suite, tmp_path)
    assert "Run these 1 one after another now?" in done.output
    assert isinstance(done.exception, click.Abort) and not (tmp_path / "reports").exists()


def outcomes(monkeypatch: pytest.MonkeyPatch, home: Path, found: list[object]) -> list[str]:
    """Runs that end as they are told to; the estate alone is left out. Gives who was run."""
    ran: list[str] = []

    def carry_out(text: bytes, *_: object) -> tuple[Path, int]:
        ran.append(yaml.safe_load(text)["metadata"]["name"])
        outcome = found.pop(0)
        if isinstance(outcome, Exception):
            raise outcome
        code, abort = cast("tuple[int, dict[str, str] | None]", outcome)
        directory = home / ran[-1]
        directory.mkdir()
        verdict = {"verdict": "met", "exit_code": code}
        report = {"schema": "gameday/report/v1", "abort": abort, "objectives": [],
                  "verdict": verdict, "clean": {"proven": True}}  # fmt: skip
        (directory / "report.json").write_text(json.dumps(report))
        return directory, code

    monkeypatch.setenv("XDG_STATE_HOME", str(home / "state"))
    monkeypatch.setattr("gameday.cli.run.require_files", lambda inventory: None)
    monkeypatch.setattr("gameday.cli.run.enter_netns", lambda path: None)
    monkeypatch.setattr("gameday.cli.run.carry_out", carry_out)
    return ran


@pytest.mark.parametrize(
    ("found", "names", "code"),
    [
        ([(0, None), (0, None), (0, None)], "abc", 0),
        ([(3, None), (1, None), (0, None)], "abc", 1),
        ([SteadyStateFailed("not healthy"), (0, None), (0, None)], "abc", 3),
        ([(1, None), NotProvenClean("a rule is left")], "ab", 4),
        ([(3, {"by": "operator", "why": "Ctrl-C"})], "a", 3),
        ([(3, {"by": "condition", "why": "users are down"}), (0, None), (0, None)], "abc", 3),
    ],
)
def test_what_ends_a_suite_and_how_it_ends(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, found: list[object], names: str, code: int
) -> None:
    """Not proven clean and an operator end it; the code is the worst of those that were run."""
    suite = tmp_path / "suite"
    suite.mkdir()
    for name in "abc":
        text = SHIPPED.read_text().replace("name: wan-congestion-frankfurt-london", f"name: {name}")
        (suite / f"{name}.yaml").write_text(text)
    ran = outcomes(monkeypatch, tmp_path, list(found))
    done = run_all(suite, tmp_path, "--yes")
    assert ran == list(names)
    assert done.return_value == code, done.output
    for name in set("abc") - set(names):
        assert f"{name}.yaml: not run any more" in done.output


def test_a_directory_without_experiments(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match="has no experiment"):
        files(tmp_path)
    with pytest.raises(InvalidInput, match="is no directory"):
        files(SHIPPED)


def test_what_ships_is_listed_though_it_was_never_run(tmp_path: Path) -> None:
    done = CliRunner().invoke(
        cli, ["incidents", str(ROOT / "experiments" / "incidents"), "--reports", str(tmp_path)]
    )
    assert done.exception is None, done.output
    assert "not run here" in done.output


def test_every_exit_code_has_its_place() -> None:
    assert sorted(WORST_FIRST) == [0, 1, 2, 3, 4] and WORST_FIRST[0] == 4
