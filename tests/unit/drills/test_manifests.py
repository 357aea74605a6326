# SPDX-License-Identifier: Apache-2.0
"""The manifests of playbooks/kubernetes are what ``gameday schedule add`` prints, by example.

Renew with: python -m tests.unit.drills.test_manifests
"""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from gameday.drills import manifests
from gameday.drills.pod import KEPT, UNPACKED, File, Paths
from gameday.drills.schedule import Drill
from gameday.plan import Inventory
from gameday.plan.yaml_add import dump

PLACE = Path(__file__).parents[3] / "playbooks" / "kubernetes"
IMAGE, CLAIM = "registry.example/gameday:0.1.0", "gameday"

HEADERS = {
    "cronjob.yaml": """\
# A drill that comes again, in the cluster that it breaks or in another. This is an example of what
# `gameday schedule add EXPERIMENT -i INVENTORY --on quarterly --as cronjob --image … --claim …`
# prints for yours; namespace.yaml and the roles that it needs come first.
""",
    "job.yaml": """\
# A drill once, as soon as this is applied: an example of what `gameday schedule add … --as job`
# prints for yours; namespace.yaml and the roles that it needs come first.
""",
    "sweep-cronjob.yaml": """\
# Ends what is overdue in clusters if whoever held the leases is gone for good: an example of what
# `gameday schedule add … --as cronjob` prints after the CronJob where the inventory names clusters.
# It needs sweep.yaml to look, and the operators' roles in the namespaces where something is ended.
""",
}


class Here(File):
    """A file of the example; there is none of it here."""

    @property
    def executable(self) -> bool:
        """See ``File``."""
        return False


def example() -> tuple[Drill, list[File]]:
    own = f"{UNPACKED}/"
    drill = Drill.model_validate({
        "schema": "gameday/drill/v1", "name": "quarterly", "kind": "cronjob",
        "experiment": f"{own}experiment/wan-partition.yaml",
        "inventory": f"{own}estate/inventory.yaml", "on": "Tue *-01,04,07,10-8..14 10:00",
        "time_zone": "Europe/Berlin", "reports": f"{KEPT}/reports",
        "approvals": f"{KEPT}/approvals", "allowed_signers": f"{own}allowed_signers",
        "key": f"{own}signing_key", "journal": f"{KEPT}/quarterly.journal",
        "environment": {"XDG_STATE_HOME": f"{KEPT}/state"}, "length_s": 300, "added_ns": 0,
    })  # fmt: skip
    paths = ["schedules/quarterly.json", "signing_key", "signing_key.pub", "allowed_signers",
             "experiment/wan-partition.yaml", "estate/inventory.yaml", "estate/known_hosts",
             "estate/keys/id_ed25519"]  # fmt: skip
    return drill, [Here(Path(one), one) for one in paths]


def rendered(name: str) -> str:
    make = manifests.job if name == "job.yaml" else manifests.cronjob
    text = make(*example(), IMAGE, CLAIM, Paths(), manifests.ACCOUNT)
    if name == "sweep-cronjob.yaml":
        text = manifests.sweeper(*example(), IMAGE, Paths(), manifests.ACCOUNT)
    top = yaml.safe_load(text)
    # Where namespace.yaml puts the service account.
    top["metadata"] = {"namespace": "gameday", **top["metadata"]}
    return f"# SPDX-License-Identifier: Apache-2.0\n{HEADERS[name]}{dump(top)}"


@pytest.mark.parametrize("name", HEADERS)
def test_the_examples_are_what_is_printed(name: str) -> None:
    assert (PLACE / name).read_text(encoding="utf-8") == rendered(name)


def test_an_account_only_where_the_cluster_is_the_pods_own() -> None:
    away = {"kubeconfig": "/k", "context": "c", "in_cluster": False}
    own = {"kubeconfig": "", "context": "", "in_cluster": True}
    for clusters, account in (({}, ""), ({"a": away}, ""), ({"a": away, "b": own}, "gameday")):
        inventory = Inventory("i", (), (), "k", (), None, (), clusters=clusters)
        assert manifests.account_of(inventory) == account


def test_a_pod_without_an_account_has_no_token() -> None:
    found = yaml.safe_load(manifests.job(*example(), IMAGE, CLAIM, Paths()))
    inside = found["spec"]["template"]["spec"]
    assert not inside["automountServiceAccountToken"] and "serviceAccountName" not in inside


def test_the_ledger_outlives_the_pod() -> None:
    """Nobody else knows what a lease changed in a cluster: it must be on the claim."""
    drill, _ = example()
    found = yaml.safe_load(manifests.cronjob(*example(), IMAGE, CLAIM, Paths()))
    inside = found["spec"]["jobTemplate"]["spec"]["template"]["spec"]
    (claim,) = [one["name"] for one in inside["volumes"] if "persistentVolumeClaim" in one]
    (mount,) = [one for one in inside["containers"][0]["volumeMounts"] if one["name"] == claim]
    assert drill.environment["XDG_STATE_HOME"].startswith(mount["mountPath"] + "/")


if __name__ == "__main__":
    for one in HEADERS:
        (PLACE / one).write_text(rendered(one), encoding="utf-8")
