# SPDX-License-Identifier: Apache-2.0
"""The part of ``FakeHost`` that stands for ``gameday.faults.hosts.power``."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from gameday.faults.hosts.power import Supply, System

RESETS = ("ForceOff", "ForceRestart", "On")


@dataclass
class FakePower:
    """BMCs in memory, which do what they are asked once ``lag`` more looks were made."""

    mutate: Callable[[], None]
    states: dict[str, str] = field(default_factory=lambda: {"fra-1": "On", "fra-2": "On"})
    lag: int = 0
    pending: dict[str, list[tuple[int, str]]] = field(default_factory=dict)
    asked: list[tuple[str, str]] = field(default_factory=list)
    errors: dict[str, str] = field(default_factory=dict)
    letters: list[str] = field(default_factory=list)
    refusal: str = ""
    uuid: str = ""

    def state(self) -> object:
        """All that a lease may change, as plain data."""
        return dict(self.states)

    def supplies(self, systems: Sequence[System]) -> dict[str, Supply]:
        for node, todo in self.pending.items():
            while todo and todo[0][0] <= 0:
                self.states[node] = todo.pop(0)[1]
            self.pending[node] = [(looks - 1, state) for looks, state in todo]
        found = {}
        for one in systems:
            node = one["node"]
            error = self.errors.get(node, "")
            policy = "" if error else "LastState"
            state = "" if error else self.states[node]
            found[node] = Supply(state, policy, RESETS, f"uuid-{node}", error)
        return found

    def reset(self, systems: Sequence[System], kinds: Sequence[str]) -> dict[str, str]:
        for one in systems:
            if one["node"] in self.errors:
                continue
            self.mutate()
            kind = next(kind for kind in kinds if kind in RESETS)
            self.asked.append((one["node"], kind))
            state = "Off" if kind == "ForceOff" else "On"
            if self.lag:
                self.pending.setdefault(one["node"], []).append((self.lag, state))
            else:
                self.states[one["node"]] = state
        return {one["node"]: self.errors.get(one["node"], "") for one in systems}

    def own_uuid(self) -> str:
        return self.uuid

    def sysrq_refusal(self) -> str:
        return self.refusal

    def sysrq(self, letter: str) -> None:
        self.mutate()
        self.letters.append(letter)
