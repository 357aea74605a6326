# SPDX-License-Identifier: Apache-2.0
"""A drill in a Kubernetes pod: its files in a Secret, its paths those of the pod.

The kubelet shows a Secret's files as links, and with a group readable as soon as a volume's group
is set; gameday refuses both in keys and approvals. So an init container copies them first
(``unpack``), each with a mode of its own, into memory. What must outlive the pod (reports,
approvals, the journal, the lock) is on a claim.

Whether the files are all there, and say the same there as here, is proven before anything is
printed: the layout is built in a directory elsewhere and must give the same bytes to approve.
"""

from __future__ import annotations

import os
import shutil
import stat
import tempfile
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import yaml

from gameday.drills.schedule import SUFFIX, Drill
from gameday.drills.subject import subject
from gameday.errors import InvalidInput
from gameday.experiment import load_experiment
from gameday.plan import Inventory, load_inventory

GIVEN, UNPACKED, KEPT = "/etc/gameday/drill", "/run/gameday/drill", "/var/lib/gameday-drills"
"""Mounts: the Secret, where it is unpacked to (memory), and the claim."""

HOME = "/run/gameday"
SECRET_BYTES_MAX = 1_000_000
"""Kubernetes takes 1 MiB for all of a Secret."""

BESIDE = ("group_vars", "host_vars")

ELSEWHERE = ("certificate-authority", "client-certificate", "client-key", "tokenFile", "exec",
             "auth-provider")  # fmt: skip
"""Keys of a kubeconfig that name a file or a program beside it."""


@dataclass(frozen=True)
class Paths:
    """Where things are in the pod; tests have them elsewhere."""

    given: str = GIVEN
    unpacked: str = UNPACKED
    kept: str = KEPT


@dataclass(frozen=True)
class File:
    """One file of the pod.

    Attributes:
        source: here. path: below ``Paths.unpacked``. private: its content is a secret.
    """

    source: Path
    path: str
    private: bool = False

    @property
    def executable(self) -> bool:
        """Such as an inventory that is a program."""
        return bool(self.source.stat().st_mode & stat.S_IXUSR)


def lay_out(
    drill: Drill, inventory: Inventory, place: Path, paths: Paths
) -> tuple[Drill, list[File]]:
    """The drill with the pod's paths, and every file that the pod needs.

    Args:
        drill: with the paths of this host. place: where the drill's file for the pod is kept here.

    Raises:
        InvalidInput: with every file that the pod could not have.
    """
    source = Path(drill.inventory).resolve()
    base = source if source.is_dir() else source.parent
    own = f"{paths.unpacked}/"
    estate = "estate" if source.is_dir() else f"estate/{source.name}"
    experiment = Path(drill.experiment)
    moved = drill.model_copy(update={
        "kind": "cronjob", "experiment": f"{own}experiment/{experiment.name}",
        "inventory": own + estate, "key": f"{own}signing_key",
        "allowed_signers": f"{own}allowed_signers", "reports": f"{paths.kept}/reports",
        "approvals": f"{paths.kept}/approvals", "journal": f"{paths.kept}/{drill.name}.journal",
        "environment_file": f"{own}environment" if drill.environment_file else "",
        "environment": {"XDG_STATE_HOME": f"{paths.kept}/state"},
    })  # fmt: skip
    files = [File(place / f"{drill.name}{SUFFIX}", f"schedules/{drill.name}{SUFFIX}"),
             File(Path(drill.key), "signing_key", True),
             File(Path(drill.allowed_signers), "allowed_signers")]  # fmt: skip
    public = Path(f"{drill.key}.pub")
    files += [File(public, "signing_key.pub")] if public.is_file() else []
    files += _of_ansible(drill, moved, own)
    files += _of_experiment(experiment)
    files += _of_estate(inventory, source, base)
    _check_kubeconfigs(inventory)
    found = tuple({one.path: one for one in files}.values())
    _check(found, drill)
    return moved, list(found)


