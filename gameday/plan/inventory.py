# SPDX-License-Identifier: Apache-2.0
"""An Ansible inventory to a frozen ``Inventory``, or every mistake in it at once.

Children of the group ``sites`` are sites, of ``racks`` racks, of ``roles`` roles. Relative
paths are taken from the inventory's own directory.
"""

from __future__ import annotations

import ipaddress
import json
from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

import yaml
from pydantic import Field, ValidationError

from gameday.experiment.messages import say
from gameday.experiment.model import Bounds
from gameday.experiment.params import Strict
from gameday.experiment.problems import Problem, Problems, nearest
from gameday.plan import bmc, clusters, kube_labels, ways, workers
from gameday.plan.ansible_source import RawHost, RawInventory, read_with_ansible
from gameday.plan.estate import Inventory, Node, RaftGroup
from gameday.plan.places import Places, find_places
from gameday.plan.policy import PolicyVariables

M = TypeVar("M", bound=Strict)

PORT_SSH = 22
PYTHON = "/usr/bin/python3"
TIMER_MS_MAX = 3_600_000
"""No Raft group waits an hour for its leader."""

HOST_VARIABLES = (
    "gameday_addresses", "gameday_vantage_only", "gameday_networks", "gameday_bypasses_netfilter",
    workers.WORKER, *bmc.VARIABLES, *clusters.VARIABLES, *kube_labels.VARIABLES,
)  # fmt: skip
ESTATE_VARIABLES = (
    "gameday_known_hosts", "gameday_management", "gameday_controller",
    "gameday_controller_netns", "gameday_raft_groups", "gameday_limits", workers.WORKERS,
    "gameday_policy",
)  # fmt: skip


class RaftGroupVariables(Strict):
    """One entry of ``gameday_raft_groups``."""

    kind: Literal["etcd", "raft"] = "etcd"
    role: Annotated[str, Field(min_length=1)] = Field(description="the role its members have")
    port: Annotated[int, Field(ge=1, le=65_535)] = 2379
    heartbeat_ms: Annotated[int, Field(ge=1, le=TIMER_MS_MAX)] = 100
    election_ms: Annotated[int, Field(ge=1, le=TIMER_MS_MAX)] = 1000


def load_inventory(path: Path) -> Inventory:
    """Read an inventory with Ansible's loader and check it.

    Raises:
        InvalidInput: with every mistake found; where Ansible or the file tell, with line
            and column.
    """
    problems = Problems(str(path))
    if not path.exists():
        problems.add_file("is not there", "name an Ansible inventory with -i")
        problems.raise_if_any()
    try:
        places = find_places(path)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line, column = (mark.line + 1, mark.column + 1) if mark else (0, 0)
        what = f"not valid YAML: {error.problem or error.context}"
        problems.add(Problem(line, column, (), what, "correct the YAML there"))
        problems.raise_if_any()
    return _Reader(path, read_with_ansible(path), places, problems).inventory()


