# SPDX-License-Identifier: Apache-2.0
"""The jobs of ``gameday nodes``: what every node shall get, by the inventory."""

from __future__ import annotations

import itertools
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from gameday.errors import InvalidInput
from gameday.nodes.job import Job
from gameday.plan.estate import Inventory, Node
from gameday.transport.carried import MODULES, archive
from gameday.transport.package import agent_package

USER = re.compile(r"[a-z_][a-z0-9_-]{0,31}")
"""What every system takes as a user's name, and sudoers without quotes."""

PYTHON = re.compile(r"/[A-Za-z0-9_./-]+")
"""An absolute path that sudoers takes without quotes."""

KEY = re.compile(r"(ssh|ecdsa|sk)-\S+ [A-Za-z0-9+/=]+( \S.*)?")


def job(
    playbook: str, inventory: Inventory, names: Sequence[str], *, login: str = "",
    login_key: Path | None = None, user: str = "", key_file: Path | None = None,
    check: bool = False, diff: bool = False, sudo_password: str = "",
) -> Job:  # fmt: skip
    """A job for nodes of an inventory.

    Args:
        playbook: "prepare" or "clean". names: of nodes.
        login: the administrator that logs in; "" for each node's own user. login_key: that
            user's private key; None for each node's own.
        user: the user to make; "" for each node's own. key_file: the public key that it is
            reached with; None for the one beside the node's private key.

    Raises:
        InvalidInput: with everything that stands against it, before any node is touched.
    """
    problems: list[str] = []
    nodes = {}
    for name in names:
        node = inventory.by_name[name]
        own = user or node.user
        problems += _odd(node, own, login)
        key = _key(node, key_file, problems) if playbook == "prepare" else ""
        nodes[name] = {"user": own, "python": node.python, "vantage": node.vantage_only,
                       "key": key, "key_file": node.key_file or ""}  # fmt: skip
    if problems:
        raise InvalidInput(f"nodes cannot be prepared from {inventory.source}",
                           problems=sorted(set(problems)))  # fmt: skip
    return Job(
        f"{playbook}.yaml", Path(inventory.source).resolve(), list(names),
        {"gameday_nodes": nodes, "gameday_agent": agent()}, Path(inventory.known_hosts),
        inventory.controller_netns, login, sudo_password, check, diff,
        {"agent.pyz": agent_package().content} if playbook == "prepare" else {},
        str(login_key.expanduser().resolve()) if login_key else "", inventory.workers,
        {name: found[0] for name in names if (found := inventory.by_name[name].workers)},
    )  # fmt: skip


def agent() -> dict[str, Any]:
    """Digests of the agent, and of every archive of libraries that a probe may bring."""
    names = sorted(MODULES)
    some = [c for size in range(1, len(names) + 1) for c in itertools.combinations(names, size)]
    return {"sha256": agent_package().sha256, "carried": [archive(one).sha256 for one in some]}


def _odd(node: Node, user: str, login: str) -> list[str]:
    """What sudoers could not take, or would make no sense of."""
    found = []
    if not USER.fullmatch(user):
        found.append(f"{node.name}: {user!r} is no name for a user (letters, digits, - and _)")
    if user == "root":
        found.append(f"{node.name}: root needs no rule; set ansible_user to another user")
    elif user == (login or node.user):
        found.append(f"{node.name}: {user} is to be made and cannot do that itself; name an "
                     "administrator with --as")  # fmt: skip
    if not PYTHON.fullmatch(node.python):
        found.append(f"{node.name}: ansible_python_interpreter {node.python!r} must be a path, as "
                     "in /usr/bin/python3: the sudo rule names it")  # fmt: skip
    return found


def _key(node: Node, key_file: Path | None, problems: list[str]) -> str:
    path = key_file or (Path(f"{node.key_file}.pub") if node.key_file else None)
    if path is None:
        problems.append(f"{node.name}: which key shall open it? set ansible_ssh_private_key_file, "
                        "or name a public key with --authorize")  # fmt: skip
        return ""
    try:
        text = path.expanduser().read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        why = getattr(error, "strerror", None) or error
        problems.append(f"{path}: cannot be read: {why}; name a public key with --authorize")
        return ""
    if not KEY.fullmatch(text):
        problems.append(f"{path}: is no OpenSSH public key of one line")
    return text
