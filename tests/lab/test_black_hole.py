# SPDX-License-Identifier: Apache-2.0
"""A site cut off by routes instead of rules, through the real command."""

from __future__ import annotations

import re
from typing import Any

from gameday.lab import Lab
from tests.lab.drill import Drill

LEAK = re.compile(r"answered (\d+) of (\d+) echoes while meant to be cut")
RULES = ["ip", "rule", "show"]
NODES = ("fra-1", "fra-2", "lon-1", "lon-2", "ams-1")


def test_a_black_hole_cuts_and_is_gone(lab: Lab, drill: Drill) -> None:
    """It has no rule that could exempt our own path, and goes to its end all the same.

    A process begins it, on a busy machine some tenths of a second late, and then the effect gate
    says that a pair answered inside the window: such a run is invalid, and never aborted.
    """

    def shape(data: dict[str, Any]) -> None:
        data["faults"][0]["params"]["mechanism"] = "blackhole"

    before = {node: lab.exec(node, RULES).stdout for node in NODES}
    done = drill.run(drill.experiment(shape))
    report = drill.report()
    assert report["verdict"]["outcome"] in ("completed", "invalid"), done.stdout + done.stderr
    (effect,) = report["effect"]
    if not effect["held"]:
        leaks = [LEAK.search(line) for line in effect["evidence"]]
        assert all(leak and int(leak[1]) * 4 <= int(leak[2]) for leak in leaks), effect
    assert report["clean"]["proven"] is True
    assert {node: lab.exec(node, RULES).stdout for node in NODES} == before
