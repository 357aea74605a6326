# SPDX-License-Identifier: Apache-2.0
"""Arm, watch and end the leases of a run. Intent is on disk before a node is asked."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from gameday import clock
from gameday.clock import NS_PER_S
from gameday.conduct.collect import Recorder
from gameday.conduct.fleet import Fleet
from gameday.conduct.limits import APART_TRY_NS, DISARM_TRY_NS
from gameday.errors import CannotRun, NodeError, Unreachable
from gameday.faults import TABLE
from gameday.measures.words import count
from gameday.record import kinds
from gameday.record.types import Lease, to_json
from gameday.transport.agent import Agent


@dataclass(frozen=True)
class NodeState:
    """What a node was found to hold at the end."""

    node: str
    clean: bool
    left: tuple[str, ...]
    foreign_changed: tuple[str, ...]


def leases_of(plan: Mapping[str, Any], run: str, t0_wall_ns: int) -> list[Lease]:
    """The plan's leases with their windows, counted from ``t0_wall_ns`` (whole seconds)."""
    found = []
    for fault in plan["faults"]:
        fire = t0_wall_ns + fault["at_s"] * NS_PER_S
        expire = fire + fault["for_s"] * NS_PER_S
        for one in fault["leases"]:
            found.append(
                Lease(one["id"], run, one["node"], fault["name"], fault["kind"], one["spec"],
                      fire, expire)
            )  # fmt: skip
    return found


def by_node(leases: Iterable[Lease]) -> dict[str, list[Lease]]:
    """Leases per node."""
    found: dict[str, list[Lease]] = {}
    for lease in leases:
        found.setdefault(lease.node, []).append(lease)
    return found


def foreign_of(observed: Iterable[Mapping[str, Any]]) -> dict[str, list[str]]:
    """What others changed, per node, by the data of ``OBSERVED`` events: the last of each lease."""
    last: dict[tuple[str, str], list[str]] = {}
    for data in observed:
        if data["when"] == "ended":
            changed = list(data["observation"].get("foreign_changed") or ())
            last[data["node"], data["lease"]] = changed
    found: dict[str, list[str]] = {}
    for (node, _), texts in last.items():
        if texts:
            found.setdefault(node, []).extend(texts)
    return found


def _give_up(failed: Mapping[str, str]) -> bool:
    return False


