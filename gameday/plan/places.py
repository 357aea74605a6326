# SPDX-License-Identifier: Apache-2.0
"""Where hosts, groups and variables stand in an inventory's file, for messages about them.

Ansible's loader does the reading; this only finds lines, and knows none where a name comes
from elsewhere (``group_vars``, a plugin).
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path

import yaml

Place = tuple[int, int]
UNKNOWN: Place = (0, 0)

FILE_BYTES_MAX = 16 * 1024 * 1024
"""Lines are not looked up in larger inventories; a fleet of thousands stays far below."""


@dataclass
class Places:
    """1-based (line, column) by name; ``UNKNOWN`` where a name is not in the file."""

    hosts: dict[str, Place] = field(default_factory=dict)
    groups: dict[str, Place] = field(default_factory=dict)
    variables: dict[tuple[str, str], Place] = field(default_factory=dict)

    def of(self, owner: str, variable: str = "") -> Place:
        """Of a host's or group's variable, else of the host or group itself."""
        found = self.variables.get((owner, variable))
        return found or self.hosts.get(owner) or self.groups.get(owner) or UNKNOWN


def find_places(path: Path) -> Places:
    """Look through one inventory file, YAML or INI.

    Raises:
        yaml.MarkedYAMLError: where a file that is called YAML is not.
    """
    places = Places()
    if not path.is_file() or path.stat().st_size > FILE_BYTES_MAX:
        return places
    text = path.read_text(encoding="utf-8", errors="replace")
    if path.suffix in (".yaml", ".yml", ".json"):
        loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
        root = yaml.compose(text, Loader=loader)
        if isinstance(root, yaml.MappingNode):
            _groups(root, places, set())
    else:
        _ini(text, places)
    return places


def _groups(node: yaml.MappingNode, places: Places, seen: set[int]) -> None:
    """``seen`` keeps a file whose aliases point back to themselves from going on for ever."""
    if id(node) in seen:
        return
    seen.add(id(node))
    for key, value in node.value:
        name = str(key.value)
        places.groups.setdefault(name, _at(key))
        for section, content in _pairs(value):
            if section.value == "vars":
                _variables(name, content, places)
            elif section.value == "children" and isinstance(content, yaml.MappingNode):
                _groups(content, places, seen)
            elif section.value == "hosts":
                for host, own in _pairs(content):
                    if _pairs(own) or host.value not in places.hosts:
                        places.hosts[str(host.value)] = _at(host)
                    _variables(str(host.value), own, places)


def _variables(owner: str, node: yaml.Node, places: Places) -> None:
    for key, value in _pairs(node):
        places.variables[(owner, str(key.value))] = _at(value)


def _pairs(node: yaml.Node) -> list[tuple[yaml.Node, yaml.Node]]:
    return list(node.value) if isinstance(node, yaml.MappingNode) else []


def _at(node: yaml.Node) -> Place:
    return node.start_mark.line + 1, node.start_mark.column + 1


def _ini(text: str, places: Places) -> None:
    owner, is_vars = "", False
    for number, line in enumerate(text.splitlines(), start=1):
        if header := re.match(r"\[([^\]:]+)(:\w+)?\]", line):
            owner, is_vars = header[1], header[2] == ":vars"
            places.groups.setdefault(owner, (number, 1))
        elif word := re.match(r"([^\s#;=]+)\s*(=)?", line):
            if is_vars:
                places.variables[(owner, word[1])] = (number, 1)
                continue
            if "=" in line or word[1] not in places.hosts:
                places.hosts[word[1]] = (number, 1)
            for found in re.finditer(r"(\w+)=", line):
                places.variables[(word[1], found[1])] = (number, found.start() + 1)