def prove(drill: Drill, inventory: Inventory, files: Iterable[File]) -> None:
    """Show that the pod will plan what is planned here, so that approvals count there.

    Raises:
        InvalidInput: what would be another one there.
    """
    experiment = Path(drill.experiment)
    here = subject(experiment.read_bytes(), load_experiment(experiment), inventory)
    with tempfile.TemporaryDirectory(prefix="gameday-pod-") as name:
        root = Path(name).resolve()
        for file in files:
            if not file.path.startswith(("estate/", "experiment/")):
                continue
            target = root / file.path
            target.parent.mkdir(parents=True, exist_ok=True)
            if file.private:
                # That it is there is enough; no copy of a key is left anywhere.
                target.touch(0o600)
            else:
                shutil.copy(file.source, target)
        source = Path(drill.inventory).resolve()
        moved = load_inventory(root / "estate" / ("" if source.is_dir() else source.name))
        away = [path for path in _named(moved) if not Path(path).is_relative_to(root)]
        if away:
            raise InvalidInput(
                f"{drill.inventory} names files by their full paths, which a pod does not have",
                "name them relative to the inventory's directory", problems=sorted(set(away)),
            )  # fmt: skip
        text = root / "experiment" / experiment.name
        there = subject(text.read_bytes(), load_experiment(text), moved)
    changed = [n for n, digest in here.digests.items() if there.digests[n] != digest]
    if changed:
        raise InvalidInput(f"the pod would see another {', '.join(changed)} than this host",
                           "does the inventory read files outside of its directory?")  # fmt: skip


def unpack(source: Path, target: Path) -> int:
    """Copy a mounted Secret's files; returns how many.

    Raises:
        InvalidInput: where they cannot be read or written.
    """
    count = 0
    try:
        for name, directories, names in os.walk(source, followlinks=True):
            # The kubelet keeps the files in directories that begin so, and links to them.
            directories[:] = sorted(one for one in directories if not one.startswith(".."))
            goal = target / Path(name).relative_to(source)
            goal.mkdir(mode=0o700, parents=True, exist_ok=True)
            for one in sorted(names):
                shutil.copyfile(Path(name) / one, goal / one)
                mode = (Path(name) / one).stat().st_mode
                (goal / one).chmod(0o700 if mode & stat.S_IXUSR else 0o600)
                count += 1
    except OSError as error:
        raise InvalidInput(f"{error.filename or source}: {error.strerror}") from error
    if not count:
        raise InvalidInput(f"{source} holds no file", "is the Secret mounted there?")
    return count


def _of_ansible(drill: Drill, moved: Drill, own: str) -> list[File]:
    """Ansible's configuration and vault password, which come from the environment."""
    if drill.environment.get("ANSIBLE_VAULT_IDENTITY_LIST"):
        raise InvalidInput("ANSIBLE_VAULT_IDENTITY_LIST names several files; a pod gets one",
                           "set ANSIBLE_VAULT_PASSWORD_FILE instead")  # fmt: skip
    found = []
    for name, path in (("ANSIBLE_CONFIG", "ansible/ansible.cfg"),
                       ("ANSIBLE_VAULT_PASSWORD_FILE", "ansible/vault_password")):  # fmt: skip
        if drill.environment.get(name):
            found.append(File(Path(drill.environment[name]), path, True))
            moved.environment[name] = own + path
    if drill.environment_file:
        found.append(File(Path(drill.environment_file), "environment", True))
    return found


def _of_experiment(experiment: Path) -> list[File]:
    """The experiment and the recorded series that it names."""
    names = {
        str(trace)
        for fault in load_experiment(experiment).experiment.faults
        if (trace := getattr(fault.params, "trace_file", ""))
    }
    wrong = [name for name in names if Path(name).is_absolute() or ".." in Path(name).parts]
    if wrong:
        raise InvalidInput(f"{experiment} names files that a pod does not have",
                           "keep them beside the experiment", problems=sorted(wrong))  # fmt: skip
    found = [File(experiment, f"experiment/{experiment.name}")]
    return found + [File(experiment.parent / one, f"experiment/{one}") for one in sorted(names)]


