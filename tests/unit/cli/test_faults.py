# SPDX-License-Identifier: Apache-2.0
"""What ``gameday faults`` and ``gameday faults check`` say."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace

from gameday.cli.faults import check_lines, kind_lines
from gameday.conduct.capability import ability, catalogue
from gameday.errors import Unreachable
from gameday.faults import TABLE
from gameday.faults.base import Facts

FACTS = Facts("3.9.2", "5.14.0", True, "nft", {}, ("lo",), "b")
ADVICE = "no sch_netem; install kernel-modules-extra"


def test_every_kind_and_parameter_is_listed() -> None:
    found = {kind.kind: kind for kind in catalogue()}
    assert set(found) == set(TABLE)
    process = {one.name: one for one in found["process"].parameters}
    assert found["process"].keeper == "process" and found["noop"].keeper == "kernel"
    assert process["nodes"].type == "selector" and process["nodes"].required
    assert process["action"].choices == ("pause", "kill", "restart-loop", "stop", "mask")
    period = process["period_ms"]
    assert (period.unit, period.bounds, period.default) == ("milliseconds", (200, 60_000), 2000)
    for kind in found.values():
        for one in kind.parameters:
            assert one.text, f"{kind.kind}.{one.name} has no text in the Attributes of its class"


def test_lines_name_units_and_defaults() -> None:
    lines = kind_lines(next(kind for kind in catalogue() if kind.kind == "process"))
    assert any("integer milliseconds 200 to 60000; default 2000" in line for line in lines)
    assert all(len(line) <= 110 for line in lines)


def test_as_json() -> None:
    argv = [sys.executable, "-m", "gameday.cli.main", "faults", "--json"]
    done = subprocess.run(argv, capture_output=True, text=True, check=True)
    assert {kind["kind"] for kind in json.loads(done.stdout)} == set(TABLE)


def test_able_unless_something_is_missing() -> None:
    assert ability(FACTS).reasons == {}
    blind = replace(FACTS, missing={"processes": "no /proc"})
    assert ability(blind).reasons == {"process": "no /proc"}
    full = replace(FACTS, missing={"ledger": "disk full"})
    assert set(ability(full).reasons) == set(TABLE)
    weak = replace(FACTS, root=False)
    assert "sudo" in ability(weak).reasons["noop"]


def test_a_table_and_each_reason_once() -> None:
    lack = replace(FACTS, missing={"netem": ADVICE, "prio": ADVICE})
    nodes = {"a": ability(FACTS), "b": ability(lack), "c": ability(lack)}
    lines = check_lines(["netem", "noop"], nodes, {"d": Unreachable("no answer", "is it up?")})
    assert lines[0].split() == ["netem", "noop"]
    assert lines[1].split() == ["a", "yes", "yes"]
    assert lines[2].split() == ["b", "no", "yes"]
    assert "netem is not available on b, c:" in lines
    assert lines.count(f"  {ADVICE}") == 1
    assert lines[-2:] == ["d was not asked:", "  no answer (is it up?)"]
