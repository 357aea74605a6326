# SPDX-License-Identifier: Apache-2.0
"""Finish what a dead controller left: end its leases, prove clean, fetch its samples."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from gameday import clock
from gameday.conduct import acks
from gameday.conduct.collect import Counted, Recorder, exchange
from gameday.conduct.conductor import Ended
from gameday.conduct.fleet import Fleet, fleet_of
from gameday.conduct.held import is_held
from gameday.conduct.leases import Leases, by_node, foreign_of
from gameday.conduct.preflight import vantages
from gameday.conduct.watcher import Watcher
from gameday.errors import EvidenceError, GamedayError, Refused
from gameday.measures.words import count
from gameday.record import kinds
from gameday.record.journal import dump_line, read_events
from gameday.record.record import SAMPLES_LIVE, pack_samples, parse_samples, read_samples
from gameday.record.types import Event, Lease, from_json, to_json
from gameday.transport.agent import Agent

DRAIN_NS = 20 * clock.NS_PER_S
"""A vantage's probe loop is told to stop and given this long to end."""


def state_of(directory: Path) -> str:
    """ "planned", "running", "unfinished" (its controller is dead) or "ended"."""
    journal = directory / "events.jsonl"
    if not journal.exists():
        return "planned"
    # Asked first: what is read of a journal that nobody has is all there will be.
    held = is_held(journal)
    events = read_events(journal)
    if any(event.kind == kinds.RUN_ENDED for event in events):
        return "ended"
    alive = _process_lives(events) if held is None else held
    return "running" if alive else "unfinished"


def _process_lives(events: list[Event]) -> bool:
    """By its number alone, which is as good as it gets where nothing can be locked."""
    started = next((e for e in events if e.kind == kinds.RUN_STARTED), None)
    if started is None or started.data["boot_id"] != clock.boot_id():
        return False
    try:
        command = Path(f"/proc/{started.data['pid']}/cmdline").read_bytes()
    except OSError:
        return False
    return started.data["pid"] != os.getpid() and b"gameday" in command


def recover(directory: Path, watcher: Watcher) -> Ended:
    """End every lease that the run may have armed, and complete its record as aborted.

    Raises:
        Refused: where its controller is alive, or the run has ended.
        EvidenceError: where the directory does not hold a run.
    """
    state = state_of(directory)
    if state == "running":
        raise Refused(f"{directory.name}: its controller is alive", "stop it with Ctrl-C instead")
    if state != "unfinished":
        raise Refused(f"{directory.name} is {state}; there is nothing to recover")
    try:
        plan = json.loads((directory / "plan.json").read_bytes())
        inventory = json.loads((directory / "inventory.json").read_bytes())
    except (OSError, ValueError) as error:
        raise EvidenceError(f"{directory}: {error}") from error
    intents = [
        from_json(Lease, event.data["lease"])
        for event in read_events(directory / "events.jsonl")
        if event.kind == kinds.ARM_INTENT
    ]
    wanted = vantages(plan)
    fleet = fleet_of(inventory, sorted({*by_node(intents), *wanted}))
    recorder = Recorder(directory)
    recorder.event(kinds.ABORT, why="the controller died", by="controller-died")
    leases = Leases(fleet, recorder)
    recorder.event(kinds.STEP, step="heal", text="recover: end all leases and read them back")
    watcher.step("heal", f"end {count(len(intents), 'lease')} of {directory.name}")
    for node, reason in sorted(leases.disarm(intents, "recover").items()):
        watcher.note(f"{node}: not proven absent: {reason}")
    watcher.step("prove-clean", "look for anything of ours that is left")
    events = read_events(directory / "events.jsonl")
    foreign = foreign_of(event.data for event in events if event.kind == kinds.OBSERVED)
    states = leases.prove_clean(by_node(intents), foreign)
    watcher.step("collect", "fetch the samples that the vantages kept")
    _collect(directory, fleet, recorder, wanted)
    clean = all(state.clean for state in states)
    if clean:
        fleet.each(wanted, lambda node, agent: agent.call("forget", run=directory.name))
        fleet.each(by_node(intents), lambda node, agent: agent.call("forget", run=directory.name))
    acks.discard(directory)
    recorder.event(kinds.RUN_ENDED, outcome="aborted", clean=clean)
    recorder.close()
    fleet.close()
    if (directory / SAMPLES_LIVE).exists():
        pack_samples(directory)
    return Ended("aborted", clean, tuple(states))


def _collect(directory: Path, fleet: Fleet, recorder: Recorder, wanted: Mapping[str, Any]) -> None:
    have = {(s.probe, s.node, s.target, s.seq) for s in read_samples(directory)}
    fleet.each(wanted, lambda node, agent: agent.call("probes_stop", run=directory.name))

    def ask(node: str, agent: Agent) -> None:
        exchange(agent, recorder)
        counted = Counted()
        complete = False
        offset, deadline = 0, clock.mono_ns() + DRAIN_NS
        while clock.mono_ns() < deadline and not complete:
            answer = agent.call("samples", run=directory.name, offset=offset)
            samples = parse_samples(answer["lines"].encode(), f"samples of {node}")
            fresh = [s for s in samples if (s.probe, s.node, s.target, s.seq) not in have]
            recorder.samples("".join(dump_line(to_json(s)) for s in fresh).encode())
            counted.add(samples)
            offset = answer["next"]
            complete = not answer["running"] and not samples
            if not samples and not complete:
                clock.sleep_until_mono(clock.mono_ns() + clock.NS_PER_S // 5)
        recorder.event(
            kinds.COLLECTED, node=node, samples=counted.total, missing=counted.missing,
            complete=complete,
        )  # fmt: skip

    _, errors = fleet.each(wanted, ask)
    for node, error in sorted(errors.items()):
        recorder.event(kinds.NODE_LOST, node=node, reason=_message(error))


def _message(error: GamedayError) -> str:
    return error.message
