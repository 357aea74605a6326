# SPDX-License-Identifier: Apache-2.0
"""A plan whose lease the controller's host holds: who is shown as hit, bounded and undone."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
import yaml

from gameday.errors import Refused
from gameday.experiment import load_experiment
from gameday.plan import load_inventory, make_plan
from gameday.plan.estate import inventory_from_json
from gameday.plan.render import render_plan

ROOT = Path(__file__).resolve().parents[3]
SHIPPED = ROOT / "experiments" / "rack-power.yaml"


def inventory(tmp_path: Path):  # type: ignore[no-untyped-def]
    data = yaml.safe_load((ROOT / "inventory" / "lab.yaml").read_text())
    hosts = data["all"]["children"]["sites"]["children"]["frankfurt"]["hosts"]
    for number, node in enumerate(("fra-1", "fra-2")):
        hosts[node] |= {
            "gameday_bmc_url": f"https://10.9.0.{number + 1}",
            "gameday_bmc_credentials_file": "/etc/gameday/bmc",
        }
    path = tmp_path / "inventory.yaml"
    path.write_text(yaml.safe_dump(data, sort_keys=False))
    return load_inventory(path)


def test_targets_are_the_machines_and_the_holder_is_named(tmp_path: Path) -> None:
    estate = inventory(tmp_path)
    lines = "\n".join(render_plan(make_plan(load_experiment(SHIPPED), estate)))
    assert "fra-1, fra-2, fra-rtr (untouched)" in lines
    assert "held by controller (ID" in lines
    assert "fra-1: Redfish Reset ForceOff at https://10.9.0.1" in lines
    assert "restore policy" in lines
    again = inventory_from_json(json.loads(json.dumps(estate.to_json())))
    assert again.bmc("fra-1") == estate.bmc("fra-1") and again.bmc("lon-1") is None


def test_a_site_s_share_counts_machines_without_power(tmp_path: Path) -> None:
    estate = replace(inventory(tmp_path), limits={"site_percent": 50})
    with pytest.raises(Refused) as caught:
        make_plan(load_experiment(SHIPPED), estate)
    assert "2 of 2 nodes of frankfurt hold leases at a time" in caught.value.problems[0]


def test_the_plan_says_who_switches_machines_on_again(tmp_path: Path) -> None:
    text = "\n".join(render_plan(make_plan(load_experiment(SHIPPED), inventory(tmp_path))))
    assert "(power) begins at the BMCs of 2 machines" in text
    assert "the BMCs' own answers show it in effect inside the window" in text
    assert "only the BMCs' own restore policy or a hand" in " ".join(text.split())
    assert "kernel" not in text and "its nodes" not in text
