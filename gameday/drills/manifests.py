# SPDX-License-Identifier: Apache-2.0
"""Manifests of a drill's pod: as a CronJob, as a Job for once and now, and who sweeps after it.

The pod has no rights but those of its service account, and has one only where the inventory says
``in-cluster``. Its root file system is read-only. Keepers and reapers of leases that gameday's own
host holds are processes of the pod and end with it, so the ledger is on the claim: whoever has
the claim next knows what was begun and what it was before.
"""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Sequence
from typing import Any

from gameday.drills.cron import fields
from gameday.drills.dates import LATE_S_MAX
from gameday.drills.pod import HOME, File, Paths
from gameday.drills.schedule import Drill
from gameday.drills.units import STOP_S
from gameday.plan import Inventory
from gameday.plan.yaml_add import dump

USER = 10_001
ACCOUNT = "gameday"
"""The service account of playbooks/kubernetes/namespace.yaml."""

SWEEPS = "*/5 * * * *"
"""Overdue leases of clusters are looked for every five minutes."""

LOCKED = {"allowPrivilegeEscalation": False, "readOnlyRootFilesystem": True,
          "capabilities": {"drop": ["ALL"]}}  # fmt: skip


def account_of(inventory: Inventory) -> str:
    """The service account that a pod needs; "" where no site's cluster is the pod's own."""
    return ACCOUNT if any(one["in_cluster"] for one in inventory.clusters.values()) else ""


def cronjob(  # noqa: PLR0917 - everything that a pod is made of
    drill: Drill, files: Iterable[File], image: str, claim: str, paths: Paths, account: str = ""
) -> str:
    """The CronJob, as YAML.

    Args:
        drill: with the pod's paths. image: with this version of gameday as ``gameday``.
        claim: PersistentVolumeClaim for reports, approvals, the journal and the ledger.
        account: the service account; "" for none.
    """
    pod = _pod(drill, files, image, claim, paths, account, ["--if-due", "--quiet"])
    found = {
        "apiVersion": "batch/v1", "kind": "CronJob",
        "metadata": {"name": _name(drill), "labels": _labels(drill)},
        "spec": {
            "schedule": fields(drill.calendar), "timeZone": drill.time_zone,
            "concurrencyPolicy": "Forbid", "startingDeadlineSeconds": LATE_S_MAX,
            "successfulJobsHistoryLimit": 8, "failedJobsHistoryLimit": 8,
            "jobTemplate": {"spec": _job(drill, pod)},
        },
    }  # fmt: skip
    return dump(found)


def job(  # noqa: PLR0917 - everything that a pod is made of
    drill: Drill, files: Iterable[File], image: str, claim: str, paths: Paths, account: str = ""
) -> str:
    """The same drill once, as soon as this is applied; arguments as of ``cronjob``."""
    pod = _pod(drill, files, image, claim, paths, account, [])
    found = {
        "apiVersion": "batch/v1", "kind": "Job",
        "metadata": {"name": f"{_name(drill)}-now", "labels": _labels(drill)},
        "spec": _job(drill, pod),
    }  # fmt: skip
    return dump(found)


def sweeper(drill: Drill, files: Iterable[File], image: str, paths: Paths, account: str) -> str:
    """A CronJob that ends what is overdue in the inventory's clusters, whoever left it there.

    It needs no claim: the marks on the objects say all that it must know.
    """
    pod = _pod(drill, files, image, "", paths, account, [])
    command = ["gameday", "sweep", "--clusters", "-i", drill.inventory, "--yes"]
    pod["containers"] = [{**pod["containers"][0], "name": "sweep", "command": command,
                          "volumeMounts": [{"name": "work", "mountPath": HOME}]}]  # fmt: skip
    pod["volumes"] = [one for one in pod["volumes"] if "persistentVolumeClaim" not in one]
    found = {
        "apiVersion": "batch/v1", "kind": "CronJob",
        "metadata": {"name": f"{_name(drill)}-sweep", "labels": _labels(drill)},
        "spec": {
            "schedule": SWEEPS, "concurrencyPolicy": "Forbid",
            "successfulJobsHistoryLimit": 1, "failedJobsHistoryLimit": 8,
            "jobTemplate": {"spec": _job(drill, pod)},
        },
    }  # fmt: skip
    return dump(found)


def secret_command(drill: Drill, files: Iterable[File]) -> str:
    """What makes the Secret: it names files, so that none of their content is printed."""
    argv = ["kubectl", "create", "secret", "generic", _name(drill)]
    argv += [f"--from-file={key}={file.source}" for key, file in _keys(files)]
    return shlex.join(argv)


def _job(drill: Drill, pod: dict[str, Any]) -> dict[str, Any]:
    """Never tried again: a drill that broke off is looked at first."""
    template = {"metadata": {"labels": _labels(drill)}, "spec": pod}
    return {"backoffLimit": 0, "template": template}


def _pod(  # noqa: PLR0917 - everything that a pod is made of
    drill: Drill, files: Iterable[File], image: str, claim: str, paths: Paths, account: str,
    how: Sequence[str],
) -> dict[str, Any]:  # fmt: skip
    items = [
        {"key": key, "path": file.path, "mode": 0o500 if file.executable else 0o400}
        for key, file in _keys(files)
    ]
    work = {"name": "work", "mountPath": HOME}
    given = {"name": "given", "mountPath": paths.given, "readOnly": True}
    env = [{"name": name, "value": HOME} for name in ("HOME", "TMPDIR")]
    common = {"image": image, "securityContext": LOCKED, "env": env}
    unpack = {
        **common, "name": "unpack", "volumeMounts": [given, work],
        "command": ["gameday", "schedule", "unpack", paths.given, paths.unpacked],
    }  # fmt: skip
    run = {
        **common, "name": "drill",
        "volumeMounts": [work, {"name": "kept", "mountPath": paths.kept}],
        "command": ["gameday", "schedule", "run", drill.name, *how,
                    "--directory", f"{paths.unpacked}/schedules"],
    }  # fmt: skip
    return {
        "restartPolicy": "Never", "automountServiceAccountToken": bool(account),
        **({"serviceAccountName": account} if account else {}),
        "terminationGracePeriodSeconds": STOP_S,
        "securityContext": {"runAsNonRoot": True, "runAsUser": USER, "runAsGroup": USER,
                            "fsGroup": USER, "seccompProfile": {"type": "RuntimeDefault"}},
        "initContainers": [unpack], "containers": [run],
        "volumes": [
            {"name": "given", "secret": {"secretName": _name(drill), "items": items}},
            {"name": "work", "emptyDir": {"medium": "Memory"}},
            {"name": "kept", "persistentVolumeClaim": {"claimName": claim}},
        ],
    }  # fmt: skip


def _keys(files: Iterable[File]) -> list[tuple[str, File]]:
    """Files with their keys in the Secret, which may not have a slash."""
    return [(f"f{number:03d}", file) for number, file in enumerate(files)]


def _labels(drill: Drill) -> dict[str, str]:
    return {"app.kubernetes.io/name": "gameday", "gameday.dev/drill": drill.name}


def _name(drill: Drill) -> str:
    return f"gameday-{drill.name}"