class _Reader:
    def __init__(self, path: Path, raw: RawInventory, places: Places, problems: Problems) -> None:
        self._path, self._raw, self._places, self._problems = path, raw, places, problems
        self._ways = ways.Ways()
        self._base = path.resolve() if path.is_dir() else path.resolve().parent
        self._sites = frozenset(raw.children.get("sites", ()))
        self._racks = frozenset(raw.children.get("racks", ()))
        self._roles = frozenset(raw.children.get("roles", ()))

    def inventory(self) -> Inventory:
        self._check_what_ansible_said()
        if not self._raw.hosts:
            self._problems.add_file("holds no host", "see the example in inventory/lab.yaml")
            self._problems.raise_if_any()
        if not self._sites:
            todo = "make a group called sites whose children are your sites"
            self._problems.add_file("has no group sites with children", todo)
        self._check_names()
        whole = partial(self._problem, "all")
        self._workers = workers.commands(self._for_all(workers.WORKERS), whole)
        nodes = tuple(self._node(host) for host in self._raw.hosts)
        self._check_addresses(nodes)
        estate = {name: self._for_all(name) for name in ESTATE_VARIABLES if name != workers.WORKERS}
        management = self._networks("gameday_management", estate["gameday_management"])
        if not estate["gameday_management"]:
            todo = "list the networks that no fault may touch, as in [10.0.0.0/24]"
            self._problem("all", "gameday_management", "is missing or empty", todo)
        known_hosts = self._file(estate["gameday_known_hosts"])
        if known_hosts is None:
            todo = "name an OpenSSH known_hosts file with the nodes' host keys"
            self._problem("all", "gameday_known_hosts", "is missing", todo)
        controller = self._networks("gameday_controller", estate["gameday_controller"], True)
        groups = self._raft_groups(estate["gameday_raft_groups"], nodes)
        clustered = self._clustered(nodes)
        found = clusters.read(clustered, self._file, self._problem_of)
        labels = kube_labels.read(clustered, self._problem_of)
        bounds = self._model("gameday_limits", estate["gameday_limits"], Bounds)
        policy = self._model("gameday_policy", estate["gameday_policy"], PolicyVariables)
        self._problems.raise_if_any()
        return Inventory(
            str(self._path), nodes, management, str(known_hosts), controller,
            self._file(estate["gameday_controller_netns"]), groups, bounds.given(),
            self._workers, policy.policy(self._file), found, labels,
        )  # fmt: skip

    def _problem(self, owner: str, variable: str, what: str, todo: str) -> None:
        line, column = self._places.of(owner, variable)
        path = tuple(part for part in (owner, variable) if part)
        self._problems.add(Problem(line, column, path, what, todo))

    def _problem_at(self, host: RawHost, variable: str, what: str, todo: str) -> None:
        self._problem(self._owner(host, variable), variable, what, todo)

    def _problem_of(self, host: str, variable: str, what: str, todo: str) -> None:
        raw = next(one for one in self._raw.hosts if one.name == host)
        self._problem_at(raw, variable, what, todo)

    def _clustered(self, nodes: tuple[Node, ...]) -> list[clusters.Host]:
        pairs = zip(nodes, self._raw.hosts, strict=True)
        return [clusters.Host(node.name, node.site, raw.variables) for node, raw in pairs]

    def _check_what_ansible_said(self) -> None:
        for sentence in self._raw.said:
            if sentence.startswith(("Skipping", "Unable to parse")):
                self._problems.add_file(f"Ansible says: {sentence}", "see the inventory guide")

    def _check_names(self) -> None:
        known = (*HOST_VARIABLES, *ESTATE_VARIABLES)
        odd = {
            (name, self._owner(host, name))
            for host in self._raw.hosts
            for name in (*host.variables, *host.broken)
            if name.startswith("gameday_") and name not in known
        }
        for name, owner in sorted(odd):
            self._problem(owner, name, "is no variable of gameday", nearest(name, known))
        for host in self._raw.hosts:
            for name, why in sorted(host.broken.items()):
                what = f"cannot be resolved: {why}"
                self._problem(self._owner(host, name), name, what, "define it, or write the value")

    def _owner(self, host: RawHost, variable: str) -> str:
        """Who set a variable: the host itself, else a group of its that the file shows."""
        for owner in (host.name, *sorted(host.groups - {"all"}), "all"):
            if (owner, variable) in self._places.variables:
                return owner
        return host.name

    def _node(self, host: RawHost) -> Node:
        sites = sorted(host.groups & self._sites)
        if self._sites and not sites:
            names = ", ".join(sorted(self._sites))
            self._problem(host.name, "", "is in no site", f"put it under one of: {names}")
        if len(sites) > 1:
            what = f"is in {len(sites)} sites: {', '.join(sites)}"
            self._problem(host.name, "", what, "keep it in one of them")
        key = host.variables.get("ansible_ssh_private_key_file")
        key = key or host.variables.get("ansible_private_key_file")
        way = self._way(host)
        python = self._text(host, "ansible_python_interpreter", PYTHON)
        return Node(
            name=host.name,
            host=way.host,
            port=self._port(host, way.port or PORT_SSH),
            user=self._text(
                host, "ansible_user", way.user, "name the user that gameday logs in as"
            ),
            key_file=self._file(key or way.key_file),
            python=PYTHON if python.startswith("auto") else python,
            site=sites[0] if sites else "",
            racks=tuple(sorted(host.groups & self._racks)),
            roles=tuple(sorted(host.groups & self._roles)),
            groups=tuple(sorted(host.groups - {"all"})),
            addresses=self._addresses(host),
            vantage_only=self._flag(host, "gameday_vantage_only"),
            networks=self._networks("gameday_networks", host.variables.get("gameday_networks")),
            bypasses_netfilter=self._flag(host, "gameday_bypasses_netfilter"),
            bmc=bmc.read(host.variables, self._file, partial(self._problem_at, host)),
            workers=workers.of_node(
                host.variables.get(workers.WORKER), self._workers, partial(self._problem_at, host)
            ),
            jumps=way.jumps,
        )

    def _way(self, host: RawHost) -> ways.Way:
        """How OpenSSH reaches a host; its own name may be what its configuration knows."""
        way = ways.read(
            self._ways, str(host.variables.get("ansible_host") or host.name), host.variables,
            partial(self._problem_at, host),
        )  # fmt: skip
        if "ansible_host" in host.variables or way.host == host.name:
            given = self._text(host, "ansible_host", "", "give the address SSH reaches it at")
            return way if given else replace(way, host="")
        return way

    def _text(self, host: RawHost, name: str, default: str, missing: str = "") -> str:
        value = host.variables.get(name)
        if name in host.broken:
            return default
        if value is None and (default or not missing):
            return default
        if value is None or value == "":
            self._problem(host.name, name, "is missing", missing)
            return default
        if not isinstance(value, str) or any(c.isspace() for c in value.strip()):
            owner = self._owner(host, name)
            self._problem(owner, name, f"is {value!r}, not one word", "put text in quotes")
            return default
        return value.strip()

    def _port(self, host: RawHost, default: int) -> int:
        value = host.variables.get("ansible_port", default)
        if str(value).isdigit() and 1 <= int(value) <= 65_535:
            return int(value)
        owner = self._owner(host, "ansible_port")
        self._problem(owner, "ansible_port", f"is {value}, not a port", "use 1 to 65535")
        return PORT_SSH

    def _flag(self, host: RawHost, name: str) -> bool:
        value = host.variables.get(name, False)
        if isinstance(value, bool):
            return value
        if str(value).lower() in ("true", "false"):  # INI knows no booleans in some places.
            return str(value).lower() == "true"
        self._problem(self._owner(host, name), name, f"is {value}", "write true or false")
        return False

    def _addresses(self, host: RawHost) -> tuple[str, ...]:
        name = "gameday_addresses"
        found = []
        for text in _as_list(host.variables.get(name)):
            try:
                address = ipaddress.ip_address(str(text).strip())
            except ValueError:
                todo = "write one IPv4 or IPv6 address, without a prefix length"
                self._problem(self._owner(host, name), name, f"{text} is no IP address", todo)
                continue
            if address.is_loopback or address.is_multicast or address.is_unspecified:
                what = f"{address} is no address of one machine"
                self._problem(self._owner(host, name), name, what, "write the data address")
            elif address.is_link_local:
                what = f"{address} is link-local and says nothing without its link"
                self._problem(self._owner(host, name), name, what, "write a routable address")
            else:
                found.append(str(address))
        return tuple(dict.fromkeys(found))

    def _check_addresses(self, nodes: tuple[Node, ...]) -> None:
        owner: dict[str, str] = {}
        for node in nodes:
            for address in node.addresses:
                first = owner.setdefault(address, node.name)
                if first != node.name:
                    what = f"{address} belongs to {first} already"
                    self._problem(node.name, "gameday_addresses", what, "correct one of them")

    def _for_all(self, name: str) -> Any:
        """A variable of the whole estate, which every host must see alike."""
        values = {
            json.dumps(host.variables[name], sort_keys=True): host.name
            for host in reversed(self._raw.hosts)
            if name in host.variables
        }
        if len(values) > 1:
            what = f"differs between {' and '.join(sorted(values.values())[:2])}"
            self._problem("all", name, what, "set it once, in the vars of all")
        return json.loads(next(iter(values))) if values else None

    def _networks(self, name: str, value: Any, single: bool = False) -> tuple[str, ...]:
        found = []
        for text in _as_list(value):
            try:
                network = ipaddress.ip_network(str(text).strip(), strict=not single)
                found.append(str(network.network_address) if single else str(network))
            except ValueError as error:
                what = f"{text} is no {'address' if single else 'network'}"
                bits = "has host bits set" in str(error)
                todo = "clear the bits after the prefix" if bits else "write it as in 10.0.0.0/24"
                self._problem("all", name, what, "write one IP address" if single else todo)
        return tuple(found)

    def _file(self, value: Any) -> str | None:
        if not value:
            return None
        return str(self._base / Path(str(value)).expanduser())

    def _model(self, name: str, value: Any, model: type[M]) -> M:
        """A variable of the whole estate as a strict model; its defaults where it is wrong."""
        if value is None:
            return model()
        try:
            return model.model_validate_json(json.dumps(value))
        except ValidationError as error:
            for wrong in error.errors(include_url=False):
                what, todo = say(wrong, tuple(wrong["loc"]), model)
                field = ".".join(str(part) for part in wrong["loc"])
                self._problem("all", name, f"{field} {what}".strip(), todo)
            return model()

    def _raft_groups(self, value: Any, nodes: tuple[Node, ...]) -> tuple[RaftGroup, ...]:
        name = "gameday_raft_groups"
        if value is None:
            return ()
        if not isinstance(value, Mapping):
            self._problem("all", name, "must be a mapping", "write name: {role: etcd}")
            return ()
        found = []
        for group, data in sorted(value.items()):
            try:
                own = RaftGroupVariables.model_validate_json(json.dumps(data))
            except ValidationError as error:
                for wrong in error.errors(include_url=False):
                    what, todo = say(wrong, tuple(wrong["loc"]), RaftGroupVariables)
                    field = ".".join([str(group), *(str(part) for part in wrong["loc"])])
                    self._problem("all", name, f"{field} {what}", todo)
                continue
            members = tuple(node.name for node in nodes if own.role in node.roles)
            if not members:
                what = f"{group}: no node has the role {own.role}"
                self._problem("all", name, what, nearest(own.role, self._roles))
            found.append(
                RaftGroup(
                    str(group), own.kind, own.role, members, own.port,
                    own.heartbeat_ms, own.election_ms,
                )
            )  # fmt: skip
        return tuple(found)


def _as_list(value: Any) -> list[Any]:
    if value is None:
        return []
    if isinstance(value, str):
        return [part.strip() for part in value.split(",") if part.strip()]
    return list(value) if isinstance(value, list) else [value]
