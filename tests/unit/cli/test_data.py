# SPDX-License-Identifier: Apache-2.0
"""``gameday data rtt``: the round trips of one pair, and which pair is never guessed."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from gameday.cli.main import cli
from gameday.errors import GamedayError
from tests.unit.synthetic import Truth, write_run


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("runs") / "run"
    write_run(directory, Truth(added_us=24_000))
    return directory


def rtt(run: Path, *more: str) -> Result:
    return CliRunner().invoke(cli, ["data", "rtt", str(run), *more])


def test_one_pair_is_printed(run: Path) -> None:
    done = rtt(run, "--probe", "mesh", "--from", "fra-1", "--to", "lon-1")
    assert done.exception is None, done.output
    head, first, *rest = done.output.splitlines()
    assert head == "time,path,rtt_ms,wait_ms" and first.split(",")[1:3] == ["fra-1>lon-1", "12.000"]
    assert len(rest) > 100


@pytest.mark.parametrize(
    ("more", "words"),
    [
        (("--probe", "mesh"), "4 pairs of mesh fit"),
        (("--probe", "mesh", "--from", "fra-1"), "2 pairs of mesh fit"),
        (("--probe", "mesh", "--from", "cli-1"), "0 pairs of mesh fit"),
        (("--probe", "dns"), "dns is dns, which measures no round trip"),
        (("--probe", "nothing"), "no probe 'nothing'"),
    ],
)
def test_what_is_no_pair(run: Path, more: tuple[str, ...], words: str) -> None:
    done = rtt(run, *more)
    assert isinstance(done.exception, GamedayError)
    assert words in str(done.exception)
