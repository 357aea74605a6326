# SPDX-License-Identifier: Apache-2.0
"""All agents of a run; one question to many nodes at once."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from typing import Any, TypeVar

from gameday.conduct.limits import PARALLEL_NODES, RELAYED_NODES
from gameday.errors import GamedayError
from gameday.faults.base import CONTROLLER
from gameday.transport import local
from gameday.transport.agent import Agent
from gameday.transport.local import LocalAgent
from gameday.transport.ssh import Address, Jump
from gameday.transport.workers import Workers

T = TypeVar("T")


class Fleet:
    """Agents by node name: this host's own, behind SSH, or behind remote workers.

    Args:
        addresses: of the nodes.
        via: node to the workers that it is asked through; for all others we connect ourselves.
        commands: worker to the command that starts it.
    """

    def __init__(
        self, addresses: Iterable[Address], via: Mapping[str, Sequence[str]] | None = None,
        commands: Mapping[str, Sequence[str]] | None = None,
    ) -> None:  # fmt: skip
        self.relayed = bool(via)
        self._workers = Workers(commands or {}, os.urandom(8).hex())
        self.agents = {
            address.node: self._agent(address, (via or {}).get(address.node, ()))
            for address in addresses
        }
        # A thread that waits for a worker's batch costs nothing, and makes the batch fuller.
        most = RELAYED_NODES if self.relayed else PARALLEL_NODES
        workers = min(most, max(1, len(self.agents)))
        self._pool = ThreadPoolExecutor(max_workers=workers, thread_name_prefix="node")

    def _agent(self, address: Address, via: Sequence[str]) -> Agent:
        if address is local.ADDRESS:
            return LocalAgent()
        return self._workers.agent(address, via) if via else Agent(address)

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

    def urgent(self) -> AbstractContextManager[None]:
        """While this lasts, remote workers fetch nothing: what is asked is answered sooner."""
        return self._workers.urgent()

    def close(self) -> None:
        """Close all connections; what runs on the nodes goes on."""
        self._pool.shutdown(wait=True)
        for agent in self.agents.values():
            agent.close()
        self._workers.close()


def fleet_of(inventory: Mapping[str, Any], nodes: Iterable[str]) -> Fleet:
    """Agents of nodes, by the inventory's JSON form; not connected yet."""
    names = list(nodes)
    listed = inventory["nodes"]
    via = {n: listed[n]["workers"] for n in names if n in listed and listed[n].get("workers")}
    used = {worker for workers in via.values() for worker in workers}
    commands = {name: inventory["workers"][name] for name in sorted(used)}
    return Fleet(addresses(inventory, names), via, commands)


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
                tuple(Jump(**one) for one in node.get("jumps", ())),
            )
        )  # fmt: skip
    return found
