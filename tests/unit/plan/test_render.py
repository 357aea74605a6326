# SPDX-License-Identifier: Apache-2.0
"""The plan in words: complete, at most 100 columns wide, and nothing is touched."""

from __future__ import annotations

import json
from pathlib import Path

import jsonschema
import pytest
from click.testing import CliRunner

from gameday.cli.plan import plan as plan_command
from gameday.cli.plan import schema as schema_command
from gameday.errors import InvalidInput
from gameday.experiment import load_experiment
from gameday.plan import load_inventory, make_plan, plan_from_json
from gameday.plan.render import duration, render_plan

ROOT = Path(__file__).parents[3]
SHIPPED = ROOT / "experiments" / "wan-partition-frankfurt.yaml"
LAB = ROOT / "inventory" / "lab.yaml"


def test_words() -> None:
    plan = make_plan(load_experiment(SHIPPED), load_inventory(LAB))
    lines = render_plan(plan)
    assert max(len(line) for line in lines) <= 100
    assert lines == [line.rstrip() for line in lines]
    text = "\n".join(lines)
    for wanted in (
        "Frankfurt loses its WAN",
        "Raft group main: 5 members, majority 5 // 2 + 1 = 3",
        "2 <  3  no quorum: writes stop   fra-1, fra-2",
        "3 >= 3  quorum: writes go on     ams-1, lon-1, lon-2",
        "they must stop acknowledging writes.",
        "dns, every 250 ms, gives up after 250 ms; a change is known to 500 ms",
        "time to detect                       at most 10 s",
        "users are down everywhere: no look of user-http succeeded for 20 s",
        "Why this ends",
        "Limits:",
        "5 leases",
    ):
        assert wanted in text, wanted
    joined = " ".join(text.replace("\\\n", " ").split())
    for fault in plan.faults:
        for lease in fault.leases:
            assert lease.id in text
            for line in (*lease.rules, *lease.undo):
                assert " ".join(line.replace(lease.id, "ID").split()) in joined


@pytest.mark.parametrize(
    ("nanoseconds", "text"),
    [(250_000_000, "250 ms"), (1_500_000_000, "1.5 s"), (30_000_000_000, "30 s"),
     (1_050_000_000, "1.05 s")],
)  # fmt: skip
def test_durations(nanoseconds: int, text: str) -> None:
    assert duration(nanoseconds) == text


def test_commands() -> None:
    runner = CliRunner()
    shown = runner.invoke(plan_command, [str(SHIPPED), "-i", str(LAB), "--json"])
    assert shown.exit_code == 0
    assert plan_from_json(json.loads(shown.output)).schema == "gameday/v1"
    schema = runner.invoke(schema_command, [])
    jsonschema.Draft202012Validator.check_schema(json.loads(schema.output))


def test_mistakes_leave_the_command_as_our_errors(tmp_path: Path) -> None:
    path = tmp_path / "x.yaml"
    path.write_text("schema: gameday/v9\n")
    result = CliRunner().invoke(plan_command, [str(path), "-i", str(LAB)])
    assert isinstance(result.exception, InvalidInput)
