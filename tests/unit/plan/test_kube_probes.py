# SPDX-License-Identifier: Apache-2.0
"""Probes of a site's cluster in a plan: whose cluster, from where, and no secret in it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml

from gameday.errors import InvalidInput
from gameday.experiment import parse_experiment
from gameday.plan import Inventory, Plan, load_inventory, make_plan
from gameday.plan.render import render_plan

ROOT = Path(__file__).resolve().parents[3]
GOOD = (ROOT / "tests" / "cases" / "experiment" / "good.yaml").read_text(encoding="utf-8")
TOKEN = "do-not-show"  # noqa: S105 - what must not be found


@pytest.fixture(scope="module")
def estate(tmp_path_factory: pytest.TempPathFactory) -> Inventory:
    """The lab's, with a cluster in Frankfurt."""
    directory = tmp_path_factory.mktemp("inventory")
    (directory / "kubeconfig").write_text(TOKEN)
    data = yaml.safe_load((ROOT / "inventory" / "lab.yaml").read_text())
    frankfurt = data["all"]["children"]["sites"]["children"]["frankfurt"]
    frankfurt["vars"] = {
        **(frankfurt.get("vars") or {}),
        "gameday_kubeconfig": "kubeconfig", "gameday_context": "fra",
    }  # fmt: skip
    path = directory / "inventory.yaml"
    path.write_text(yaml.safe_dump(data, sort_keys=False))
    return load_inventory(path)


def planned(estate: Inventory, kind: str, site: str, where: str, more: str = "") -> Plan:
    probe = f"""
  - name: cluster
    kind: {kind}
    from: {{node: [{where}]}}
    period_ms: 1000
    params: {{site: {site}{more}}}
"""
    text = GOOD.replace("\nprobes:\n", "\nprobes:" + probe, 1)
    assert probe in text
    return make_plan(parse_experiment(text, "x.yaml"), estate)


@pytest.mark.parametrize(
    ("kind", "more", "target"),
    [
        ("kube-nodes", "", "frankfurt"),
        ("kube-pods", ", namespace: web, workload: Deployment/ingress", "frankfurt"),
        ("kube-gslb", ", namespace: web, name: app", "frankfurt"),
        ("kube-delivery", ", tool: fleet, objects: [Cluster/frankfurt]", "frankfurt"),
        ("kube-api", "", "frankfurt"),
        ("kube-events", "", "listener"),
    ],
)
def test_the_plan_says_whose_cluster_and_no_secret(
    estate: Inventory, kind: str, more: str, target: str
) -> None:
    plan = planned(estate, kind, "frankfurt", "controller", more)
    (probe,) = [one for one in plan.probes if one.name == "cluster"]
    cluster = probe.params["cluster"]
    assert cluster["context"] == "fra" and cluster["kubeconfig"].endswith("/kubeconfig")
    assert [(one.node, one.target) for one in probe.samplers] == [("controller", target)]
    assert TOKEN not in json.dumps(plan.to_json())
    assert "cluster" in "\n".join(render_plan(plan))


def problems(estate: Inventory, *args: str) -> str:
    with pytest.raises(InvalidInput) as caught:
        planned(estate, *args)
    return "\n".join(caught.value.problems)


def test_what_cannot_be_planned_says_what_to_set(estate: Inventory) -> None:
    found = problems(estate, "kube-nodes", "london", "controller")
    assert "site london has no Kubernetes cluster" in found and "gameday_kubeconfig" in found
    assert "paris is no site" in problems(estate, "kube-nodes", "paris", "controller")
    found = problems(estate, "kube-api", "frankfurt", "fra-1")
    assert "asks from the controller alone" in found and "{node: [controller]}" in found
    found = problems(estate, "kube-nodes", "frankfurt", "controller", ", cluster: {context: x}")
    assert "for the plan to fill in" in found


@pytest.mark.parametrize(
    ("kind", "more", "word"),
    [
        ("kube-pods", ", namespace: web", "name a service, a workload or pods"),
        ("kube-pods", ", namespace: web, workload: Job/x", "kinds: Deployment"),
        ("kube-delivery", ", tool: flux", "none of fleet, argocd, ocm"),
        ("kube-delivery", ", tool: fleet, objects: [Application/x]", "kinds: GitRepo, Cluster"),
        ("kube-api", ", path: /readyz", "begins with neither"),
        ("kube-events", ", type: Odd", "neither Warning nor Normal"),
    ],
)
def test_parameters_that_mean_nothing(estate: Inventory, kind: str, more: str, word: str) -> None:
    assert word in problems(estate, kind, "frankfurt", "controller", more)


ALONE = """
schema: gameday/v1
metadata: {name: alone, title: Alone, why: Clusters and no node., owner: a-test}
steady_state: {for_s: 3, checks: [{probe: api, ok_percent: 80}]}
faults:
  - name: scaled
    kind: kube-scale
    at_s: 0
    for_s: 10
    params: {site: frankfurt, namespace: shop, name: web}
probes:
  - {name: api, kind: kube-api, from: {node: [controller]}, period_ms: 1000,
     params: {site: frankfurt}}
recover_s: 5
objectives: [{name: outage, measure: client-failure-total, params: {probe: api}}]
"""


def test_an_experiment_of_clusters_alone_reaches_no_node(estate: Inventory) -> None:
    plan = make_plan(parse_experiment(ALONE, "x.yaml"), estate)
    assert plan.asked == {"controller"}
    assert any("known_hosts" in one for one in estate.missing_files())
    # The lab's controller works from a network of its own; that alone is wanted.
    (left,) = [one for one in plan.limits if "is not there yet" in one]
    assert left.startswith("network namespace ")
