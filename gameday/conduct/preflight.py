# SPDX-License-Identifier: Apache-2.0
"""Before anything is armed: every node reached, in time, able, and without leftovers.

All problems of all nodes are reported at once.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from gameday import clock
from gameday.conduct.collect import Recorder, exchange
from gameday.conduct.fleet import Fleet
from gameday.conduct.limits import (
    CLOCK_EXCHANGES,
    CLOCK_TRIES,
    TARGET_OFFSET_NS_MAX,
    VANTAGE_OFFSET_NS_MAX,
)
from gameday.errors import CannotRun, GamedayError
from gameday.faults import TABLE
from gameday.faults.base import CONTROLLER, Facts
from gameday.measures.words import count
from gameday.probes import TABLE as PROBES
from gameday.record import kinds
from gameday.record.types import from_json
from gameday.transport.agent import Agent


def lease_nodes(plan: Mapping[str, Any]) -> dict[str, set[str]]:
    """Node to the fault kinds it gets leases of."""
    found: dict[str, set[str]] = {}
    for fault in plan["faults"]:
        for lease in fault["leases"]:
            found.setdefault(lease["node"], set()).add(fault["kind"])
    return found


def leases_per_node(plan: Mapping[str, Any]) -> Counter[str]:
    """How many leases each node gets."""
    return Counter(lease["node"] for fault in plan["faults"] for lease in fault["leases"])


def asked_elsewhere(plan: Mapping[str, Any]) -> dict[str, list[dict[str, Any]]]:
    """Node to what its leases ask of other systems, which are asked whether they would do it."""
    found: dict[str, list[dict[str, Any]]] = {}
    for fault in plan["faults"]:
        for lease in fault["leases"]:
            if TABLE[fault["kind"]].apart:
                one = {"kind": fault["kind"], "spec": lease["spec"]}
                found.setdefault(lease["node"], []).append(one)
    return found


def vantages(plan: Mapping[str, Any]) -> dict[str, list[dict[str, Any]]]:
    """Vantage node to its probes, each with only the samplers that run there."""
    found: dict[str, list[dict[str, Any]]] = {}
    for probe in plan["probes"]:
        for node in sorted({one["node"] for one in probe["samplers"]}):
            mine = [one for one in probe["samplers"] if one["node"] == node]
            found.setdefault(node, []).append({**probe, "samplers": mine})
    return found


@dataclass(frozen=True)
class Ready:
    """What preflight found out.

    Attributes:
        skews: node to about its clock's skew to ours, in ns.
        slowest_ns: how long the slowest node with a lease took to look at itself: about as
            many programs run for that as for arming one lease.
    """

    skews: dict[str, int]
    slowest_ns: int


def preflight(plan: Mapping[str, Any], fleet: Fleet, recorder: Recorder) -> Ready:
    """Check every node of the run.

    Raises:
        CannotRun: with every problem found; nothing was armed.
    """
    targets, elsewhere = lease_nodes(plan), asked_elsewhere(plan)
    looking = {node: {probe["kind"] for probe in found} for node, found in vantages(plan).items()}
    base = (clock.mono_ns(), clock.wall_ns())

    def check(node: str, agent: Agent) -> tuple[int, int, list[str]]:
        used = (targets.get(node, set()), looking.get(node, set()))
        offset, took, found = _check_node(agent, used, base, recorder)
        if node in elsewhere and not found:
            found = [f"{node}: {text}"
                     for text in agent.call("able", asked=elsewhere[node])["problems"]]  # fmt: skip
        return offset, took, found

    answers, errors = fleet.each(fleet.agents, check)
    problems = [_with_hint(error) for _, error in sorted(errors.items())]
    for _, (_, _, found) in sorted(answers.items()):
        problems += found
    if problems:
        raise CannotRun(
            f"{count(len(problems), 'problem')} before anything was armed", problems=problems
        )
    took = [took for node, (_, took, _) in answers.items() if node in targets]
    return Ready({node: skew for node, (skew, _, _) in answers.items()}, max(took, default=0))


def _with_hint(error: GamedayError) -> str:
    return f"{error.message}" + (f" ({error.hint})" if error.hint else "")


def _check_node(
    agent: Agent, used: tuple[set[str], set[str]], base: tuple[int, int], recorder: Recorder
) -> tuple[int, int, list[str]]:
    """``used`` are the kinds of faults and of probes that the node has."""
    fault_kinds, probe_kinds = used
    agent.open()
    exchanges = _compare(agent, base, bool(fault_kinds), recorder)
    asked = clock.mono_ns()
    data = agent.call("facts")
    took = clock.mono_ns() - asked
    recorder.event(kinds.FACTS, node=agent.node, facts=data)
    facts = from_json(Facts, data)
    problems = _clock_problems(agent.node, exchanges, base, bool(fault_kinds))
    if not facts.root and agent.node != CONTROLLER:
        problems.append(f"{agent.node}: the agent does not run as root")
    if "ledger" in facts.missing:
        problems.append(f"{agent.node}: {facts.missing['ledger']}")
    for kind in sorted(fault_kinds):
        reason = TABLE[kind].available(facts)
        if reason:
            problems.append(f"{agent.node}: fault {kind} is not available: {reason}")
    problems += cannot_look(agent.node, probe_kinds, facts)
    if fault_kinds:
        left = agent.call("audit")["left"]
        if left:
            problems.append(
                f"{agent.node}: {count(len(left), 'piece')} of another run still there, the first: "
                f"{left[0]} (is a run going on? else: gameday recover)"
            )
    best = min(exchanges, key=lambda e: e.received_ns - e.sent_ns)
    return best.node_mono_ns - best.middle_ns, took, problems


def cannot_look(node: str, probe_kinds: set[str], facts: Facts) -> list[str]:
    """Why a vantage cannot run a probe that it is meant to."""
    needed = [(kind, str(getattr(PROBES[kind], "needs", ""))) for kind in sorted(probe_kinds)]
    return [
        f"{node}: probe {kind} is not available: {facts.missing[word]}"
        for kind, word in needed
        if word in facts.missing
    ]


def _compare(
    agent: Agent, base: tuple[int, int], target: bool, recorder: Recorder
) -> list[clock.Exchange]:
    """Exchanges, and more of them while they leave open whether the clock is within its limit.

    What they bound is intersected, so every further batch of a worker can only help.
    """
    limit = TARGET_OFFSET_NS_MAX if target else VANTAGE_OFFSET_NS_MAX
    exchanges: list[clock.Exchange] = []
    for _ in range(CLOCK_TRIES):
        exchanges += exchange(agent, recorder, CLOCK_EXCHANGES)
        offset = clock.wall_offset_of_all(exchanges, base)
        if offset is None or not is_open(offset, limit):
            break
    return exchanges


def is_open(offset: clock.Interval, limit: int) -> bool:
    """Whether an offset may be within a limit, and may be beyond it. Pure."""
    return (
        max(abs(offset.lo), abs(offset.hi)) > limit and -limit <= offset.hi and (offset.lo <= limit)
    )


def _clock_problems(
    node: str, exchanges: list[clock.Exchange], base: tuple[int, int], target: bool
) -> list[str]:
    offset = clock.wall_offset_of_all(exchanges, base)
    limit = TARGET_OFFSET_NS_MAX if target else VANTAGE_OFFSET_NS_MAX
    if offset is None or max(abs(offset.lo), abs(offset.hi)) <= limit:
        return []
    if is_open(offset, limit):
        lo, hi = offset.lo / clock.NS_PER_S, offset.hi / clock.NS_PER_S
        return [
            f"{node}: its clock is known only to between {lo:+.3f} and {hi:+.3f} s of the "
            f"controller's; at most {limit / clock.NS_PER_S:.3f} s is allowed (is the way there, "
            f"or its worker, busy?)"
        ]
    ahead = "ahead of" if offset.lo > 0 else "behind"
    seconds = min(abs(offset.lo), abs(offset.hi)) / clock.NS_PER_S
    return [
        f"{node}: its clock is {seconds:.3f} s {ahead} the controller's; at most "
        f"{limit / clock.NS_PER_S:.3f} s is allowed (does time synchronisation run there?)"
    ]
