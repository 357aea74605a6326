# SPDX-License-Identifier: Apache-2.0
"""An estate's files as a user keeps them, for drills that are planned and never reach a node."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).resolve().parents[3]


def make(place: Path, policy: dict[str, Any] | None = None) -> tuple[Path, Path]:
    """(experiment, inventory): the rehearsal, and the lab's nodes with keys beside it."""
    estate = place / "estate"
    (estate / "keys").mkdir(parents=True)
    data = yaml.safe_load((ROOT / "inventory" / "lab.yaml").read_text(encoding="utf-8"))
    variables = data["all"]["vars"]
    del variables["gameday_controller_netns"]
    variables["ansible_ssh_private_key_file"] = "keys/id_ed25519"
    variables["gameday_known_hosts"] = "known_hosts"
    if policy:
        variables["gameday_policy"] = policy
    (estate / "inventory.yaml").write_text(yaml.safe_dump(data), encoding="utf-8")
    key(estate / "keys" / "id_ed25519")
    public = (estate / "keys" / "id_ed25519.pub").read_text(encoding="ascii").split()
    hosts = [host["ansible_host"] for site in data["all"]["children"]["sites"]["children"].values()
             for host in site["hosts"].values()]  # fmt: skip
    lines = [f"{host} {public[0]} {public[1]}\n" for host in hosts]
    (estate / "known_hosts").write_text("".join(lines), encoding="ascii")
    experiment = place / "rehearsal.yaml"
    shutil.copy(ROOT / "experiments" / "rehearsal.yaml", experiment)
    return experiment, estate / "inventory.yaml"


def key(path: Path, passphrase: str = "") -> None:
    """An SSH key."""
    path.unlink(missing_ok=True)
    subprocess.run(
        ["ssh-keygen", "-q", "-t", "ed25519", "-N", passphrase, "-C", "k", "-f", str(path)],
        check=True, stdin=subprocess.DEVNULL,
    )  # fmt: skip
