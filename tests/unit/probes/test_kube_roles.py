# SPDX-License-Identifier: Apache-2.0
"""The observers' roles and what the kinds of probes read: the same, to the resource."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import pytest
import yaml

from gameday.probes.kube_collection import Feed
from gameday.probes.kube_delivery import RULES
from gameday.probes.kube_gslb import KubeGslb, KubeGslbParams
from gameday.probes.kube_nodes import LEASES, NODES
from gameday.probes.kube_pods import PLURALS, KubePods, KubePodsParams

PLACE = Path(__file__).parents[3] / "playbooks" / "kubernetes"

Reads = set[tuple[str, str]]
"""(group, resource)"""


def of_path(path: str) -> tuple[str, str]:
    """As in ("apps", "deployments") of a collection's path."""
    parts = path.strip("/").split("/")
    return ("" if parts[0] == "api" else parts[1]), parts[-1]


def of_feeds(feeds: Iterable[Feed]) -> Reads:
    return {of_path(path) for feed in feeds for path in feed.paths}


def granted(name: str) -> Reads:
    """What a file lets list and watch, and nothing else."""
    found = set()
    for one in yaml.safe_load_all((PLACE / name).read_text(encoding="utf-8")):
        for rule in one.get("rules", ()):
            assert sorted(rule["verbs"]) == ["list", "watch"]
            found |= {(group, x) for group in rule["apiGroups"] for x in rule["resources"]}
    return found


def test_a_whole_cluster() -> None:
    # kube-api lists namespaces unless it is told otherwise, and kube-events listens to Events.
    others = {("", "namespaces"), ("", "events")}
    assert granted("observer.yaml") == of_feeds([NODES, LEASES]) | others


def test_an_application() -> None:
    pods = [
        KubePodsParams("fra", "shop", service="web", workload=f"{kind}/web", pods="app=web")
        for kind in PLURALS
    ]
    wanted = {one for params in pods for one in of_feeds(KubePods().feeds(params))}
    wanted |= of_feeds(KubeGslb().feeds(KubeGslbParams("fra", "shop", "web")))
    assert granted("observer-application.yaml") == wanted


@pytest.mark.parametrize("tool", RULES)
def test_delivery(tool: str) -> None:
    files = [path.name for path in PLACE.glob(f"observer-{tool}*.yaml")]
    found = {one for name in files for one in granted(name)}
    assert found == {of_path(rule.path) for rule in RULES[tool]}
