# SPDX-License-Identifier: Apache-2.0
"""Clusters of sites: paths and contexts, never what a kubeconfig holds."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from gameday.errors import InvalidInput
from gameday.plan import inventory_from_json, load_inventory
from gameday.plan.clusters import CONTEXT, KUBECONFIG, WHERE, Host, read


def found(*hosts: tuple[str, str, dict[str, Any]]) -> tuple[Any, list[str]]:
    problems: list[str] = []

    def complain(host: str, name: str, what: str, todo: str) -> None:
        problems.append(f"{host} {name} {what}; {todo}")

    return read([Host(*one) for one in hosts], lambda v: f"/base/{v}", complain), problems


def test_one_file_for_all_and_a_context_per_site() -> None:
    config = {KUBECONFIG: "kube.yaml"}
    clusters, problems = found(
        ("a", "east", {**config, CONTEXT: "east-admin"}),
        ("b", "west", {WHERE: "in-cluster"}),
        ("c", "outside", config),
    )
    assert problems == []
    assert clusters == {
        "east": {"kubeconfig": "/base/kube.yaml", "context": "east-admin", "in_cluster": False},
        "west": {"kubeconfig": "", "context": "", "in_cluster": True},
    }, "a site without a context has no cluster"


@pytest.mark.parametrize(
    ("own", "words"),
    [
        ({CONTEXT: "x"}, "a gameday_context names a context of east and no file has it"),
        ({KUBECONFIG: "k"}, "a gameday_kubeconfig is set and no site names a context"),
        ({WHERE: "outside"}, "a gameday_kubernetes cannot be outside; write in-cluster"),
        ({WHERE: "in-cluster", CONTEXT: "x"}, "a gameday_context names a context, and"),
        ({KUBECONFIG: "k", CONTEXT: 7}, "a gameday_context is not text; put it in quotes"),
        ({KUBECONFIG: "k", CONTEXT: "x" * 5000}, "a gameday_context is not text; put it in"),
    ],
)
def test_mistakes(own: dict[str, Any], words: str) -> None:
    clusters, problems = found(("a", "east", own))
    assert clusters == {} and len(problems) == 1 and problems[0].startswith(words), problems


def test_hosts_of_one_site_must_agree() -> None:
    good = {KUBECONFIG: "k", CONTEXT: "x"}
    _, problems = found(("a", "east", good), ("b", "east", {**good, CONTEXT: "y"}))
    assert problems == [
        "a gameday_context differs between a and b, which are in one site; "
        "set it once, in the vars of the site's group"
    ]


ESTATE = """\
all:
  vars: {ansible_user: u, gameday_known_hosts: known, gameday_management: [10.0.0.0/24],
    gameday_kubeconfig: kube/config}
  children:
    sites:
      children:
        east:
          vars: {gameday_context: east}
          hosts: {a: {ansible_host: 10.0.0.1}}
        west:
          vars: {gameday_context: west, gameday_kubernetes: in-cluster}
          hosts: {b: {ansible_host: 10.0.0.2}}
"""


def test_in_an_inventory_with_line_and_column(tmp_path: Path) -> None:
    path = tmp_path / "estate.yaml"
    path.write_text(ESTATE, encoding="utf-8")
    with pytest.raises(InvalidInput) as caught:
        load_inventory(path)
    (problem,) = caught.value.problems
    assert problem.startswith(f"{path}:11:35: west.gameday_context: names a context, and")


def test_there_and_back_as_json(tmp_path: Path) -> None:
    path = tmp_path / "estate.yaml"
    path.write_text(ESTATE.replace(", gameday_kubernetes: in-cluster", ""), encoding="utf-8")
    inventory = load_inventory(path)
    east = {"kubeconfig": f"{tmp_path}/kube/config", "context": "east", "in_cluster": False}
    assert inventory.cluster("east") == east
    assert inventory.cluster("nowhere") is None
    data = json.loads(json.dumps(inventory.to_json()))
    assert data["clusters"] == {"east": east, "west": {**east, "context": "west"}}
    assert inventory_from_json(data) == inventory
    del data["clusters"]
    assert inventory_from_json(data).clusters == {}, "records of before there were any"
    assert f"kubeconfig {tmp_path}/kube/config" in inventory.missing_files()
