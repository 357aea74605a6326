# SPDX-License-Identifier: Apache-2.0
"""A lab with BGP and resolvers: each layer's withdrawal in one run, beside what the lab says.

In a lab of its own, since the other tests' has none of these parts.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from gameday.lab import Lab
from gameday.lab.topology import POWERDNS_PORT
from tests.lab.conftest import NAME
from tests.lab.drill import ROOT, Drill

POWERDNS = "withdrawn by PowerDNS"
FOR_S = 14
SLACK_S = 2.0
"""Between the check's own word and the route's way to the collector."""


@pytest.fixture(scope="module")
def lab() -> Iterator[Lab]:
    """With the parts that the experiment needs, and without those that it does not."""
    one = Lab(f"{NAME}_anycast")
    one.down()
    one.up(without=["monitoring"], also=["bird2", "unbound", "powerdns"])
    yield one
    one.down()


def withdrawn_s(lab: Lab) -> list[float]:
    """When fra-2's health check withdrew the address, by its own log; wall clock."""
    log = lab.exec("fra-2", ["cat", "/var/log/vip-check.log"]).stdout
    return [float(moment) for moment in re.findall(r"^([\d.]+) withdraw$", log, re.M)]


def test_every_layer_has_its_own_number(lab: Lab, tmp_path: Path) -> None:
    drill = Drill(lab, tmp_path)

    def shape(data: dict[str, Any]) -> None:
        data.clear()
        shipped = ROOT / "experiments" / "anycast-withdrawal-frankfurt.yaml"
        data.update(yaml.safe_load(shipped.read_text(encoding="utf-8")))
        data["steady_state"]["for_s"] = 2
        data["faults"][0]["for_s"] = FOR_S
        data["recover_s"] = 4
        (dns,) = [probe for probe in data["probes"] if probe["name"] == "dns"]
        alone = {"name": "frankfurt.app.gameday.test", "port": POWERDNS_PORT}
        other = {"name": "powerdns", "to": {"role": "powerdns"}, "params": alone}
        data["probes"].append({**dns, **other})
        data["objectives"].append({
            "name": POWERDNS, "measure": "time-to-withdraw", "at_most_ms": 15000,
            "params": {"probe": "powerdns", "site": "frankfurt"},
        })  # fmt: skip

    done = drill.run(drill.experiment(shape))
    assert done.returncode == 0, done.stdout + done.stderr
    report = drill.report()
    assert report["clean"]["proven"] is True
    assert drill.leftovers() == []
    fire, expire = drill.window()
    found = {one["name"]: one["measurement"] for one in report["objectives"]}
    bgp = found["withdrawn from BGP everywhere"]
    said = [moment - fire for moment in withdrawn_s(lab) if fire < moment < expire]
    assert said, "the health check withdrew nothing"
    assert bgp["details"]["layer"] == "bgp"
    assert bgp["lo"] / 1e9 - SLACK_S <= said[0] <= bgp["hi"] / 1e9
    assert found["withdrawn from the resolvers"]["details"]["layer"] == "resolver"
    assert found[POWERDNS]["details"]["servers_silent"] == ["fra-2"], "the others withdrew it"
    client = found["withdrawn as users who ask a resolver see it"]
    assert client["status"] == "measured", client["reason"]
    assert found["TCP sessions reset"]["details"]["during_the_fault"] >= 1
