# SPDX-License-Identifier: Apache-2.0
"""The lab's inventory, as a user would write one; pure."""

from __future__ import annotations

from typing import Any

import yaml

from gameday.lab import optional
from gameday.lab import topology as t
from gameday.lab.parts import kube_objects, kubernetes

HEAD = """\
# The lab's inventory: what `gameday lab up` writes, and what a user's own looks like.
# Children of "sites" are sites, of "roles" roles, of "racks" racks. docs/inventory.md has the rest.
"""


def render(state: str, parts: tuple[str, ...] = optional.chosen(())) -> str:
    """YAML of the inventory of the lab in the directory ``state`` with these optional parts."""
    missing, clusters = optional.missing_roles(parts), "kubernetes" in parts
    roles: dict[str, Any] = {}
    for one in t.NODES:
        for role in (name for name in one.roles if name not in missing):
            roles.setdefault(role, {"hosts": {}})["hosts"][one.name] = {}
    roles["router"] = {"hosts": {t.router(site): {} for site in t.SITES}}
    data: dict[str, Any] = {
        "all": {
            "vars": {
                "ansible_user": "gameday",
                "ansible_ssh_private_key_file": f"{state}/id_ed25519",
                "ansible_python_interpreter": "/usr/bin/python3",
                "gameday_known_hosts": f"{state}/known_hosts",
                "gameday_controller_netns": f"{state}/ctl.netns",
                "gameday_management": [t.MANAGEMENT],
                "gameday_raft_groups": {
                    "main": {
                        "kind": "etcd", "role": "etcd", "port": t.ETCD_CLIENT,
                        "heartbeat_ms": t.HEARTBEAT_MS, "election_ms": t.ELECTION_MS,
                    }
                },
            },
            "children": {
                "sites": {"children": _sites(clusters)}, "racks": {"children": _racks()},
                "roles": {"children": roles},
            },
        }
    }  # fmt: skip
    if clusters:
        data["all"]["vars"] |= {
            "gameday_kubeconfig": f"{state}/kubeconfig",
            # All sites are in one region, as those of many estates are.
            "gameday_site_label": kube_objects.ZONE_LABEL,
            "gameday_rack_label": kube_objects.RACK_LABEL,
        }
    return HEAD + yaml.safe_dump(data, sort_keys=False, width=100)


def _racks() -> dict[str, Any]:
    """Of nodes; routers stand in none."""
    racks: dict[str, Any] = {}
    for one in t.NODES:
        racks.setdefault(t.rack(one), {"hosts": {}})["hosts"][one.name] = {}
    return racks


def _sites(clusters: bool) -> dict[str, Any]:
    sites: dict[str, Any] = {}
    for site in t.SITES:
        hosts: dict[str, Any] = {}
        for one in (n for n in t.NODES if n.site == site.name):
            hosts[one.name] = {
                "ansible_host": one.management,
                "gameday_addresses": [t.v4(one), t.v6(one)],
            }
            if one.vantage_only:
                hosts[one.name]["gameday_vantage_only"] = True
        hosts[t.router(site)] = {
            "ansible_host": t.router_management(site),
            "gameday_addresses": [t.gateway4(site), t.gateway6(site)],
        }
        sites[site.name] = {"hosts": hosts}
        if clusters and site.name in kubernetes.sites():
            # The kubeconfig's contexts are called like the sites.
            sites[site.name]["vars"] = {"gameday_context": site.name}
    return sites
