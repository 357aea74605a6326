# SPDX-License-Identifier: Apache-2.0
"""Labels that say where nodes are: of an inventory, over the defaults, under an option."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from gameday.errors import InvalidInput
from gameday.lab import optional
from gameday.lab import topology as t
from gameday.lab.inventory import render
from gameday.lab.parts import kube_objects, kubernetes
from gameday.plan import inventory_from_json, load_inventory
from gameday.plan.ansible_source import RawHost, RawInventory
from gameday.plan.clusters import CONTEXT, Host
from gameday.plan.kube_drift import Asked, drift
from gameday.plan.kube_import import Source, import_clusters
from gameday.plan.kube_labels import RACK_LABEL, SITE_LABEL, Labels, for_import, read
from gameday.plan.kube_nodes import REGION_LABEL, ZONE_LABEL, Answers, read_cluster
from tests.unit.plan.cluster_objects import node

NONE: dict[str, str | None] = {SITE_LABEL: None, RACK_LABEL: None}
FRA = {CONTEXT: "fra"}


def found(*hosts: tuple[str, str, dict[str, Any]]) -> tuple[Any, list[str]]:
    problems: list[str] = []

    def complain(host: str, name: str, what: str, todo: str) -> None:
        problems.append(f"{host} {name} {what}; {todo}")

    return read([Host(*one) for one in hosts], complain), problems


def test_a_site_s_own_and_the_defaults_for_what_it_does_not_say() -> None:
    labels, problems = found(
        ("a", "east", {SITE_LABEL: ZONE_LABEL}),
        ("b", "west", {SITE_LABEL: "dc", RACK_LABEL: "Corp.example_X"}),
        ("c", "outside", {}),
    )
    assert problems == []
    assert labels == {
        "east": Labels(ZONE_LABEL, ZONE_LABEL),
        "west": Labels("dc", "Corp.example_X"),
    }


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (7, "is not text; write a label's key in quotes, as in topology.kubernetes.io/region"),
        (["x"], "is not text; "),
        ("a b", "cannot be 'a b', which is no key of a label; "),
        ("europe/", "cannot be 'europe/', which is no key of a label; "),
        ("a/b/c", "cannot be 'a/b/c', which is no key of a label; "),
        ("Corp.example/rack", "cannot be 'Corp.example/rack', which is no key of a label; "),
        ("x" * 64, f"cannot be '{'x' * 64}', which is no key of a label; "),
        ("y" * 254 + "/rack", f"cannot be '{'y' * 80}', which is no key of a label; "),
    ],
)
def test_mistakes(value: object, words: str) -> None:
    labels, problems = found(("a", "east", {SITE_LABEL: value}))
    assert labels == {"east": Labels()}
    assert len(problems) == 1 and problems[0].startswith(f"a {SITE_LABEL} {words}"), problems


def test_hosts_of_one_site_must_agree() -> None:
    _, problems = found(("a", "east", {RACK_LABEL: "x"}), ("b", "east", {}))
    assert problems == [
        "a gameday_rack_label differs between a and b, which are in one site; "
        "set it once, in the vars of the site's group"
    ]


ESTATE = """\
all:
  vars: {ansible_user: u, gameday_known_hosts: known, gameday_management: [10.0.0.0/24],
    gameday_site_label: topology.kubernetes.io/zone}
  children:
    sites:
      children:
        east:
          vars: {gameday_rack_label: corp.example/rack}
          hosts: {a: {ansible_host: 10.0.0.1}}
        west:
          hosts: {b: {ansible_host: 10.0.0.2}}
"""


def test_of_an_inventory_there_and_back_as_json(tmp_path: Path) -> None:
    path = tmp_path / "estate.yaml"
    path.write_text(ESTATE, encoding="utf-8")
    inventory = load_inventory(path)
    assert inventory.labels_of("east") == Labels(ZONE_LABEL, "corp.example/rack")
    assert inventory.labels_of("west") == Labels(ZONE_LABEL, ZONE_LABEL)
    assert inventory.labels_of("nowhere") == Labels(REGION_LABEL, ZONE_LABEL)
    data = json.loads(json.dumps(inventory.to_json()))
    assert data["labels"]["east"] == {"site": ZONE_LABEL, "rack": "corp.example/rack"}
    assert inventory_from_json(data) == inventory
    del data["labels"]
    assert inventory_from_json(data).labels == {}, "records of before there were any"


def test_a_mistake_with_line_and_column(tmp_path: Path) -> None:
    path = tmp_path / "estate.yaml"
    path.write_text(ESTATE.replace("corp.example/rack", "corp/"), encoding="utf-8")
    with pytest.raises(InvalidInput) as caught:
        load_inventory(path)
    (problem,) = caught.value.problems
    assert problem.startswith(f"{path}:8:38: east.gameday_rack_label: cannot be 'corp/', which is")


def lab(tmp_path: Path, labels: bool = True) -> tuple[Any, list[Asked]]:
    """The lab's inventory, and what its clusters say of their nodes."""
    data = yaml.safe_load(render(str(tmp_path), optional.chosen((), ["kubernetes"])))
    if not labels:
        del data["all"]["vars"][SITE_LABEL], data["all"]["vars"][RACK_LABEL]
    (tmp_path / "lab.yaml").write_text(yaml.safe_dump(data), encoding="utf-8")
    asked = []
    for site in kubernetes.sites():
        nodes = []
        for one in kubernetes.members(site):
            plain = node(one.name, 1)
            plain["metadata"]["labels"] = kube_objects.labels(one)
            plain["status"]["addresses"] = [
                {"type": "InternalIP", "address": address} for address in (t.v4(one), t.v6(one))
            ]
            nodes.append(plain)
        asked.append(Asked((site,), site, read_cluster(Answers(nodes))))
    return load_inventory(tmp_path / "lab.yaml"), asked


