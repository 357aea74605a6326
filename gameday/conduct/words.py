# SPDX-License-Identifier: Apache-2.0
"""A run's lines about leases: how many are where, and who opens their window. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from gameday.conduct.leases import by_node
from gameday.faults import TABLE
from gameday.measures.words import count
from gameday.plan.quorum import join
from gameday.record.types import Lease

HOST = "the controller's host"


def arming(leases: Sequence[Lease]) -> str:
    """What is armed where, before it is."""
    they = "it is" if len(leases) == 1 else "they are"
    return f"arm {count(len(leases), 'lease')} on {_where(leases)}; {they} inert until T0"


def armed(leases: Sequence[Lease], proven: bool) -> str:
    """That all of it is armed; that our own path is exempt only where that was ``proven``."""
    nodes, away = _split(leases)
    many = len(by_node(nodes))
    one = f"{count(many, 'node')} armed"
    who = [one if many == 1 else f"all {one}"] if many else []
    who += [f"{count(len(away), 'lease')} held by {HOST}"] if away else []
    return " and ".join(who) + ("; our own path is proven exempt" if proven else "")


def opening(leases: Sequence[Lease]) -> str:
    """Who opens the window, gameday or not."""
    nodes, away = _split(leases)
    own = {"kernel": set[str](), "process": set[str]()}
    for one in nodes:
        own[TABLE[one.kind].kept_by(one.spec)].add(one.node)
    kernels, keepers = len(own["kernel"]), len(own["process"])
    who = ["the node's kernel" if kernels == 1 else "the nodes' kernels"] if kernels else []
    who += ["a keeper on the node" if keepers == 1 else "keepers on the nodes"] if keepers else []
    who += [f"a keeper on {HOST}"] if away else []
    verb = "opens" if kernels + keepers + bool(away) == 1 else "open"
    return f"{join(who)} {verb} the window"


def _where(leases: Sequence[Lease]) -> str:
    nodes, away = _split(leases)
    found = [count(len(by_node(nodes)), "node")] if nodes else []
    return " and ".join([*found, HOST] if away else found)


def _split(leases: Sequence[Lease]) -> tuple[list[Lease], list[Lease]]:
    """Those that nodes hold, and those that the controller's host does."""
    away = [one for one in leases if TABLE[one.kind].elsewhere(one.spec) is not None]
    return [one for one in leases if one not in away], away
