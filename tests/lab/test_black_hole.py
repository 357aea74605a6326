# SPDX-License-Identifier: Apache-2.0
"""A site cut off by routes instead of rules, through the real command."""

from __future__ import annotations

from typing import Any

from gameday.lab import Lab
from gameday.record import kinds
from gameday.record.record import load
from tests.lab.drill import Drill

RULES = ["ip", "rule", "show"]
NODES = ("fra-1", "fra-2", "lon-1", "lon-2", "ams-1")


def test_a_black_hole_cuts_and_is_gone(lab: Lab, drill: Drill) -> None:
    """It has no rule that could exempt our own path, and goes to its end all the same.

    A process begins and ends it, and says when: the window is as late as that, and no wider than
    what the process took.
    """

    def shape(data: dict[str, Any]) -> None:
        data["faults"][0]["params"]["mechanism"] = "blackhole"

    before = {node: lab.exec(node, RULES).stdout for node in NODES}
    done = drill.run(drill.experiment(shape))
    report = drill.report()
    assert report["verdict"]["outcome"] == "completed", done.stdout + done.stderr
    (effect,) = report["effect"]
    assert effect["held"], effect
    window = load(drill.run_directory).window()
    assert window.planned.lo <= window.onset.lo and window.onset.hi < window.end.lo, window
    ended = [e["data"]["observation"] for e in drill.events()
             if e["kind"] == kinds.OBSERVED and e["data"]["when"] == "ended"]  # fmt: skip
    assert ended and all(len(o["began"]) == 2 and len(o["gone"]) == 2 for o in ended), ended
    assert report["clean"]["proven"] is True
    assert {node: lab.exec(node, RULES).stdout for node in NODES} == before
