# SPDX-License-Identifier: Apache-2.0
"""A history exported is the same history to whoever reads it."""

from __future__ import annotations

import json
import re
from pathlib import Path
from random import Random
from typing import Any

import pytest

from gameday.clock import Interval
from gameday.measures.calls import Call
from gameday.measures.register import check
from gameday.record.journal import dump_line
from gameday.record.record import PLAN, SAMPLES_LIVE
from gameday.record.types import to_json
from gameday.report.histories import edn, jsonl
from tests.unit.measures.histories import right_history
from tests.unit.report.test_commands import call
from tests.unit.synthetic import write_run
from tests.unit.synthetic_calls import with_calls

EVENT = re.compile(r"\{:process (\d+), :type :(\w+), :f :(\w+), :value (.+), :time (-?\d+)\}\n")


def random(seed: int) -> Random:
    """Reproducible, not secret."""
    return Random(seed)  # noqa: S311


def back(lines: list[str]) -> list[Call]:
    """The calls of exported JSON lines, in the exporter's time."""
    found = []
    for line in map(json.loads, lines):
        end = None if line["return"] is None else Interval(line["return"], line["return"])
        begin = Interval(line["call"], line["call"])
        found.append(
            Call(line["client"], line["name"], line["key"], line["op"], line["value"] or "", begin,
                 end, line["was"] or "")
        )  # fmt: skip
    return found


def test_json_lines_hold_everything() -> None:
    calls = right_history(random(3), "k0", 300, unanswered=0.2)
    found = back(list(jsonl(calls, 1000)))
    assert len(found) == len(calls)
    assert {c.name: (c.op, c.value, c.was, c.end is None) for c in found} == {
        c.name: (c.op, c.value, c.was, c.end is None) for c in calls
    }
    assert check(found).outcome == "linearizable"
    late = Interval(10**12, 10**12)
    assert (
        check([*found, Call("x", "x#0", "k0", "read", "p0#0", late, late)]).outcome == "violation"
    )


def test_events_keep_to_jepsens_rules() -> None:
    calls = right_history(random(4), "k0", 300, unanswered=0.2)
    busy: dict[str, str] = {}
    done, last = 0, -(1 << 62)
    for line in edn(calls, 0):
        match = EVENT.fullmatch(line)
        assert match, line
        process, kind, op, value, at = match.groups()
        assert int(at) >= last, "events are in order"
        last = int(at)
        if kind == "invoke":
            assert busy.get(process) is None, "a process makes one call at a time"
            busy[process] = op
            continue
        assert busy[process] == op
        busy[process] = "" if kind == "info" else None  # type: ignore[assignment]
        assert op != "cas" or value.startswith("[")
        done += 1
    assert done == len(calls)


@pytest.fixture
def run_with_calls(tmp_path: Path) -> Path:
    """A run's directory with a workload of two calls on two keys."""
    rows: list[dict[str, Any]] = [
        {"by": "lon-1", "at": 0, "op": "write", "key": "k0"},
        {"by": "fra-1", "at": 100, "op": "read", "key": "k1", "saw": ""},
    ]
    record = with_calls(rows, keys=2)
    directory = tmp_path / "run"
    write_run(directory)
    (directory / PLAN).write_text(json.dumps(record.plan))
    lines = "".join(dump_line(to_json(sample)) for sample in record.samples)
    (directory / SAMPLES_LIVE).write_text(lines)
    return directory


def test_export(run_with_calls: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert call("data", "export", run_with_calls, "--key", "k1") == 0
    (line,) = capsys.readouterr().out.splitlines()
    assert json.loads(line)["client"] == "fra-1"
    assert call("data", "export", run_with_calls, "--format", "edn", "--key", "k1") == 0
    assert ":type :ok, :f :read, :value nil" in capsys.readouterr().out


def test_export_says_what_is_missing(
    run_with_calls: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    cases: dict[str, tuple[Any, ...]] = {
        "add --key with one of: k0, k1": (run_with_calls, "--format", "edn"),
        "no call is on the key 'k7'": (run_with_calls, "--key", "k7"),
        "the run has no workload 'other'": (run_with_calls, "--probe", "other"),
    }
    write_run(tmp_path / "plain")
    cases["add a probe such as etcd-workload"] = (tmp_path / "plain",)
    for words, argv in cases.items():
        assert call("data", "export", *argv) == 2
        assert words in capsys.readouterr().err
