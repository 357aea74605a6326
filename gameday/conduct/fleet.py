# SPDX-License-Identifier: Apache-2.0
"""All agents of a run; one question to many nodes at once."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

from gameday.conduct.limits import PARALLEL_NODES
from gameday.errors import GamedayError
from gameday.faults.base import CONTROLLER
from gameday.transport import local
from gameday.transport.agent import Agent
from gameday.transport.local import LocalAgent
from gameday.transport.ssh import Address

T = TypeVar("T")


class Fleet:
    """Agents by node name."""

    def __init__(self, addresses: Iterable[Address]) -> None:
        self.agents = {
            address.node: LocalAgent() if address is local.ADDRESS else Agent(address)
            for address in addresses
        }
        workers = min(PARALLEL_NODES, max(1, len(self.agents)))
        self._pool = ThreadPoolExecutor(max_workers=workers, thread_name_prefix="node")

    def each(
        self, nodes: Iterable[str], ask: Callable[[str, Agent], T]
    ) -> tuple[dict[str, T], dict[str, GamedayError]]:
        """Ask many nodes at once; returns (answers, errors), each by node."""
        futures = {node: self._pool.submit(ask, node, self.agents[node]) for node in nodes}
        answers: dict[str, T] = {}
        errors: dict[str, GamedayError] = {}
        for node, future in futures.items():
            try:
                answers[node] = future.result()
            except GamedayError as error:
                errors[node] = error
        return answers, errors

    def close(self) -> None:
        """Close all connections; what runs on the nodes goes on."""
        self._pool.shutdown(wait=True)
        for agent in self.agents.values():
            agent.close()


def addresses(inventory: Mapping[str, Any], nodes: Iterable[str]) -> list[Address]:
    """SSH addresses of nodes from the inventory's JSON form (``inventory.json`` of a run)."""
    found = []
    for name in nodes:
        if name == CONTROLLER:
            found.append(local.ADDRESS)
            continue
        node = inventory["nodes"][name]
        found.append(
            Address(
                name, node["host"], node["port"], node["user"], node["key_file"],
                inventory["known_hosts"], node["python"],
            )
        )  # fmt: skip
    return found
