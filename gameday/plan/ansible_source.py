# SPDX-License-Identifier: Apache-2.0
"""Reading an inventory with Ansible's own loader: hosts, their groups, their variables.

Ansible is imported inside the function, since that takes a quarter of a second.
"""

from __future__ import annotations

import contextlib
import io
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

UNDEFINED = "a variable that nobody defines"
WANTED = ("ansible_host", "ansible_port", "ansible_user", "ansible_ssh_private_key_file",
          "ansible_private_key_file", "ansible_python_interpreter", "ansible_ssh_args",
          "ansible_ssh_common_args", "ansible_ssh_extra_args")  # fmt: skip
"""Ansible's variables that gameday uses. Everything else, passwords too, is never kept."""

PREFIX = "gameday_"


@dataclass(frozen=True)
class RawHost:
    """One host as Ansible resolved it.

    Attributes:
        groups: every group it is in, through parents too.
        variables: the wanted ones, templates resolved.
        broken: variable to why its template could not be resolved.
    """

    name: str
    groups: frozenset[str]
    variables: Mapping[str, Any]
    broken: Mapping[str, str]


@dataclass(frozen=True)
class RawInventory:
    """What Ansible made of the file.

    Attributes:
        children: direct child groups by group.
        said: Ansible's warnings about the file, as sentences.
    """

    hosts: tuple[RawHost, ...]
    children: Mapping[str, tuple[str, ...]]
    said: tuple[str, ...]


def connection_variables(path: Path) -> dict[str, dict[str, Any]]:
    """Ansible's own variables of every host, passwords too: for another Ansible, and nobody else.

    Only call this to hand them on; whatever cannot be resolved is left out.
    """
    every = read_with_ansible(path, lambda name: name.startswith("ansible_")).hosts
    return {host.name: dict(host.variables) for host in every}


def _ours(name: str) -> bool:
    return name in WANTED or name.startswith(PREFIX)


def read_with_ansible(path: Path, keep: Callable[[str], bool] = _ours) -> RawInventory:
    """Resolve all hosts of an inventory file or directory.

    Args:
        keep: which variables to keep, by their names.
    """
    from ansible.errors import AnsibleError
    from ansible.inventory.manager import InventoryManager
    from ansible.parsing.dataloader import DataLoader
    from ansible.vars.manager import VariableManager

    _prepare_ansible()
    heard = io.StringIO()
    hosts: list[RawHost] = []
    children: dict[str, tuple[str, ...]] = {}
    loader = DataLoader()
    with contextlib.redirect_stderr(heard), contextlib.redirect_stdout(heard):
        try:
            _use_secrets(loader, _vault_secrets(loader))
            inventory = InventoryManager(loader=loader, sources=[str(path.resolve())])
            variables = VariableManager(loader=loader, inventory=inventory)
            for host in inventory.get_hosts():
                hosts.append(_host(host, variables.get_vars(host=host), loader, keep))
            for name, group in inventory.groups.items():
                children[str(name)] = tuple(sorted(str(g.name) for g in group.child_groups))
        except AnsibleError as error:
            return RawInventory((), {}, (f"Unable to parse: {_first_line(str(error))}",))
    return RawInventory(
        tuple(sorted(hosts, key=lambda h: h.name)), children, _sentences(heard.getvalue())
    )


@cache
def _prepare_ansible() -> None:
    """Ansible warns where this is done twice in one process."""
    from ansible.plugins.loader import init_plugin_loader

    init_plugin_loader()


def _vault_secrets(loader: Any) -> Any:
    """Passwords of Ansible Vault, from where Ansible's own settings name them; none are asked for.

    They are ``ANSIBLE_VAULT_PASSWORD_FILE``, ``ANSIBLE_VAULT_IDENTITY_LIST`` and their lines in
    ``ansible.cfg``.
    """
    # ``ansible.cli`` has this ready, but importing it wants a terminal of its own kind.
    from ansible import constants
    from ansible.parsing.vault import get_file_vault_secret

    one = constants.config.get_config_value("DEFAULT_VAULT_PASSWORD_FILE")
    named = [("default", one)] if one else []
    for entry in constants.config.get_config_value("DEFAULT_VAULT_IDENTITY_LIST") or ():
        vault_id, _, file = str(entry).rpartition("@")
        named.append((vault_id or "default", file))
    found = []
    for vault_id, file in named:
        secret = get_file_vault_secret(filename=file, vault_id=vault_id, loader=loader)
        secret.load()
        found.append((vault_id, secret))
    return found


def _use_secrets(loader: Any, secrets: Any) -> None:
    """For files that are encrypted as a whole, and for single values (``!vault``)."""
    loader.set_vault_secrets(secrets)
    try:
        from ansible.parsing.vault import VaultSecretsContext
    except ImportError:
        # Before ansible-core 2.19 the loader's own secrets serve both.
        return
    # Ansible lets nobody set it twice, since its programs read their settings once.
    known = VaultSecretsContext.current(optional=True)
    if known is None:
        VaultSecretsContext.initialize(VaultSecretsContext(secrets))
    else:
        known.secrets = secrets


def _host(host: Any, found: Mapping[str, Any], loader: Any, keep: Callable[[str], bool]) -> RawHost:
    from ansible.errors import AnsibleError
    from ansible.template import Templar

    templar = Templar(loader=loader, variables=found)
    values: dict[str, Any] = {}
    broken: dict[str, str] = {}
    for name in found:
        if not keep(name):
            continue
        try:
            values[str(name)] = bare(templar.template(found[name]))
        except AnsibleError as error:
            broken[str(name)] = _first_line(str(error)) or UNDEFINED
    groups = frozenset(str(group.name) for group in host.get_groups())
    return RawHost(str(host.name), groups, values, broken)


def bare(value: Any) -> Any:
    """Plain JSON types instead of Ansible's, which carry where they came from."""
    if isinstance(value, Mapping):
        return {str(name): bare(item) for name, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [bare(item) for item in value]
    if isinstance(value, bool) or value is None:
        return value
    for kind in (int, float):
        if isinstance(value, kind):
            return kind(value)
    return str(value)


def _first_line(text: str) -> str:
    return text.strip().split("\n")[0].strip()


def _sentences(heard: str) -> tuple[str, ...]:
    """Ansible's warnings, one sentence each, whatever width it wrapped them to."""
    parts = heard.split("[WARNING]: ")[1:]
    return tuple(dict.fromkeys(" ".join(part.split()) for part in parts))