def _of_estate(inventory: Inventory, source: Path, base: Path) -> list[File]:
    """Everything that the inventory is made of, and every file that it names."""
    roots = [source] if source.is_dir() else [base / name for name in BESIDE]
    found = [] if source.is_dir() else [source]
    found += [
        path for root in roots for path in sorted(root.rglob("*"))
        if path.is_file() and not any(x.startswith(".") for x in path.relative_to(base).parts)
    ]  # fmt: skip
    named = [Path(path) for path in _named(inventory)]
    away = [str(path) for path in named if not path.is_relative_to(base)]
    if inventory.controller_netns:
        away.append(f"network namespace {inventory.controller_netns}")
    away += [f"{node.name}: no ansible_ssh_private_key_file" for node in inventory.nodes
             if not node.key_file][:5]  # fmt: skip
    if away:
        raise InvalidInput(
            f"{source}: a pod gets the inventory's directory {base}, and needs more",
            "put it below that directory, and name it relative to it", problems=sorted(set(away)),
        )  # fmt: skip
    private = {Path(node.key_file) for node in inventory.nodes if node.key_file}
    private |= {Path(one.url_file) for one in inventory.policy.announcements if one.url_file}
    private |= {Path(n.bmc["credentials_file"]) for n in inventory.nodes
                if n.bmc and n.bmc["credentials_file"]}  # fmt: skip
    private |= {Path(path) for path in _kubeconfigs(inventory)}
    return [
        File(path, f"estate/{path.relative_to(base)}", path in private)
        for path in dict.fromkeys([*found, *named])
    ]


def _named(inventory: Inventory) -> list[str]:
    """Paths of files that an inventory names."""
    found = [inventory.known_hosts]
    found += [node.key_file for node in inventory.nodes if node.key_file]
    for node in inventory.nodes:
        if node.bmc:
            found += [node.bmc["credentials_file"], node.bmc["ca_file"]]
    for one in inventory.policy.announcements:
        found += [one.url_file, one.ca_file]
    found += _kubeconfigs(inventory)
    return [path for path in dict.fromkeys(found) if path]


def _kubeconfigs(inventory: Inventory) -> list[str]:
    return [str(one["kubeconfig"]) for one in inventory.clusters.values() if one["kubeconfig"]]


def _check_kubeconfigs(inventory: Inventory) -> None:
    """A kubeconfig may name files and programs, which a pod does not have."""
    wrong = []
    for path in sorted(set(_kubeconfigs(inventory))):
        try:
            data = yaml.safe_load(Path(path).read_text(encoding="utf-8")) or {}
            parts = [
                one[kind] for kind in ("cluster", "user") for one in data.get(f"{kind}s") or ()
            ]
        except (OSError, yaml.YAMLError, AttributeError, KeyError, TypeError) as error:
            wrong.append(f"{path} cannot be read as a kubeconfig ({type(error).__name__})")
            continue
        wrong += sorted({f"{path}: {name}" for part in parts for name in ELSEWHERE if name in part})
    if wrong:
        raise InvalidInput("kubeconfigs name what a pod does not have",
                           "kubectl config view --flatten --minify makes one that holds all of it; "
                           "or say gameday_kubernetes: in-cluster", problems=wrong)  # fmt: skip


def _check(files: Iterable[File], drill: Drill) -> None:
    """All but the drill's own file, which is written last, must be there and not too much."""
    rest = [file for file in files if not file.path.startswith("schedules/")]
    missing = sorted(str(file.source) for file in rest if not file.source.is_file())
    if missing:
        raise InvalidInput(f"{drill.name}: files that the pod needs are not here", problems=missing)
    size = sum(file.source.stat().st_size for file in rest)
    if size > SECRET_BYTES_MAX:
        raise InvalidInput(f"{drill.name}: its files have {size} bytes, and a Secret holds "
                           f"{SECRET_BYTES_MAX}", "keep large traces in the image")  # fmt: skip
