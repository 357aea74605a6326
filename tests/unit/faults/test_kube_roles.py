# SPDX-License-Identifier: Apache-2.0
"""The roles of playbooks/kubernetes and what the kinds of faults ask for: the same, to the verb."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
import yaml

from gameday.faults.kube_cordon import FAULT as CORDON
from gameday.faults.kube_deny import FAULT as DENY
from gameday.faults.kube_kept import KubeKept
from gameday.faults.kube_pause import FAULT as PAUSE
from gameday.faults.kube_pause import TOOLS
from gameday.faults.kube_scale import FAULT as SCALE
from gameday.faults.kube_scale import PLURALS

PLACE = Path(__file__).parents[3] / "playbooks" / "kubernetes"

Specs = Sequence[Mapping[str, Any]]

ROLES: Mapping[str, tuple[KubeKept, Specs]] = {
    "operator-cordon.yaml": (CORDON, [{"drain": False}]),
    "operator-drain.yaml": (CORDON, [{"drain": True}]),
    "operator-deny.yaml": (DENY, [{"namespace": "shop"}]),
    "operator-scale.yaml": (
        SCALE, [{"namespace": "shop", "resource": one} for one in PLURALS.values()]
    ),
    **{
        f"operator-pause-{tool}.yaml": (
            PAUSE, [{"namespace": "shop", "resource": one} for one in kinds.values()]
        )
        for tool, kinds in TOOLS.items()
    },
}  # fmt: skip


@pytest.mark.parametrize("name", ROLES)
def test_a_role_is_what_its_kind_asks_for(name: str) -> None:
    kind, specs = ROLES[name]
    asked = [one for spec in specs for one in kind.permissions(spec)]
    documents = list(yaml.safe_load_all((PLACE / name).read_text(encoding="utf-8")))
    granted = {
        (verb, group, resource)
        for one in documents for rule in one.get("rules", ())
        for verb in rule["verbs"] for group in rule["apiGroups"] for resource in rule["resources"]
    }  # fmt: skip
    assert granted == {(one.verb, one.group, one.resource) for one in asked}
    namespaced = {bool(one.namespace) for one in asked}
    bound = {one["kind"] for one in documents if "Binding" in one["kind"]}
    assert bound == {"RoleBinding" if namespaced == {True} else "ClusterRoleBinding"}


def test_every_operators_role_is_of_a_kind() -> None:
    assert {path.name for path in PLACE.glob("operator-*.yaml")} == set(ROLES)
