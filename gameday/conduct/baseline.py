# SPDX-License-Identifier: Apache-2.0
"""The usual round trip between two sites, measured just before an excursion. Arms nothing."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from statistics import median
from typing import Any

from gameday import clock
from gameday.clock import NS_PER_MS, NS_PER_S
from gameday.conduct.fleet import fleet_of
from gameday.conduct.preflight import vantages
from gameday.errors import CannotRun, GamedayError
from gameday.record.record import parse_samples
from gameday.record.types import Sample
from gameday.transport.agent import Agent

SECONDS = 4
PERIOD_NS = 100 * NS_PER_MS
LOOKS_MIN = 10
PATIENCE_NS = 10 * NS_PER_S
"""For the last samples, after the probes' end."""

US = 1000


@dataclass(frozen=True)
class Baseline:
    """What echoes between both sites took.

    Attributes:
        median_us, least_us, most_us: round trips. looks, lost: echoes sent, and never answered.
    """

    median_us: int
    least_us: int
    most_us: int
    looks: int
    lost: int


def measure(
    plan: Mapping[str, Any], inventory: Mapping[str, Any], probe: str, sites: tuple[str, str]
) -> Baseline:
    """Run one rtt-mesh probe of the plan for a few seconds, between both sites only.

    Raises:
        CannotRun: where nodes cannot be reached or hardly an echo is answered.
    """
    wanted = vantages({"probes": [_between(plan, probe, sites)]})
    fleet = fleet_of(inventory, wanted)
    run = f"baseline-{os.urandom(4).hex()}"

    def look(node: str, agent: Agent) -> list[Sample]:
        agent.open()
        try:
            return _look(agent, run, wanted[node])
        finally:
            agent.call("forget", run=run)

    try:
        answers, errors = fleet.each(wanted, look)
    finally:
        fleet.close()
    if errors:
        raise CannotRun("the usual round trip could not be measured",
                        problems=[_told(e) for _, e in sorted(errors.items())])  # fmt: skip
    return _summary([sample for found in answers.values() for sample in found], sites)


def _told(error: GamedayError) -> str:
    return f"{error.message}" + (f" ({error.hint})" if error.hint else "")


def _between(plan: Mapping[str, Any], probe: str, sites: tuple[str, str]) -> dict[str, Any]:
    planned = next(p for p in plan["probes"] if p["name"] == probe)
    site = {name: node["site"] for name, node in plan["nodes"].items()}
    samplers = [
        s for s in planned["samplers"] if {site[s["node"]], site[s["target"]]} == set(sites)
    ]
    if not samplers:
        raise CannotRun(f"no node of {sites[0]} looks at one of {sites[1]}")
    return {**planned, "samplers": samplers, "period_ns": PERIOD_NS}


def _look(agent: Agent, run: str, probes: list[dict[str, Any]]) -> list[Sample]:
    agent.call("probes_start", run=run, probes=probes, lasts_ns=SECONDS * NS_PER_S)
    deadline = clock.mono_ns() + SECONDS * NS_PER_S + PATIENCE_NS
    found: list[Sample] = []
    offset = 0
    while clock.mono_ns() < deadline:
        answer = agent.call("samples", run=run, offset=offset)
        found += parse_samples(answer["lines"].encode(), f"samples of {agent.node}")
        offset = answer["next"]
        if not answer["running"] and not answer["lines"]:
            return found
        clock.sleep_until_mono(clock.mono_ns() + PERIOD_NS)
    raise CannotRun(f"{agent.node}: its probes did not end in time")


def _summary(samples: list[Sample], sites: tuple[str, str]) -> Baseline:
    took = [int(s.value.get("rtt_ns", s.end_ns - s.start_ns)) // US for s in samples if s.ok]
    if len(took) < LOOKS_MIN:
        reasons = sorted({s.reason for s in samples if not s.ok})
        raise CannotRun(
            f"{sites[0]} and {sites[1]}: {len(took)} of {len(samples)} echoes were answered, too "
            f"few to know the usual round trip",
            "do echoes pass between these sites?",
            problems=reasons[:3],
        )
    return Baseline(round(median(took)), min(took), max(took), len(samples),
                    len(samples) - len(took))  # fmt: skip
