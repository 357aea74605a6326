# SPDX-License-Identifier: Apache-2.0
"""Optional parts: which are left, and that a part left out is gone from nodes and inventory."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml

from gameday.errors import CannotRun
from gameday.lab import kube, nodes, optional
from gameday.lab import topology as t
from gameday.lab.inventory import render


@pytest.fixture(autouse=True)
def programs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In the place of the API server's program, which units of a lab are made without."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    kube.program().parent.mkdir(parents=True)
    kube.program().touch(mode=0o755)


def services(tmp_path: Path, parts: tuple[str, ...]) -> set[str]:
    keys = nodes.make_keys(tmp_path)
    optional.prepare(parts, tmp_path)
    found = set()
    for one in t.NODES:
        home = nodes.make_node(tmp_path, one, keys, parts)
        found |= {each["name"] for each in json.loads((home / "spec.json").read_text())["services"]}
    return found


DEFAULT = [name for name, one in optional.TABLE.items() if one.default]
EXTRA = [name for name, one in optional.TABLE.items() if not one.default]


def test_what_is_there_by_default_and_what_is_asked_for() -> None:
    assert optional.chosen() == tuple(DEFAULT)
    assert optional.chosen((), EXTRA) == tuple(optional.TABLE)
    assert optional.chosen(DEFAULT, EXTRA) == tuple(EXTRA)
    assert optional.missing_roles(optional.TABLE) == set()
    assert render("/x") == render("/x", tuple(DEFAULT))


def test_a_part_cannot_be_with_and_without() -> None:
    with pytest.raises(CannotRun) as caught:
        optional.chosen(["monitoring"], ["monitoring"])
    assert "monitoring" in caught.value.message


@pytest.mark.parametrize("name", EXTRA)
def test_a_part_that_is_asked_for_has_its_role_and_programs(name: str) -> None:
    parts = optional.chosen((), [name])
    roles = yaml.safe_load(render("/x", parts))["all"]["children"]["roles"]["children"]
    assert optional.TABLE[name].role in roles
    more = set(optional.programs(parts)) > set(optional.programs(DEFAULT))
    kube.program().unlink()
    assert more != bool(optional.missing(parts)), "programs from packages, or one that is built"


def test_routers_carry_the_anycast_address_only_where_it_is_asked_for(tmp_path: Path) -> None:
    for parts in (optional.chosen(), optional.chosen((), ["bird2"])):
        state = tmp_path / str(len(parts))
        state.mkdir()
        nodes.make_keys(state)
        directory = nodes.make_routers(state, True, parts)
        runs = "ip netns exec fra-rtr bird " in (directory / "routers.sh").read_text()
        assert runs == ("bird2" in parts) == (directory / "fra-rtr.bird").exists()


def test_an_unknown_part_is_refused_with_the_names_that_there_are() -> None:
    with pytest.raises(CannotRun) as caught:
        optional.chosen(["monitoring", "nonsense"])
    assert "nonsense" in caught.value.message


@pytest.mark.parametrize("name", DEFAULT)
def test_a_part_left_out_takes_its_role_with_it(name: str) -> None:
    parts = optional.chosen([name])
    assert name not in parts
    roles = yaml.safe_load(render("/x", parts))["all"]["children"]["roles"]["children"]
    assert optional.TABLE[name].role not in roles
    assert "etcd" in roles


def test_nodes_run_no_service_of_a_part_left_out(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    everything = services(tmp_path / "a", optional.chosen((), EXTRA))
    left = services(tmp_path / "b", optional.chosen(["monitoring"]))
    extra = {"bird", "vip-check", "unbound", "powerdns", "postgres", "mariadb"}
    extra |= {"kube-apiserver", "kube-etcd", "kube-node", "kube-site"}
    assert everything - left == {"prometheus", "alertmanager", *extra}
