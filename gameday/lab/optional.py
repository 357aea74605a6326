# SPDX-License-Identifier: Apache-2.0
"""Parts that a lab can be brought up with or without; this table is the only list of them. Pure.

A part that is left out adds no file and no service to any node, its role is not in the inventory,
its programs need not be installed, and the lab's checker does not ask for it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from gameday.errors import CannotRun
from gameday.lab import topology as t
from gameday.lab.parts import (
    Part,
    anycast,
    galera,
    kubernetes,
    monitoring,
    postgresql,
    powerdns,
    resolver,
)


def _nothing(site: t.Site, directory: str) -> Part:
    return Part()


def _nothing_made(state: Path) -> None:
    return None


def _nothing_missing() -> list[str]:
    return []


@dataclass(frozen=True)
class Optional:
    """One optional part.

    Attributes:
        role: of the nodes it runs on; left out of the inventory together with it.
        part: what it adds to a node.
        programs: that it needs, to the Debian packages that have them.
        default: whether it is there unless it is left out, or only where it is asked for.
        router: what it adds to a site's router, whose files are in the given directory.
        prepare: makes, in the lab's directory, what ``Part.links`` of its nodes name.
        missing: what this machine lacks for it beside ``programs``, in words.
    """

    role: str
    part: Callable[[t.Node], Part]
    programs: Mapping[str, str] = field(default_factory=dict)
    default: bool = True
    router: Callable[[t.Site, str], Part] = _nothing
    prepare: Callable[[Path], None] = _nothing_made
    missing: Callable[[], list[str]] = _nothing_missing


TABLE: dict[str, Optional] = {
    "monitoring": Optional(
        "monitoring", monitoring.part,
        {"prometheus": "prometheus", "prometheus-alertmanager": "prometheus-alertmanager"},
    ),
    "bird2": Optional(
        "collector", anycast.part, {"bird": "bird2"}, default=False, router=anycast.router
    ),
    "unbound": Optional("resolver", resolver.part, {"unbound": "unbound"}, default=False),
    "powerdns": Optional(
        "powerdns", powerdns.part, {"pdns_server": "pdns-server"}, default=False
    ),
    "postgresql": Optional(
        "postgresql", postgresql.part, {"pg_ctlcluster": "postgresql"}, default=False
    ),
    "galera": Optional(
        "galera", galera.part, {"mariadbd": "mariadb-server", "rsync": "rsync"}, default=False
    ),
    "kubernetes": Optional(
        kubernetes.ROLE, kubernetes.part, default=False, prepare=kubernetes.prepare,
        missing=kubernetes.missing,
    ),
}  # fmt: skip


def chosen(without: Iterable[str] = (), also: Iterable[str] = ()) -> tuple[str, ...]:
    """Names of the optional parts that a lab has, in the table's order.

    Args:
        without: of those that are there by default, which are left out.
        also: of those that are not, which are added.

    Raises:
        CannotRun: for names that are not in the table, or that are in both.
    """
    left_out, added = set(without), set(also)
    unknown = sorted((left_out | added) - set(TABLE))
    if unknown:
        raise CannotRun(
            f"no optional part of the lab: {', '.join(unknown)}", f"parts: {', '.join(TABLE)}"
        )
    if left_out & added:
        both = ", ".join(sorted(left_out & added))
        raise CannotRun(f"with and without the same part of the lab: {both}", "leave one out")
    return tuple(
        name
        for name, one in TABLE.items()
        if name in added or (one.default and name not in left_out)
    )


def missing_roles(parts: Iterable[str]) -> set[str]:
    """Roles that no node has in a lab with these optional parts."""
    return {one.role for one in TABLE.values()} - {TABLE[name].role for name in parts}


def prepare(parts: Iterable[str], state: Path) -> None:
    """Make in the lab's directory what these parts need once for all nodes.

    Raises:
        CannotRun: where something for it is missing.
    """
    for name in parts:
        TABLE[name].prepare(state)


def missing(parts: Iterable[str]) -> list[str]:
    """What this machine lacks for these parts beside programs from packages, in words."""
    return [line for name in parts for line in TABLE[name].missing()]


def programs(parts: Iterable[str]) -> dict[str, str]:
    """Every program that these parts need, to its Debian package."""
    return {program: pkg for name in parts for program, pkg in TABLE[name].programs.items()}
