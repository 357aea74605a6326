# SPDX-License-Identifier: Apache-2.0
"""Ways to nodes: what OpenSSH's configuration and Ansible's arguments say, and how they combine."""

from __future__ import annotations

import getpass
from pathlib import Path
from typing import Any

import pytest
import yaml

from gameday.errors import InvalidInput
from gameday.plan import inventory_from_json, load_inventory
from gameday.plan.ways import Jump, NoWay, Ways, included, options

CONFIG = """\
Include more/*.conf
Host fra-*
    User drill
    ProxyJump bastion
Host fra-1
    HostName 10.0.0.1
    Port 2222
    IdentityFile ~/.ssh/nodes
Host direct
    ProxyJump none
Host circle
    ProxyJump circle
"""
MORE = """\
Host bastion
    HostName 192.0.2.7
    User door
    IdentityFile {key}
"""


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home directory with a configuration of ssh that includes another."""
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / ".ssh" / "more").mkdir(parents=True)
    (tmp_path / ".ssh" / "config").write_text(CONFIG, encoding="ascii")
    more = MORE.format(key=tmp_path / "door")
    (tmp_path / ".ssh" / "more" / "a.conf").write_text(more, encoding="ascii")
    return tmp_path


def way(name: str, **variables: str) -> Any:
    return Ways().find(name, variables)


def test_a_name_of_the_configuration(home: Path) -> None:
    found = way("fra-1")
    assert (found.host, found.port, found.user) == ("10.0.0.1", 2222, "drill")
    assert found.key_file == str(home / ".ssh" / "nodes")
    assert found.jumps == (Jump("192.0.2.7", 22, "door", str(home / "door")),)


def test_ansibles_arguments_come_first(home: Path) -> None:
    found = way("fra-1", ansible_ssh_common_args="-o ProxyJump=me@[2001:db8::1]:23,bastion -p 7")
    assert found.port == 7
    assert [(one.user, one.host, one.port) for one in found.jumps] == [
        ("me", "2001:db8::1", 23), ("door", "192.0.2.7", 22)
    ]  # fmt: skip
    assert way("fra-1", ansible_ssh_extra_args="-J none").jumps == ()
    assert way("fra-1", ansible_ssh_args="-o ProxyJump=x", ansible_ssh_extra_args="-J y").jumps == (
        Jump("x", 22, getpass.getuser(), None),
    )


def test_a_proxy_command_that_is_a_jump(home: Path) -> None:
    command = '-o ProxyCommand="ssh -q -i /k -p 24 -W %h:%p you@192.0.2.9"'
    assert way("fra-1", ansible_ssh_common_args=command).jumps == (
        Jump("192.0.2.9", 24, "you", "/k"),
    )
    with pytest.raises(NoWay, match="is no way that gameday knows"):
        way("fra-1", ansible_ssh_common_args="-o ProxyCommand='nc -X 5 %h %p'")


def test_without_a_configuration(tmp_path: Path) -> None:
    found = Ways(tmp_path / "none").find("fra-1", {})
    assert (found.host, found.port, found.user, found.key_file, found.jumps) == (
        "fra-1", None, "", None, ()
    )  # fmt: skip


def test_ways_that_lead_nowhere(home: Path) -> None:
    with pytest.raises(NoWay, match="more than 8 hosts"):
        way("circle")
    with pytest.raises(NoWay, match="arguments for ssh") as caught:
        way("x", ansible_ssh_args="-o 'ProxyJump=x")
    assert caught.value.todo == "correct the quotes"
    with pytest.raises(NoWay, match="cannot be read"):
        way("x", ansible_ssh_common_args="-F /nowhere/config")
    (home / ".ssh" / "more" / "b.conf").write_text("Include more/b.conf\n", encoding="ascii")
    with pytest.raises(NoWay, match="too deep"):
        included(home / ".ssh" / "config")


def test_options_with_and_without_space() -> None:
    found = options({"ansible_ssh_args": '-C -oPort=1 -o "User you" -vi key -J a', "other": "-J b"})
    assert found == {"port": "1", "user": "you", "proxyjump": "a"} | {"identityfile": "key"}


def estate(**host: Any) -> dict[str, Any]:
    common = {"ansible_user": "drill", "gameday_known_hosts": "known_hosts",
              "gameday_management": ["10.0.0.0/24"]}  # fmt: skip
    hosts = {"fra-1": {"gameday_addresses": ["10.1.0.1"], **host}}
    return {"all": {"vars": common, "children": {
        "sites": {"children": {"here": {"hosts": hosts}}}}}}  # fmt: skip


def test_an_inventory_that_leaves_it_to_ssh(home: Path) -> None:
    """No ansible_host: the name is one of ssh's configuration, whose address is protected."""
    path = home / "inventory.yaml"
    path.write_text(yaml.safe_dump(estate()), encoding="utf-8")
    inventory = load_inventory(path)
    node = inventory.by_name["fra-1"]
    assert (node.host, node.port, node.user) == ("10.0.0.1", 2222, "drill")
    assert inventory.management_hosts() == {
        "10.0.0.1": "fra-1", "192.0.2.7": "the jump host of fra-1"
    }  # fmt: skip
    assert f"SSH key {home}/door" in inventory.missing_files()
    assert inventory_from_json(inventory.to_json()) == inventory


def test_an_inventory_whose_way_is_wrong(home: Path) -> None:
    path = home / "inventory.yaml"
    data = estate(ansible_host="10.0.0.1", ansible_ssh_common_args="-o ProxyCommand='nc %h %p'")
    path.write_text(yaml.safe_dump(data), encoding="utf-8")
    with pytest.raises(InvalidInput) as caught:
        load_inventory(path)
    (problem,) = caught.value.problems
    assert "fra-1.ansible_ssh_common_args: ProxyCommand 'nc %h %p'" in problem
    assert "write it as ProxyJump" in problem


def test_ini_with_a_single_vaulted_value(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A jump host in INI, and one variable of a group's file encrypted alone."""
    from ansible.parsing.vault import VaultLib, VaultSecret

    (home / "group_vars").mkdir()
    secret = home / "password"
    secret.write_text("known to few\n", encoding="ascii")
    text = VaultLib([("default", VaultSecret(b"known to few"))]).encrypt(b"hidden").decode()
    lines = "".join(f"  {line}\n" for line in text.splitlines())
    (home / "group_vars" / "all.yml").write_text(f"ansible_user: !vault |\n{lines}", "ascii")
    path = home / "estate.ini"
    path.write_text(
        "[here]\nfra-2 ansible_host=10.0.0.2 gameday_addresses=10.1.0.2\n"
        "[here:vars]\nansible_ssh_common_args='-o ProxyJump=bastion'\n[sites:children]\nhere\n"
        '[all:vars]\ngameday_known_hosts=k\ngameday_management=["10.0.0.0/24"]\n',
        encoding="ascii",
    )
    monkeypatch.setenv("ANSIBLE_VAULT_PASSWORD_FILE", str(secret))
    node = load_inventory(path).by_name["fra-2"]
    assert node.user == "hidden"
    assert [one.host for one in node.jumps] == ["192.0.2.7"]
