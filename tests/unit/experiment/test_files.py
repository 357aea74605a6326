# SPDX-License-Identifier: Apache-2.0
"""Whole files: every case in tests/cases/experiment/*.yaml gives exactly its expected problems."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gameday.errors import InvalidInput
from gameday.experiment import limits, load_experiment, parse_experiment
from gameday.experiment.document import parse_document

CASES = Path(__file__).parents[2] / "cases" / "experiment"
EXPECTED = json.loads((CASES / "expected.json").read_text(encoding="utf-8"))
GOOD = (CASES / "good.yaml").read_text(encoding="utf-8")


def test_every_file_is_expected() -> None:
    assert {path.name for path in CASES.glob("*.yaml")} - {"good.yaml"} == set(EXPECTED)


@pytest.mark.parametrize("name", EXPECTED)
def test_file(name: str) -> None:
    path = CASES / name
    with pytest.raises(InvalidInput) as caught:
        load_experiment(path)
    found = [problem.removeprefix(f"{path}:") for problem in caught.value.problems]
    assert found == EXPECTED[name]


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput) as caught:
        load_experiment(tmp_path / "none.yaml")
    assert caught.value.problems[0].endswith("none.yaml: cannot be read: no such file or directory")


def test_a_directory(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput) as caught:
        load_experiment(tmp_path)
    assert "cannot be read: is a directory" in caught.value.problems[0]


def test_a_file_that_is_too_large(tmp_path: Path) -> None:
    path = tmp_path / "large.yaml"
    path.write_text(GOOD + "#" * limits.FILE_BYTES_MAX, encoding="utf-8")
    with pytest.raises(InvalidInput) as caught:
        load_experiment(path)
    assert "is larger than 256 KiB" in caught.value.problems[0]


def test_text_that_is_not_utf8(tmp_path: Path) -> None:
    path = tmp_path / "latin.yaml"
    path.write_bytes(b"schema: gameday/v1\nmetadata: {title: caf\xe9}\n")
    with pytest.raises(InvalidInput) as caught:
        load_experiment(path)
    assert caught.value.problems == (f"{path}:2:22: is not UTF-8 text here; save it as UTF-8",)


def test_a_control_character() -> None:
    with pytest.raises(InvalidInput) as caught:
        parse_experiment("schema: gameday/v1\nwhy: a\x07b\n", "x.yaml")
    (problem,) = caught.value.problems
    assert problem.startswith("x.yaml:2:7: holds a character that YAML does not allow")


def test_nesting_that_would_exhaust_the_parser() -> None:
    with pytest.raises(InvalidInput) as caught:
        parse_experiment("a: " + "[" * 50_000, "x.yaml")
    assert "nested deeper than 16 levels" in caught.value.problems[0]


def test_words_that_stay_words() -> None:
    text = 'on: "no"\noff: 2026-11-23\nyes: "1:30"\nnull: x\n'
    document = parse_document(text, "x.yaml")
    assert document.data == {"on": "no", "off": "2026-11-23", "yes": "1:30", "null": "x"}
    assert not document.problems
    assert document.positions.of(("off",)) == (2, 6)
    assert document.positions.of(("off",), key=True) == (2, 1)
    assert document.positions.of(("off", "deeper", 3)) == (2, 6)


def test_aliases_and_merges_are_yaml_too() -> None:
    text = "base: &base {a: 1, b: 2}\nown: {<<: *base, b: 3}\nagain: *base\n"
    data = parse_document(text, "x.yaml").data
    assert data["own"] == {"a": 1, "b": 3}
    assert data["again"] == {"a": 1, "b": 2}


def test_defaults_are_filled_in() -> None:
    experiment = parse_experiment(GOOD, "x.yaml").experiment
    writes, names = experiment.probes
    assert (writes.timeout_ms, names.timeout_ms) == (250, 800)
    assert writes.params.port == 2379
    assert experiment.faults[0].params.side_b.site == ("london", "amsterdam")
    assert experiment.total_s == 5 + 30 + 15
    assert experiment.to_json()["probes"][0]["from"] == {"role": ["etcd"]}


@given(st.text(max_size=200))
def test_any_text_is_refused_in_words(text: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        parse_experiment(text, "x.yaml")
    assert caught.value.problems
    assert all(problem.startswith("x.yaml") for problem in caught.value.problems)


@given(st.integers(0, len(GOOD) - 1), st.integers(1, 40))
def test_a_good_file_with_a_hole_never_crashes(start: int, size: int) -> None:
    try:
        parse_experiment(GOOD[:start] + GOOD[start + size :], "x.yaml")
    except InvalidInput as error:
        assert error.problems
