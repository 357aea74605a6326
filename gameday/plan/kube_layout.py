# SPDX-License-Identifier: Apache-2.0
"""Where in an Ansible YAML file it belongs what an import adds. Pure."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from gameday.plan.ansible_source import RawInventory
from gameday.plan.kube_import import MEMBERS, RAFT, Imported


def keep_raft_apart(data: Any, raw: RawInventory, found: Imported) -> None:
    """Raft groups that the inventory has outside of this file would hide those in it: by hand."""
    variables = dict(_items(dict(_items(dict(_items(data)).get("all"))).get("vars")))
    elsewhere = any(RAFT in host.variables for host in raw.hosts) and RAFT not in variables
    if found.raft and elsewhere:
        for name, group in found.raft.items():
            found.by_hand.append(f"{RAFT}, beside those that it has: {name}: {json.dumps(group)}")
        found.raft.clear()


def layout(data: Any, found: Imported) -> dict[str, Any]:
    """What is added, as the tree of an Ansible YAML file.

    Args:
        data: what the file holds: groups, hosts and variables are added where they stand.
    """
    places, hosts = _places(data)
    tree: dict[str, Any] = {}

    places.setdefault("all", ("all",))

    def group(name: str, parent: str = "all") -> tuple[str, ...]:
        if name not in places:
            above = group(parent)
            places[name] = (*above, "children", name)
        return places[name]

    if found.raft:
        _put(tree, (*group("all"), "vars", RAFT), found.raft)
    for parent in ("sites", "racks", "roles", ""):
        for name, members in found.groups.get(parent, {}).items():
            for host in members:
                path = (*group(name, parent or "all"), "hosts", host)
                # Where a host is written first is where its variables go.
                hosts.setdefault(host, path)
                _put(tree, path, {})
    for site, variables in found.sites.items():
        _put(tree, (*group(site, "sites"), "vars"), variables)
    for host, values in found.hosts.items():
        _put(tree, hosts.setdefault(host, (*group(MEMBERS), "hosts", host)), values)
    return tree


def _places(data: Any) -> tuple[dict[str, tuple[str, ...]], dict[str, tuple[str, ...]]]:
    """Where groups and hosts stand in an Ansible YAML file: the first place, or the one that says
    most."""
    groups: dict[str, tuple[str, ...]] = {}
    hosts: dict[str, tuple[str, ...]] = {}
    told: set[str] = set()

    def walk(level: Any, path: tuple[str, ...]) -> None:
        for name, own in _items(level):
            at = (*path, name)
            if name not in groups or (name not in told and own):
                groups[name] = at
                told.update([name] if own else [])
            for host, variables in _items(own.get("hosts") if isinstance(own, Mapping) else None):
                if host not in hosts or (variables and f"host {host}" not in told):
                    hosts[host] = (*at, "hosts", host)
                    told.update([f"host {host}"] if variables else [])
            walk(own.get("children") if isinstance(own, Mapping) else None, (*at, "children"))

    walk(data, ())
    return groups, hosts


def _items(level: Any) -> Iterable[tuple[str, Any]]:
    return [(str(name), own) for name, own in level.items()] if isinstance(level, Mapping) else []


def _put(tree: dict[str, Any], path: Sequence[str], value: Mapping[str, Any]) -> None:
    for name in path:
        tree = tree.setdefault(name, {})
    tree.update(value)
