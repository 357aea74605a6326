# SPDX-License-Identifier: Apache-2.0
"""Find and remove leftovers of any run on an estate, without the run's record."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from gameday.conduct.fleet import Fleet
from gameday.errors import NotProvenClean
from gameday.measures.words import count
from gameday.transport.agent import Agent


@dataclass(frozen=True)
class Swept:
    """What one node held, and holds.

    Attributes:
        reached: whether it answered. done: what was ended and removed.
        spared: leases of a run that may be alive, in words.
        left: what is there, each with the command that removes it by hand, or why the node
            was not read back. trouble: what failed on the way.
    """

    node: str
    reached: bool
    done: tuple[str, ...] = ()
    spared: tuple[str, ...] = ()
    left: tuple[str, ...] = ()
    trouble: tuple[str, ...] = ()

    @property
    def clean(self) -> bool:
        """Whether nothing of gameday is there."""
        return self.reached and not self.left and not self.spared


def look(fleet: Fleet, nodes: Iterable[str], force: bool) -> list[Swept]:
    """What a sweep would end and remove ("left"), and what it would spare; changes nothing."""
    return _ask(fleet, nodes, force, look=True)


def sweep(fleet: Fleet, nodes: Iterable[str], force: bool) -> list[Swept]:
    """End and remove it, and read back."""
    return _ask(fleet, nodes, force, look=False)


def require_clean(swept: Iterable[Swept]) -> None:
    """Say what is left, where, and how to remove it by hand.

    Raises:
        NotProvenClean: where anything is left or spared, or a node did not answer.
    """
    lines = [
        f"{one.node}: {text}"
        for one in swept
        for text in (*one.left, *(f"{spared}; end it with --force" for spared in one.spared))
    ]
    if lines:
        raise NotProvenClean(
            f"not proven clean: {count(len(lines), 'piece')} left",
            "remove them as they say, then sweep again",
            problems=lines,
        )


def _ask(fleet: Fleet, nodes: Iterable[str], force: bool, look: bool) -> list[Swept]:
    def ask(node: str, agent: Agent) -> Swept:
        return _swept(node, agent.call("sweep", force=force, look=look))

    answers, errors = fleet.each(nodes, ask)
    for node, error in errors.items():
        hint = f" ({error.hint})" if error.hint else ""
        answers[node] = Swept(node, False, left=(f"not read back: {error.message}{hint}",))
    return [answers[node] for node in sorted(answers)]


def _swept(node: str, answer: Mapping[str, Any]) -> Swept:
    spared = tuple(
        f"lease {one['lease']} ({one['kind']}) of {one['run']} ends in {one['ends_in_s']} s; "
        "its run may be alive"
        for one in answer["spared"]
    )
    return Swept(
        node, True, tuple(answer["done"]), spared, tuple(answer["left"]), tuple(answer["trouble"])
    )
