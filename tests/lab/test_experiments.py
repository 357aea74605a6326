# SPDX-License-Identifier: Apache-2.0
"""Shipped experiments against the lab: a healthy estate meets what they ask for.

With shorter windows than they ship with; a test of its own has those that need more than the lab
(disks, BMCs) or that show something else.
"""

from __future__ import annotations

from typing import Any

import pytest
import yaml

from tests.lab.drill import ROOT, Drill

FOR_S = {
    "one-way-frankfurt": 14,
    "witness-lost-amsterdam": 8,
    "rack-isolated-frankfurt": 10,
    "ingress-hangs-frankfurt": 14,
    "quorum-lost-502-storm": 14,
    "brownout-london": 10,
    "rtt-triples-frankfurt-london": 8,
}
"""Long enough for elections (1 to 2 s) and for GSLB to withdraw a site (4 to 6 s)."""


@pytest.mark.parametrize("name", FOR_S)
def test_a_healthy_estate_meets_it(drill: Drill, name: str) -> None:
    """Every objective is measured and met, the effect gate held, and nothing is left."""

    def shape(data: dict[str, Any]) -> None:
        data.clear()
        shipped = (ROOT / "experiments" / f"{name}.yaml").read_text(encoding="utf-8")
        data.update(yaml.safe_load(shipped))
        data["steady_state"]["for_s"] = 2
        data["faults"][0]["for_s"] = FOR_S[name]

    done = drill.run(drill.experiment(shape))
    assert done.returncode == 0, done.stdout + done.stderr
    report = drill.report()
    assert report["verdict"]["verdict"] == "met"
    assert report["clean"]["proven"] is True
    assert drill.leftovers() == []
