# SPDX-License-Identifier: Apache-2.0
"""Recorded round trips: both formats, lost answers, and every mistake with its line."""

from __future__ import annotations

from pathlib import Path

import pytest

from gameday.errors import InvalidInput
from gameday.experiment.traces import read_trace, with_trace
from gameday.faults import profiles
from gameday.faults.base import Selector
from gameday.faults.excursion import ExcursionParams, Point, profile_of

CSV = "time,rtt\n100.5,12.25\n100.6,\n101.0,40\n"
NDJSON = '{"time": 7, "rtt": 12.25}\n{"time": 7.1, "rtt": null}\n{"time": 7.5, "rtt": 40}\n'
POINTS = (
    Point(0, rtt_us=12_250), Point(100, rtt_us=12_250, loss_ppm=1_000_000),
    Point(500, rtt_us=40_000),
)  # fmt: skip


@pytest.mark.parametrize("text", [CSV, NDJSON], ids=["csv", "ndjson"])
def test_both_formats_say_the_same(tmp_path: Path, text: str) -> None:
    path = tmp_path / "night"
    path.write_text(text)
    assert read_trace(path) == POINTS


def test_points_become_part_of_the_parameters(tmp_path: Path) -> None:
    (tmp_path / "night.csv").write_text(CSV)
    params = ExcursionParams(Selector(site=("a",)), Selector(site=("b",)), shape="trace",
                             trace_file="night.csv")  # fmt: skip
    found = with_trace(params, tmp_path)
    profile = profile_of(found)
    assert profiles.value_at(profile, 0).rtt_us == 12_250
    # Once read, the file is no longer needed.
    (tmp_path / "night.csv").unlink()
    assert with_trace(found, tmp_path) is found


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("when,rtt\n1,2\n2,3\n", ":1: needs a header"),
        ("time,rtt\n1,2\n1,3\n", ":3: its time is not after"),
        ("time,rtt\n1,2\n2,abc\n", ":3: 'abc' is not a number"),
        ("time,rtt\n1,2\n2,nan\n", ":3: 'nan' is not a number"),
        ("time,rtt\n1,2\n2,-5\n", ":3: rtt -5 ms is out of range"),
        ('{"time": 1, "rtt": 2}\n[1, 2]\n', ":2: not a JSON object"),
        ("time,rtt\n1,2\n", "fewer than two lines"),
    ],
)
def test_mistakes_have_a_line(tmp_path: Path, text: str, said: str) -> None:
    path = tmp_path / "night"
    path.write_text(text)
    with pytest.raises(InvalidInput) as error:
        read_trace(path)
    assert said in error.value.message


def test_no_such_file(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match="cannot be read"):
        read_trace(tmp_path / "none.csv")
