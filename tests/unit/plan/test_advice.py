# SPDX-License-Identifier: Apache-2.0
"""Everything wrong or weak about an estate is said at once; a sound one hears nothing."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from gameday.plan import load_inventory
from gameday.plan.advice import WRONG, advise

ROOT = Path(__file__).parents[3]


def estate(change: Any = None) -> dict[str, Any]:
    """Three sites with an etcd member each, and a client outside."""
    sites: dict[str, Any] = {}
    for number, site in enumerate(("a", "b", "c"), start=1):
        sites[site] = {"hosts": {f"{site}-1": {
            "ansible_host": f"10.0.0.{number}",
            "gameday_addresses": [f"10.1.{number}.1", f"fd00:{number}::1"],
            "gameday_networks": [f"10.2.{number}.0/24"],
        }}}  # fmt: skip
    sites["out"] = {"hosts": {"cli": {"ansible_host": "10.0.0.9", "gameday_vantage_only": True}}}
    data: dict[str, Any] = {
        "vars": {
            "ansible_user": "u", "gameday_known_hosts": "known",
            "gameday_management": ["10.0.0.0/24"],
            "gameday_raft_groups": {"main": {"role": "etcd"}},
        },
        "children": {
            "sites": {"children": sites},
            "roles": {"children": {"etcd": {"hosts": {"a-1": {}, "b-1": {}, "c-1": {}}}}},
        },
    }  # fmt: skip
    if change:
        change(data, {name: one["hosts"] for name, one in sites.items()})
    return {"all": data}


def said(tmp_path: Path, change: Any = None) -> list[str]:
    path = tmp_path / "inventory.yaml"
    path.write_text(yaml.safe_dump(estate(change)), encoding="utf-8")
    return [str(one) for one in advise(load_inventory(path))]


def test_a_sound_estate_hears_nothing(tmp_path: Path) -> None:
    assert said(tmp_path) == []


def test_the_labs_own_estate_is_sound() -> None:
    assert advise(load_inventory(ROOT / "inventory" / "lab.yaml")) == []


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (lambda d, s: s["a"]["a-1"].pop("gameday_addresses"),
         "wrong: a-1: has no gameday_addresses"),
        (lambda d, s: s["b"]["b-1"]["gameday_addresses"].pop(), "weak: b-1: has no IPv6 address"),
        (lambda d, s: s["b"]["b-1"].update(ansible_host="10.0.0.1"),
         "wrong: b-1: is reached at 10.0.0.1 port 22, as a-1 is"),
        (lambda d, s: s["b"]["b-1"].update(ansible_host="10.9.0.1"),
         "weak: b-1: its ansible_host 10.9.0.1 is not in gameday_management"),
        (lambda d, s: s["c"]["c-1"].update(gameday_networks=["10.2.0.0/16"]),
         "wrong: a-1: 10.2.1.0/24 overlaps 10.2.0.0/16 of c-1"),
        (lambda d, s: s["c"]["c-1"].update(gameday_networks=["10.1.1.0/24"]),
         "wrong: c-1: 10.1.1.0/24 contains 10.1.1.1 of a-1"),
        (lambda d, s: d["vars"].update(gameday_management=["10.0.0.0/15"]),
         "wrong: c-1: its data address 10.1.3.1 is in gameday_management"),
        (lambda d, s: s.pop("out") and d["children"]["sites"]["children"].pop("out"),
         "weak: sites: no node is gameday_vantage_only"),
        (lambda d, s: d["children"]["roles"]["children"]["etcd"]["hosts"].pop("c-1"),
         "weak: c-1: has no role"),
        (lambda d, s: d["children"].update(racks={"children": {"r1": {"hosts": {"a-1": {}}}}}),
         "weak: c-1: is in no rack"),
        (lambda d, s: d["children"].update(racks={"children": {
            "r1": {"hosts": {"a-1": {}}}, "r2": {"hosts": {"a-1": {}}}}}),
         "wrong: a-1: is in 2 racks: r1, r2"),
        (lambda d, s: d["children"]["roles"]["children"]["etcd"]["hosts"].update(cli={}),
         "wrong: main: its member cli is gameday_vantage_only"),
    ],
)  # fmt: skip
def test_one_thing_wrong_is_named(tmp_path: Path, change: Any, expected: str) -> None:
    assert any(line.startswith(expected) for line in said(tmp_path, change)), said(tmp_path, change)


def test_two_sites_cannot_bear_the_loss_of_one(tmp_path: Path) -> None:
    """Four members on two sites: even, and each site takes the majority with it."""

    def change(data: dict[str, Any], sites: Any) -> None:
        for site, number in (("a", 1), ("b", 2)):
            more = {"ansible_host": f"10.0.0.{number + 4}",
                    "gameday_addresses": [f"10.1.{number}.2", f"fd00:{number}::2"]}  # fmt: skip
            sites[site][f"{site}-2"] = more
        etcd = data["children"]["roles"]["children"]["etcd"]["hosts"]
        etcd.update({"a-2": {}, "b-2": {}})
        etcd.pop("c-1")

    lines = [line for line in said(tmp_path, change) if ": main: " in line]
    assert lines == [
        "weak: main: has 4 members: it bears the loss of 1, as 3 members would; "
        "add one, or take one away",
        *(f"weak: main: loses its majority with {site}, which has 2 of 4 members, and the group is "
          "stretched over two sites; spread it over three sites, or add a witness"
          for site in ("a", "b")),
    ]  # fmt: skip


def test_a_majority_in_one_of_three_sites_is_said(tmp_path: Path) -> None:
    def change(data: dict[str, Any], sites: Any) -> None:
        etcd = data["children"]["roles"]["children"]["etcd"]["hosts"]
        for number in (2, 3):
            sites["a"][f"a-{number}"] = {
                "ansible_host": f"10.0.0.{number + 3}",
                "gameday_addresses": [f"10.1.1.{number}", f"fd00:1::{number}"],
            }
            etcd[f"a-{number}"] = {}

    (line,) = (line for line in said(tmp_path, change) if ": main: " in line)
    assert "loses its majority with a, which has 3 of 5 members; spread" in line


def test_everything_is_said_at_once_the_wrong_first(tmp_path: Path) -> None:
    def change(data: dict[str, Any], sites: Any) -> None:
        sites["a"]["a-1"].pop("gameday_addresses")
        sites["b"]["b-1"].update(ansible_host="10.0.0.3", gameday_networks=["10.2.3.0/25"])

    lines = said(tmp_path, change)
    levels = [line.startswith(WRONG) for line in lines]
    assert levels == sorted(levels, reverse=True) and sum(levels) == 3


def gameday(path: Path, *more: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "gameday.cli.main", "inventory", "check", "-i", str(path), *more],
        capture_output=True, text=True, cwd=ROOT, check=False,
    )  # fmt: skip


def test_the_command_says_what_this_machine_lacks(tmp_path: Path) -> None:
    """Unpinned host keys and keys that others may read are found without contacting anybody."""

    def change(data: dict[str, Any], sites: Any) -> None:
        data["vars"]["ansible_ssh_private_key_file"] = "id"
        sites["b"]["b-1"]["ansible_port"] = 2222

    path = tmp_path / "inventory.yaml"
    path.write_text(yaml.safe_dump(estate(change)), encoding="utf-8")
    (tmp_path / "id").write_text("not looked into", encoding="ascii")
    (tmp_path / "id").chmod(0o644)
    key = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIOMqqnkVzrm0SdG6UOoqKLsabgH5C9okWi0dh2l9GKJl"
    pinned = ("10.0.0.1", "[10.0.0.2]:2222", "10.0.0.9")
    (tmp_path / "known").write_text("".join(f"{host} {key}\n" for host in pinned), encoding="ascii")
    done = gameday(path)
    assert done.returncode == 2, done.stderr
    assert re.findall(r"^wrong: (\S+): (.*?);", done.stdout, re.M) == [
        ("c-1", f"no host key of 10.0.0.3 is pinned in {tmp_path}/known"),
        (f"{tmp_path}/id", "may be read by others (mode 0644)"),
    ]
    assert "4 nodes (a 1, b 1, c 1, out 1); Raft groups: main 3" in done.stdout
    (tmp_path / "id").chmod(0o600)
    with open(tmp_path / "known", "a", encoding="ascii") as file:
        file.write(f"10.0.0.3 {key}\n")
    assert gameday(path, "--strict").stdout.endswith("nothing is wrong or weak\n")


def test_vaulted_variables_are_read_with_ansibles_own_settings(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Group variables, encrypted as a whole, by a password file that the environment names."""
    from ansible.parsing.vault import VaultLib, VaultSecret

    path = tmp_path / "inventory.yaml"
    path.write_text(yaml.safe_dump(estate(lambda d, s: d["vars"].pop("ansible_user"))))
    secret = tmp_path / "password"
    secret.write_text("known to few\n", encoding="ascii")
    (tmp_path / "group_vars").mkdir()
    text = VaultLib([("default", VaultSecret(b"known to few"))]).encrypt(b"ansible_user: hidden\n")
    (tmp_path / "group_vars" / "all.yml").write_bytes(text)
    monkeypatch.setenv("ANSIBLE_VAULT_PASSWORD_FILE", str(secret))
    assert load_inventory(path).by_name["a-1"].user == "hidden"
