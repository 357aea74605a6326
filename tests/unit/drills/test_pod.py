# SPDX-License-Identifier: Apache-2.0
"""A drill in a pod: its files as the kubelet would show them, unpacked, and planned there alike."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from gameday.cli.main import cli
from gameday.drills import cron, pod, schedule
from gameday.drills.calendar import parse
from gameday.drills.pod import Paths
from gameday.drills.subject import subject
from gameday.errors import InvalidInput
from gameday.experiment import load_experiment
from gameday.plan import load_inventory
from gameday.report.keygen import generate
from tests.unit.drills import estate

KUBERNETES_NAME = re.compile(r"[a-z0-9]([-a-z0-9]{0,50}[a-z0-9])?")


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A user's home, and a pod's directories beside it."""
    for name in ("ANSIBLE_CONFIG", "ANSIBLE_VAULT_PASSWORD_FILE", "ANSIBLE_VAULT_IDENTITY_LIST"):
        monkeypatch.delenv(name, raising=False)
    here = tmp_path / "home"
    here.mkdir()
    for name, value in (("HOME", ""), ("XDG_CONFIG_HOME", "config"), ("XDG_STATE_HOME", "state")):
        monkeypatch.setenv(name, str(here / value))
    paths = Paths(*(str(tmp_path / name) for name in ("given", "unpacked", "kept")))
    monkeypatch.setattr(pod, "Paths", lambda: paths)
    monkeypatch.chdir(here)
    generate("drills@controller")
    return here


def call(*argv: object) -> int:
    return int(cli.main([str(one) for one in argv], standalone_mode=False) or 0)


def add(*more: object) -> None:
    call("schedule", "add", "rehearsal.yaml", "--on", "Mon *-02,05-1..7 10:00 Europe/Berlin", "-i",
         "estate/inventory.yaml", "--name", "q", "--as", "cronjob", "--image", "corp/gameday:1",
         "--claim", "drills", "--directory", "kept", *more)  # fmt: skip


def mount(command: str, secret: dict[str, Any], given: Path) -> None:
    """What the kubelet makes of a Secret: files in a dated directory, and links to them."""
    pairs = [one.removeprefix("--from-file=").split("=", 1) for one in shlex.split(command)
             if one.startswith("--from-file=")]  # fmt: skip
    sources = dict(pairs)
    dated = given / "..2026_01_01_00_00_00.1"
    for item in secret["items"]:
        path = dated / item["path"]
        path.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(sources[item["key"]], path)
        # A volume with a group has its files readable by the group.
        path.chmod(item["mode"] | 0o040)
    assert set(sources) == {item["key"] for item in secret["items"]}
    (given / "..data").symlink_to(dated.name)
    for name in {item["path"].split("/")[0] for item in secret["items"]}:
        (given / name).symlink_to(f"..data/{name}")


