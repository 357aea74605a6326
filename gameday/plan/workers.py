# SPDX-License-Identifier: Apache-2.0
"""Remote workers of an inventory: commands by name, and which node is asked through which."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from gameday.plan.bmc import Complain

WORKERS, WORKER = "gameday_workers", "gameday_worker"

NAME = re.compile(r"^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$")


def commands(value: Any, complain: Complain) -> Mapping[str, tuple[str, ...]]:
    """Commands by worker, from ``gameday_workers``; every mistake goes to ``complain``."""
    if value is None:
        return {}
    if not isinstance(value, Mapping):
        complain(WORKERS, "must be a mapping", "write west: [ssh, bastion, ansible-runner, worker]")
        return {}
    found = {}
    for name, argv in value.items():
        if not NAME.match(str(name)):
            complain(WORKERS, f"{name!r} is no name of a worker", "use letters, digits and dashes")
        elif not _is_argv(argv):
            what = f"{name} is not a list of words"
            complain(WORKERS, what, "write it as in [ssh, bastion, ansible-runner, worker]")
        else:
            found[str(name)] = tuple(argv)
    return found


def of_node(value: Any, known: Mapping[str, object], complain: Complain) -> tuple[str, ...]:
    """The workers of a node, the preferred first, from ``gameday_worker``: a name or several."""
    if value is None:
        return ()
    names = [value] if isinstance(value, str) else value
    if not isinstance(names, list) or not names or not all(isinstance(n, str) for n in names):
        complain(WORKER, f"is {value!r}", "write the name of a worker, or a list of names")
        return ()
    for name in names:
        if name not in known:
            todo = f"name one of: {', '.join(sorted(known))}" if known else f"list it in {WORKERS}"
            complain(WORKER, f"{name} is no worker of {WORKERS}", todo)
    return tuple(dict.fromkeys(names))


def _is_argv(argv: Any) -> bool:
    return isinstance(argv, list) and bool(argv) and all(isinstance(a, str) and a for a in argv)
