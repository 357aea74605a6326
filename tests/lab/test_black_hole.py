# SPDX-License-Identifier: Apache-2.0
"""A site cut off by routes instead of rules, through the real command."""

from __future__ import annotations

from typing import Any

from gameday.lab import Lab
from tests.lab.drill import Drill

RULES = ["ip", "rule", "show"]
NODES = ("fra-1", "fra-2", "lon-1", "lon-2", "ams-1")


def test_a_black_hole_cuts_and_is_gone(lab: Lab, drill: Drill) -> None:
    """It has no rule that could exempt our own path; what the run did is measured all the same."""

    def shape(data: dict[str, Any]) -> None:
        data["faults"][0]["params"]["mechanism"] = "blackhole"

    before = {node: lab.exec(node, RULES).stdout for node in NODES}
    done = drill.run(drill.experiment(shape))
    report = drill.report()
    assert report["verdict"]["outcome"] == "completed", done.stdout + done.stderr
    assert [effect["held"] for effect in report["effect"]] == [True], report["effect"]
    assert report["clean"]["proven"] is True
    assert {node: lab.exec(node, RULES).stdout for node in NODES} == before