def test_the_pod_plans_what_is_planned_here(
    home: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Approvals of this host's plan count there, and a run there would ask for nothing."""
    estate.make(home, {"approvals": 1, "approval_days": 366})
    (home / "estate/group_vars").mkdir()
    (home / "estate/group_vars/etcd.yaml").write_text("note: here\n", encoding="utf-8")
    add()
    out = capsys.readouterr().out
    private = (home / "estate/keys/id_ed25519").read_text(encoding="ascii").splitlines()[1]
    signing = (home / "config/gameday/signing_key").read_text(encoding="ascii").splitlines()[1]
    assert private not in out and signing not in out
    (command,) = [line[1:] for line in out.splitlines() if "kubectl create secret" in line]
    spec = yaml.safe_load(out)["spec"]["jobTemplate"]["spec"]["template"]["spec"]
    mount(command, spec["volumes"][0]["secret"], tmp_path / "given")
    hidden = home.with_name("elsewhere")
    # Nothing of this host is there any more but what the pod was given.
    signers = (home / "config/gameday/allowed_signers").read_text(encoding="ascii")
    here = subject((home / "rehearsal.yaml").read_bytes(), load_experiment(home / "rehearsal.yaml"),
                   load_inventory(home / "estate/inventory.yaml"))  # fmt: skip
    home.rename(hidden)
    os.chdir(tmp_path)
    assert call(*spec["initContainers"][0]["command"][1:]) == 0
    drill = schedule.load(tmp_path / "unpacked/schedules", "q")
    there = subject(Path(drill.experiment).read_bytes(), load_experiment(Path(drill.experiment)),
                    load_inventory(Path(drill.inventory)))  # fmt: skip
    assert there.digests == here.digests
    assert Path(drill.allowed_signers).read_text(encoding="ascii") == signers
    assert {path.stat().st_mode & 0o077 for path in (tmp_path / "unpacked").rglob("*")} == {0}
    assert call("approve", drill.experiment, "-i", drill.inventory, "--approvals", drill.approvals,
                "--key", drill.key, "--yes") == 0  # fmt: skip
    argv = ("q", "--directory", tmp_path / "unpacked/schedules")
    assert call("schedule", "check", *argv) == 0
    run = spec["containers"][0]["command"]
    assert run[1:6] == ["schedule", "run", "q", "--if-due", "--quiet"]
    assert call(*run[1:]) == 0, "it is not due"


def test_the_manifest(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """One at a time, none that is late, no second try, no rights, and the drill's own zone."""
    estate.make(home)
    add()
    found = yaml.safe_load(capsys.readouterr().out)
    assert KUBERNETES_NAME.fullmatch(found["metadata"]["name"])
    spec = found["spec"]
    # Every day of the week: cron would take "1-7 or Monday"; the drill itself knows its days.
    assert spec["schedule"] == "0 10 1,2,3,4,5,6,7 2,5 *" and spec["timeZone"] == "Europe/Berlin"
    assert spec["concurrencyPolicy"] == "Forbid" and spec["startingDeadlineSeconds"] == 600
    job = spec["jobTemplate"]["spec"]
    inside = job["template"]["spec"]
    assert job["backoffLimit"] == 0 and inside["restartPolicy"] == "Never"
    assert not inside["automountServiceAccountToken"] and inside["securityContext"]["runAsNonRoot"]
    mounts = {one["name"] for one in inside["volumes"]}
    for one in inside["initContainers"] + inside["containers"]:
        assert {mount["name"] for mount in one["volumeMounts"]} <= mounts
        assert one["securityContext"]["capabilities"] == {"drop": ["ALL"]}


@pytest.mark.parametrize(
    ("change", "said"),
    [({"ansible_ssh_private_key_file": "{home}/key"}, "needs more"),
     ({"gameday_known_hosts": "{home}/estate/known_hosts"}, "full paths"),
     ({"gameday_controller_netns": "/proc/self/ns/net"}, "needs more")],
)  # fmt: skip
def test_files_that_a_pod_would_not_have(home: Path, change: dict[str, str], said: str) -> None:
    """Refused with their names, and nothing is written."""
    _, inventory = estate.make(home)
    shutil.copy(home / "estate/keys/id_ed25519", home / "key")
    data = yaml.safe_load(inventory.read_text(encoding="utf-8"))
    data["all"]["vars"].update({k: v.format(home=home) for k, v in change.items()})
    inventory.write_text(yaml.safe_dump(data), encoding="utf-8")
    with pytest.raises(InvalidInput, match=said) as caught:
        add()
    assert caught.value.problems and not (home / "kept").exists()


def clusters(home: Path, user: dict[str, Any], **variables: str) -> None:
    """Frankfurt has a cluster; this user of its kubeconfig asks it."""
    _, inventory = estate.make(home)
    data = yaml.safe_load(inventory.read_text(encoding="utf-8"))
    own = variables or {"gameday_kubeconfig": "kube", "gameday_context": "c"}
    data["all"]["children"]["sites"]["children"]["frankfurt"]["vars"] = own
    inventory.write_text(yaml.safe_dump(data), encoding="utf-8")
    config = {"contexts": [{"name": "c", "context": {"cluster": "c", "user": "u"}}],
              "clusters": [{"name": "c", "cluster": {"server": "https://c"}}],
              "users": [{"name": "u", "user": user}]}  # fmt: skip
    (home / "estate/kube").write_text(yaml.safe_dump(config), encoding="utf-8")


def test_a_kubeconfig_goes_along_and_gives_no_token(
    home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    clusters(home, {"token": "never-shown"})
    add()
    out = capsys.readouterr().out
    assert f"={home}/estate/kube" in out and "never-shown" not in out
    first, sweeper = yaml.safe_load_all(out)
    inside = first["spec"]["jobTemplate"]["spec"]["template"]["spec"]
    assert not inside["automountServiceAccountToken"]
    assert sweeper["metadata"]["name"] == "gameday-q-sweep"
    assert "estate/kube" in {one["path"] for one in inside["volumes"][0]["secret"]["items"]}


@pytest.mark.parametrize(
    "user", [{"client-certificate": "c.pem"}, {"exec": {"command": "aws"}}, {"tokenFile": "/t"}]
)
def test_a_kubeconfig_that_needs_more_than_itself(home: Path, user: dict[str, Any]) -> None:
    clusters(home, user)
    with pytest.raises(InvalidInput, match="kubeconfigs name") as caught:
        add()
    assert caught.value.problems == (f"{home}/estate/kube: {next(iter(user))}",)


def test_in_cluster_gets_the_service_account_and_a_job_is_not_asked_for_its_date(
    home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    clusters(home, {}, gameday_kubernetes="in-cluster")
    add("--as", "job")
    out = capsys.readouterr().out
    found = yaml.safe_load(out)
    inside = found["spec"]["template"]["spec"]
    assert (found["kind"], found["metadata"]["name"]) == ("Job", "gameday-q-now")
    assert (inside["serviceAccountName"], inside["automountServiceAccountToken"]) == (
        "gameday",
        True,
    )
    assert "as the service account gameday" in out
    command = inside["containers"][0]["command"]
    assert command[:4] == ["gameday", "schedule", "run", "q"] and "--if-due" not in command


def test_cron_fields_hold_every_date() -> None:
    """Read by crontab's rules, they are never fewer than the calendar's."""
    assert cron.fields(parse("quarterly")) == "0 0 1 1,4,7,10 *"
    assert cron.fields(parse("Mon,Sun 9,17:30")) == "30 9,17 * * 0,1"
    assert cron.fields(parse("Fri *-1-8..14 9:00")) == "0 9 8,9,10,11,12,13,14 1 *"


@pytest.mark.skipif(not shutil.which("kubectl"), reason="reads the manifest with kubectl itself")
def test_kubectl_reads_the_manifest(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Offline it knows no schema of a cluster, but its own types refuse unknown fields."""
    estate.make(home)
    add()
    text = capsys.readouterr().out
    done = subprocess.run(
        ["kubectl", "set", "image", "--local", "-f", "-", "drill=other:1", "-o", "yaml"],
        input=text, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    image = yaml.safe_load(done.stdout)["spec"]["jobTemplate"]["spec"]["template"]["spec"]
    assert image["containers"][0]["image"] == "other:1"
