# SPDX-License-Identifier: Apache-2.0
"""Inventories: good ones resolved, wrong ones with every mistake at once, never a secret.

Files in tests/cases/inventory/wrong* give exactly the problems of expected.json.
"""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from gameday.errors import InvalidInput
from gameday.faults.base import Selector
from gameday.plan import inventory_from_json, load_inventory

ROOT = Path(__file__).parents[3]
CASES = ROOT / "tests" / "cases" / "inventory"
EXPECTED = json.loads((CASES / "expected.json").read_text(encoding="utf-8"))


def test_every_wrong_file_is_expected() -> None:
    assert {path.name for path in CASES.glob("wrong*")} == set(EXPECTED)


@pytest.mark.parametrize("name", EXPECTED)
def test_wrong_file(name: str, capfd: pytest.CaptureFixture[str]) -> None:
    path = CASES / name
    with pytest.raises(InvalidInput) as caught:
        load_inventory(path)
    found = [problem.removeprefix(f"{path}:") for problem in caught.value.problems]
    assert found == EXPECTED[name]
    assert capfd.readouterr() == ("", ""), "Ansible's own words must not reach the terminal"


def test_missing_file() -> None:
    with pytest.raises(InvalidInput) as caught:
        load_inventory(CASES / "none.yaml")
    assert caught.value.problems[0].endswith(
        "none.yaml: is not there; name an Ansible inventory with -i"
    )


def test_ini_is_resolved_and_keeps_no_secret() -> None:
    inventory = load_inventory(CASES / "estate.ini")
    assert inventory.sites == {"east": ("e-1", "e-2"), "west": ("w-1", "w-2")}
    assert inventory.by_name["w-1"].host == "10.0.0.3", "templates are resolved"
    assert inventory.by_name["e-2"].port == 2222
    assert inventory.addresses("e-2") == ("10.1.0.2", "fd00::2")
    assert inventory.by_name["e-2"].racks == ("rack-7",)
    assert not inventory.can_arm("w-2")
    (group,) = inventory.raft_groups
    assert (group.members, group.majority) == (("e-1", "e-2", "w-1"), 2)
    assert inventory.known_hosts == str(CASES / "known_hosts"), "relative to the inventory"
    text = json.dumps(inventory.to_json())
    assert "never-shown" not in text
    assert "password" not in text
    assert inventory_from_json(json.loads(text)) == inventory
    missing = inventory.missing_files()
    assert missing == (f"SSH key {CASES}/keys/id_ed25519", f"known_hosts file {CASES}/known_hosts")
    assert inventory.missing_files({"e-1"}) == missing
    assert inventory.missing_files({"controller"}) == (), "who reaches no node needs neither"


def test_group_variables_beside_the_file(tmp_path: Path) -> None:
    (tmp_path / "group_vars").mkdir()
    (tmp_path / "group_vars" / "all.yml").write_text(
        "ansible_user: ops\ngameday_known_hosts: known\ngameday_management: [10.0.0.0/24]\n"
    )
    path = tmp_path / "hosts.yaml"
    path.write_text("sites: {children: {east: {hosts: {a: {ansible_host: 10.0.0.1}}}}}\n")
    inventory = load_inventory(path)
    assert inventory.by_name["a"].user == "ops"
    assert inventory.management() == ("10.0.0.0/24",)


@pytest.mark.parametrize(
    ("selector", "nodes"),
    [
        (Selector(), ()),
        (Selector(site=("frankfurt",)), ("fra-1", "fra-2")),
        (Selector(site=("frankfurt", "amsterdam")), ("ams-1", "fra-1", "fra-2")),
        (Selector(site=("frankfurt",), role=("ingress",)), ("fra-2",)),
        (Selector(site=("frankfurt",), role=("router",)), ("fra-rtr",)),
        (Selector(node=("fra-rtr",)), ("fra-rtr",)),
        (Selector(group=("gslb",)), ("ams-1", "fra-2", "lon-2")),
        (Selector(role=("nobody",)), ()),
    ],
)
def test_selectors_on_the_lab(selector: Selector, nodes: tuple[str, ...]) -> None:
    assert load_inventory(ROOT / "inventory" / "lab.yaml").select(selector) == nodes


WORKERS = """\
all:
  vars:
    gameday_known_hosts: known
    gameday_management: [10.0.0.0/24]
    gameday_workers: {west: [ssh, bastion, ansible-runner, worker], "e t": [x], south: ansible}
  children:
    sites:
      children:
        a:
          hosts:
            n1: {ansible_host: 10.0.0.1, ansible_user: u, gameday_worker: [west, north]}
            n2: {ansible_host: 10.0.0.2, ansible_user: u, gameday_worker: 3}
"""


def test_every_mistake_about_workers_is_said(tmp_path: Path) -> None:
    path = tmp_path / "inventory.yaml"
    path.write_text(WORKERS, encoding="utf-8")
    with pytest.raises(InvalidInput) as caught:
        load_inventory(path)
    said = "\n".join(caught.value.problems)
    for what in ("'e t' is no name of a worker", "south is not a list of words",
                 "north is no worker of gameday_workers", "gameday_worker: is 3"):  # fmt: skip
        assert what in said, said


def test_workers_are_kept_in_order(tmp_path: Path) -> None:
    path = tmp_path / "inventory.yaml"
    text = WORKERS.replace(', "e t": [x], south: ansible', ", north: [ansible-runner, worker]")
    path.write_text(text.replace("gameday_worker: 3", "gameday_worker: north"), encoding="utf-8")
    found = load_inventory(path)
    assert found.by_name["n1"].workers == ("west", "north")
    assert found.by_name["n2"].workers == ("north",)
    assert found.workers["west"] == ("ssh", "bastion", "ansible-runner", "worker")
    assert inventory_from_json(found.to_json()) == found