class Leases:
    """The leases of one run, on all its nodes."""

    def __init__(self, fleet: Fleet, recorder: Recorder) -> None:
        self._fleet, self._recorder = fleet, recorder

    def arm(self, leases: list[Lease]) -> list[str]:
        """Arm all of them, all nodes at once; returns what people should know of them.

        Raises:
            CannotRun: where a node did not arm; those that did are still to be disarmed.
        """
        nodes = by_node(leases)
        said: list[str] = []

        def ask(node: str, agent: Agent) -> None:
            for lease in nodes[node]:
                data = to_json(lease)
                self._recorder.event(kinds.ARM_INTENT, node=node, lease=data)
                answer = agent.call("arm", lease=data)
                self._recorder.event(
                    kinds.ARMED, node=node, lease=data, receipt_digest=answer["receipt_digest"],
                    observation=answer["observation"],
                    kept=TABLE[lease.kind].kept_by(lease.spec),
                )  # fmt: skip
                said.extend(f"{lease.fault}: {one}" for one in answer["observation"]["said"])

        _, errors = self._fleet.each(nodes, ask)
        if errors:
            raise CannotRun(
                f"not armed: {len(errors)} of {count(len(nodes), 'node')}; the run is called off",
                problems=[e.message for _, e in sorted(errors.items())],
            )
        return said

    def observe(self, leases: list[Lease], when: str) -> dict[str, list[str]]:
        """States per node, "unread" where a node got no answer, written down.

        Nodes that do not answer are left out.
        """
        nodes = by_node(leases)

        def ask(node: str, agent: Agent) -> list[str]:
            states = []
            for lease in nodes[node]:
                found = agent.call("observe", lease=lease.id)
                self._recorder.event(
                    kinds.OBSERVED, node=node, lease=lease.id, observation=found, when=when
                )
                states.append("unread" if found.get("unread") else found["state"])
            return states

        answers, _ = self._fleet.each(nodes, ask)
        return answers

    def prove_exempt(self, leases: list[Lease]) -> bool:
        """Show that our own SSH packets reach the exemption, which stands before every DROP.

        A packet that the exemption returns never sees the rules behind it, so a counter that
        grows while we talk proves that the window cannot cut us off. What a process keeps has
        no rules before its window: nodes refuse it where it would hit our path. Returns whether
        there was anything to prove.

        Raises:
            CannotRun: where a node's exemption did not count our packets.
        """
        nodes = by_node(
            lease
            for lease in leases
            if "exempt" in lease.spec and TABLE[lease.kind].kept_by(lease.spec) == "kernel"
        )

        def ask(node: str, agent: Agent) -> bool:
            held = True
            for lease in nodes[node]:
                before = _exempted(agent.call("observe", lease=lease.id))
                after = _exempted(agent.call("observe", lease=lease.id))
                held = held and after > before
                self._recorder.event(
                    kinds.EXEMPT, node=node, lease=lease.id, before=before, after=after, held=held
                )
            return held

        answers, errors = self._fleet.each(nodes, ask)
        problems = [e.message for _, e in sorted(errors.items())]
        problems += [
            f"{node}: our packets do not reach the management exemption"
            for node, held in sorted(answers.items())
            if not held
        ]
        if problems:
            raise CannotRun("the management path is not proven exempt", problems=problems)
        return bool(nodes)

    def disarm(
        self, leases: list[Lease], why: str,
        goes_on: Callable[[Mapping[str, str]], bool] = _give_up,
    ) -> dict[str, str]:  # fmt: skip
        """End all of them and read back; returns node to reason for those not proven absent.

        A node that cannot be reached is asked again until ``DISARM_TRY_NS`` is over: its
        kernel ends the fault by itself meanwhile. Where a lease is apart, and the other system
        does not answer, its guards go on for ever; the run waits up to ``APART_TRY_NS`` for it,
        so that its report says how late it was.

        Args:
            goes_on: asked then, with node to reason, whether to wait still.
        """
        todo = by_node(leases)
        begun = clock.mono_ns()
        failed: dict[str, str] = {}
        late: dict[str, str] = {}

        def ask(node: str, agent: Agent) -> str:
            return self._disarm_node(agent, todo[node], why)

        while todo:
            answers, errors = self._fleet.each(list(todo), ask)
            failed = {node: error.message for node, error in errors.items()}
            failed |= {node: left for node, left in answers.items() if left}
            for node in answers:
                if node not in failed:
                    todo.pop(node)
            took = clock.mono_ns() - begun
            if took >= DISARM_TRY_NS:
                late |= {node: failed[node] for node in todo if not _any_apart(todo[node])}
                todo = {node: own for node, own in todo.items() if node not in late}
            if not todo or (
                took >= DISARM_TRY_NS and not (took < APART_TRY_NS and goes_on(failed))
            ):
                break
            clock.sleep_until_mono(clock.mono_ns() + NS_PER_S)
        return {**late, **{node: failed[node] for node in todo}}

    def _disarm_node(self, agent: Agent, leases: list[Lease], why: str) -> str:
        left: list[str] = []
        for lease in leases:
            sent = self._recorder.event(
                kinds.DISARM_INTENT, node=agent.node, lease=lease.id, why=why
            )
            try:
                answer = agent.call("disarm", lease=lease.id)
            except NodeError as error:
                if isinstance(error, Unreachable) or "no lease" not in error.message:
                    raise
                # The node never got this lease: its ledger, written first, does not have it.
                answer = {"done": [], "observation": {"state": "absent", "left": []}}
            self._recorder.event(
                kinds.DISARMED, node=agent.node, lease=lease.id, sent_ns=sent, done=answer["done"]
            )
            self._recorder.event(
                kinds.OBSERVED, node=agent.node, lease=lease.id,
                observation=answer["observation"], when="ended",
            )  # fmt: skip
            if answer["observation"]["state"] != "absent":
                left += answer["observation"]["left"]
        return "; ".join(left)

    def prove_clean(
        self, nodes: Iterable[str], foreign: Mapping[str, list[str]]
    ) -> list[NodeState]:
        """Look for anything tagged as ours on every node; who does not answer is not clean."""
        wanted = list(nodes)

        def ask(node: str, agent: Agent) -> list[str]:
            return list(agent.call("audit")["left"])

        answers, errors = self._fleet.each(wanted, ask)
        states = []
        for node in wanted:
            left = answers.get(node, [f"not read back: {errors[node].message}"] if node in errors
                               else ["not read back"])  # fmt: skip
            state = NodeState(node, not left, tuple(left), tuple(foreign.get(node, [])))
            states.append(state)
            self._recorder.event(
                kinds.CLEAN, node=node, clean=state.clean, left=list(state.left),
                foreign_changed=list(state.foreign_changed),
            )  # fmt: skip
        return states


def _any_apart(leases: Iterable[Lease]) -> bool:
    return any(TABLE[lease.kind].apart for lease in leases)


def _exempted(observation: Mapping[str, Any]) -> int:
    counters = observation["counters"]
    return int(counters.get("exempt", 0)) + int(counters.get("exempt-ssh", 0))