def test_a_run_in_the_lab_has_nothing_to_say(tmp_path: Path) -> None:
    inventory, asked = lab(tmp_path)
    assert drift(inventory, asked) == []
    # As a run reads it, from its own directory.
    again = inventory_from_json(json.loads(json.dumps(inventory.to_json())))
    assert drift(again, asked) == []


def test_without_them_nothing_can_be_compared_and_it_is_said_how(tmp_path: Path) -> None:
    inventory, asked = lab(tmp_path, labels=False)
    said = [str(one) for one in drift(inventory, asked)]
    assert len(said) == len(asked)
    assert said[0] == (
        "weak: amsterdam: topology.kubernetes.io/region of its nodes says europe, which is no site "
        "here; whether they are where the inventory has them cannot be compared: "
        "gameday_site_label names another label"
    )
    assert drift(inventory, asked, ZONE_LABEL, kube_objects.RACK_LABEL) == []


def test_an_option_is_of_more_weight(tmp_path: Path) -> None:
    inventory, asked = lab(tmp_path)
    found = drift(inventory, asked, site_label=REGION_LABEL)
    assert {one.what for one in found} == {
        f"{REGION_LABEL} of its nodes says europe, which is no site here"
    }


def test_another_place_by_the_inventory_s_label(tmp_path: Path) -> None:
    inventory, asked = lab(tmp_path)
    first = asked[0].cluster
    assert first is not None
    first.nodes[0].labels[ZONE_LABEL] = "london"  # type: ignore[index]
    (one,) = drift(inventory, asked)
    assert one.what == f"is in frankfurt, and its label {ZONE_LABEL} says london"


def raw(*hosts: tuple[str, str, dict[str, Any]]) -> RawInventory:
    """(name, site, variables) of each."""
    sites = tuple(sorted({site for _, site, _ in hosts}))
    return RawInventory(
        tuple(RawHost(name, frozenset({site, "sites"}), own, {}) for name, site, own in hosts),
        {"sites": sites}, (),
    )  # fmt: skip


ONE = ("f", "fra", {**FRA, SITE_LABEL: "dc"})
OTHER = ("l", "lon", {CONTEXT: "lon"})


@pytest.mark.parametrize(
    ("have", "clusters", "given", "site"),
    [
        (raw(), [FRA], None, REGION_LABEL),
        (raw(), [FRA], "x", "x"),
        (raw(ONE, OTHER), [FRA], None, "dc"),
        (raw(ONE, OTHER), [FRA], "x", "x"),
        (raw(ONE, OTHER), [{CONTEXT: "lon"}], None, REGION_LABEL),
        (raw(ONE, OTHER), [{CONTEXT: "new"}], None, REGION_LABEL),
        (raw(ONE), [{CONTEXT: "new"}], None, "dc"),
    ],
)
def test_what_an_import_goes_by(
    have: RawInventory, clusters: list[dict[str, str]], given: str | None, site: str
) -> None:
    assert for_import(have, clusters, {**NONE, SITE_LABEL: given}) == Labels(site)


def test_what_an_import_cannot_go_by() -> None:
    with pytest.raises(InvalidInput, match="gameday_site_label differs between sites: dc and topo"):
        for_import(raw(ONE, OTHER), [FRA, {CONTEXT: "lon"}], NONE)
    with pytest.raises(InvalidInput, match="--rack-label cannot be 'a b'"):
        for_import(raw(), [], {**NONE, RACK_LABEL: "a b"})


def imported(have: RawInventory, labels: Labels) -> tuple[dict[str, str], list[str]]:
    """(variables added to the site fra, notes)."""
    nodes = read_cluster(Answers([node("f", 1, "fra", "fra")], [], []))
    found = import_clusters(have, [Source("fra", "fra", FRA, nodes)], labels)
    return found.sites.get("fra", {}), [one for one in found.notes if "label" in one]


def test_what_an_import_adds() -> None:
    assert imported(raw(), Labels()) == (FRA, []), "the defaults need no word"
    both = {SITE_LABEL: "dc", RACK_LABEL: "r"}
    assert imported(raw(), Labels("dc", "r")) == ({**FRA, **both}, [])
    assert imported(raw(("f", "fra", dict(FRA))), Labels("dc")) == ({SITE_LABEL: "dc"}, [])
    assert imported(raw(ONE), Labels("dc")) == ({}, [])
    assert imported(raw(ONE), Labels("other")) == (
        {}, ["fra: gameday_site_label is dc and stays so; this import has other"],
    )  # fmt: skip
