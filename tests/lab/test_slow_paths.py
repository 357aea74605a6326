# SPDX-License-Identifier: Apache-2.0
"""Shipped experiments that slow paths down; scripts/test.sh runs them when nothing else runs.

Shaped packets go through one user-mode-linux, which on a starved machine adds delays of its own,
and then the effect gate rightly refuses the run.
"""

from __future__ import annotations

import pytest
import yaml

from gameday.lab.topology import RTT_MS
from tests.lab.drill import Drill

FOR_S = {"brownout-london": 10, "rtt-triples-frankfurt-london": 8}


@pytest.mark.parametrize("name", FOR_S)
def test_a_healthy_estate_meets_it(drill: Drill, name: str) -> None:
    """Every objective is measured and met, the effect gate held, and nothing is left."""
    drill.meets(name, FOR_S[name])


def test_an_excursion_in_one_line(drill: Drill) -> None:
    """What is added is what was asked for less the usual round trip, which was measured first."""
    done = drill.gameday(
        "excurse", "frankfurt", "london", "--rtt", "2.5x", "--for", "5s", "--at", "fra-rtr",
        "-i", str(drill.lab.inventory), "--yes", "--reports", str(drill.reports),
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    shipped = yaml.safe_load((drill.run_directory / "experiment.yaml").read_text(encoding="utf-8"))
    added_us = shipped["faults"][0]["params"]["points"][0]["rtt_us"]
    usual_us = 1000 * RTT_MS[("frankfurt", "london")]
    assert usual_us <= added_us / 1.5 < 2 * usual_us
    found = {one["measurement"]["kind"]: one for one in drill.report()["objectives"]}
    assert found["rtt-achieved"]["judgement"] == "met"
    assert drill.report()["clean"]["proven"] is True
    assert drill.leftovers() == []
