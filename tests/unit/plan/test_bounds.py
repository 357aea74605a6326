# SPDX-License-Identifier: Apache-2.0
"""Bounds on what may be broken: the strictest wins, and nothing raises one."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from gameday.errors import Refused
from gameday.experiment.load import load_experiment
from gameday.experiment.model import Bounds
from gameday.plan import bounds
from gameday.plan.inventory import load_inventory
from gameday.plan.make import make_plan

ROOT = Path(__file__).resolve().parents[3]


def test_the_strictest_wins_and_nothing_is_raised() -> None:
    found = bounds.effective({"longest_s": 600, "leases": 10_000}, Bounds(longest_s=900))
    assert found.longest_s == 600 and "inventory" in found.sources["longest_s"]
    assert found.leases == bounds.LEASES_MAX and "own" in found.sources["leases"]
    assert bounds.effective({}, Bounds(keep_free_mb=1)).keep_free_mb == bounds.KEEP_FREE_MB_LEAST
    assert bounds.effective({}, Bounds(keep_free_mb=9000)).keep_free_mb == 9000


@pytest.mark.parametrize(
    ("limits", "said"),
    [
        ({"longest_s": 10}, "lasts 30 s; limits of the experiment allows 10 s"),
        ({"site_percent": 50}, "nodes of frankfurt hold leases at a time"),
        ({"leases": 4}, "5 leases at a time; limits of the experiment allows 4"),
    ],
)
def test_beyond_a_bound_is_refused(tmp_path: Path, limits: dict[str, int], said: str) -> None:
    data = yaml.safe_load((ROOT / "experiments/wan-partition-frankfurt.yaml").read_text())
    data["limits"] = limits
    path = tmp_path / "x.yaml"
    path.write_text(yaml.safe_dump(data, sort_keys=False))
    inventory = load_inventory(ROOT / "inventory/lab.yaml")
    with pytest.raises(Refused) as refused:
        make_plan(load_experiment(path), inventory)
    assert any(said in problem for problem in refused.value.problems), refused.value.problems


def test_a_drill_within_its_bounds_is_planned(tmp_path: Path) -> None:
    data = yaml.safe_load((ROOT / "experiments/wan-partition-frankfurt.yaml").read_text())
    data["limits"] = {"longest_s": 30, "leases": 5}
    path = tmp_path / "x.yaml"
    path.write_text(yaml.safe_dump(data, sort_keys=False))
    assert make_plan(load_experiment(path), load_inventory(ROOT / "inventory/lab.yaml")).faults
