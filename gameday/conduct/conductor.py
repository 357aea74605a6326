# SPDX-License-Identifier: Apache-2.0
"""One run from preflight to proven clean. The one file that knows the order.

Whatever happens after the first node was asked to arm, the way out leads through disarming
every lease and reading every node back.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gameday import __version__, clock
from gameday.clock import NS_PER_S
from gameday.conduct import limits, steady, words
from gameday.conduct.acks import Acks
from gameday.conduct.board import Board
from gameday.conduct.collect import Collector, Recorder, finish
from gameday.conduct.fleet import fleet_of
from gameday.conduct.kube_drift import compare
from gameday.conduct.leases import Leases, NodeState, by_node, foreign_of, leases_of
from gameday.conduct.looks import looks
from gameday.conduct.preflight import lease_nodes, leases_per_node, preflight, vantages
from gameday.conduct.watcher import Watcher
from gameday.errors import CannotRun, GamedayError, NotProvenClean, SteadyStateFailed
from gameday.faults.base import CONTROLLER
from gameday.measures.words import count
from gameday.record import kinds
from gameday.record.record import SAMPLES_LIVE, pack_samples
from gameday.record.types import Lease
from gameday.transport.agent import Agent
from gameday.transport.carried import carry


@dataclass(frozen=True)
class Ended:
    """How the effects of a run ended; what it means is for the report to say."""

    outcome: str
    clean: bool
    states: tuple[NodeState, ...]


class Abort(Exception):
    """The run shall end now, with everything undone."""

    def __init__(self, why: str, by: str) -> None:
        super().__init__(why)
        self.why, self.by = why, by


class Conductor:
    """Runs one plan once.

    Args:
        plan: JSON of the plan. inventory: JSON of the inventory.
        directory: of the run; plan.json, experiment.yaml and inventory.json are there.
        watcher: is told what happens.
    """

    def __init__(
        self, plan: Mapping[str, Any], inventory: Mapping[str, Any], directory: Path,
        watcher: Watcher,
    ) -> None:  # fmt: skip
        self.plan, self.directory, self.watcher = plan, directory, watcher
        self._inventory = inventory
        self.run = directory.name
        self.stop_requested = threading.Event()
        steady_ns = plan["experiment"]["steady_state"]["for_s"] * NS_PER_S
        self.board = Board(steady_ns + limits.STEADY_EXTRA_NS + limits.RELAYED_NS_MAX)
        self.recorder = Recorder(directory)
        nodes = sorted({*lease_nodes(plan), *vantages(plan)})
        self.fleet = fleet_of(inventory, nodes)
        self.leases = Leases(self.fleet, self.recorder)
        self.acks = Acks(directory, self.recorder, watcher.note)
        self._armed: list[Lease] = []
        self._told: set[tuple[str, str]] = set()
        self._collectors: list[Collector] = []
        self._t0_ns: int | None = None
        self._slowest_ns = 0
        self._relayed_ns = 0

    def conduct(
        self, argv: list[str], operator: str, approvals: Sequence[Mapping[str, Any]] = ()
    ) -> Ended:
        """The whole run.

        Args:
            argv: of the command, for the record. operator: who runs it.
            approvals: that allow it, as ``kinds.APPROVED`` describes them.

        Raises:
            CannotRun: where it was given up before anything was armed.
        """
        self.recorder.event(
            kinds.RUN_STARTED, run=self.run, experiment=self.plan["experiment"]["metadata"]["name"],
            version=__version__, argv=argv, boot_id=clock.boot_id(), operator=operator,
            pid=os.getpid(), nodes=sorted(self.fleet.agents),
        )  # fmt: skip
        for approval in approvals:
            self.recorder.event(kinds.APPROVED, **approval)
        self.acks.open()
        outcome = "completed"
        try:
            self._before()
            self._arm()
            self._through_faults()
        except Abort as abort:
            outcome = "aborted"
            self._note_abort(abort.why, abort.by)
        except GamedayError as error:
            outcome = "aborted"
            self._note_abort("; ".join([error.message, *getattr(error, "problems", ())]), "error")
            if not self._armed:
                self._end_probes()
                self._finish(outcome, ())
                raise
        except BaseException as error:
            self._note_abort(f"{type(error).__name__}: {error}", "error")
            self._end_faults("error")
            raise
        failed = self._end_faults("the window is over" if outcome == "completed" else outcome)
        if outcome == "completed":
            self._heal()
        states = self._prove_clean(failed)
        self._end_probes()
        return self._finish(outcome, tuple(states))

    def request_stop(self) -> None:
        """Ask for an abort (Ctrl-C); safe to call from a signal handler."""
        self.stop_requested.set()

    def _step(self, name: str, text: str) -> None:
        self.recorder.event(kinds.STEP, step=name, text=text)
        self.watcher.step(name, text)

    def _note_abort(self, why: str, by: str) -> None:
        self.recorder.event(kinds.ABORT, why=why, by=by)
        self.watcher.note(f"aborting: {why}")

    def _before(self) -> None:
        nodes = count(len(self.fleet.agents), "node")
        self._step("preflight", f"reach {nodes}, compare clocks, look for what is missing")
        ready = preflight(self.plan, self.fleet, self.recorder)
        self._slowest_ns = ready.slowest_ns
        if self.fleet.relayed:
            self._relayed_ns = limits.relayed_ns(ready.slowest_ns)
        compare(self._inventory, self.recorder, self.watcher.note)
        self._check_stop()
        self._step("probes", "start probes on their vantages")
        self._start_probes(ready.skews)
        window = self.plan["experiment"]["steady_state"]["for_s"]
        self._step("steady-state", f"is the estate healthy? {window} s without a failed check")
        self._await_steady()
        # Hundreds of vantages fill it for as long as somebody looks back, and nobody does now.
        self.board.settle()

    def _start_probes(self, skews: Mapping[str, int]) -> None:
        wanted = vantages(self.plan)
        lasts = self._planned_ns()

        def ask(node: str, agent: Agent) -> None:
            answer = agent.call(
                "probes_start", run=self.run, probes=wanted[node], lasts_ns=lasts,
                carried_sha256=carry(agent, wanted[node]),
            )  # fmt: skip
            self.recorder.event(
                kinds.PROBES_STARTED, node=node, probes=[p["name"] for p in wanted[node]],
                until_mono_ns=answer["until_mono_ns"],
            )  # fmt: skip

        _, errors = self.fleet.each(wanted, ask)
        if errors:
            self.fleet.each(wanted, lambda node, agent: agent.call("probes_stop", run=self.run))
            raise CannotRun("probes could not be started",
                            problems=[e.message for _, e in sorted(errors.items())])  # fmt: skip
        for node, agent in self.fleet.agents.items():
            collector = Collector(self.run, agent, self.board, self.recorder, node in wanted)
            self._collectors.append(collector)
            collector.start(skews[node])

    def _planned_ns(self) -> int:
        timeline: Mapping[str, int] = self.plan["timeline"]
        planned_s = timeline["steady_s"] + timeline["faults_end_s"] + timeline["recover_s"]
        return (
            planned_s * NS_PER_S + limits.STEADY_EXTRA_NS + limits.ARM_LEAD_NS_MAX
            + limits.SLACK_NS + 3 * self._relayed_ns
        )  # fmt: skip

    def _await_steady(self) -> None:
        window = self.plan["experiment"]["steady_state"]["for_s"] * NS_PER_S
        begin = clock.mono_ns()
        earliest = begin + window
        latest = earliest + limits.STEADY_EXTRA_NS + self._relayed_ns
        while True:
            self._check_stop()
            now = clock.mono_ns()
            checks = steady.look(self.plan, self.board, now)
            if now >= earliest and all(check.held for check in checks):
                break
            if now >= latest:
                self._write_steady(checks)
                raise SteadyStateFailed(
                    "the estate is not steady; nothing was armed",
                    problems=[check.reason for check in checks if not check.held],
                )
            self._pause(earliest, "the faults are armed")
        self._write_steady(checks)

    def _write_steady(self, checks: list[steady.Check]) -> None:
        for check in checks:
            self.recorder.event(
                kinds.STEADY, check=check.probe, held=check.held, ok=check.ok, total=check.total,
                reason=check.reason,
            )  # fmt: skip

    def _arm(self) -> None:
        most = max(leases_per_node(self.plan).values(), default=1)
        bmc = CONTROLLER in leases_per_node(self.plan)
        lead = limits.lead_ns(most, self._slowest_ns, self._relayed_ns, bmc)
        t0_wall = -(-(clock.wall_ns() + lead) // NS_PER_S) * NS_PER_S
        self._t0_ns = clock.mono_ns() + t0_wall - clock.wall_ns()
        leases = leases_of(self.plan, self.run, t0_wall)
        self._armed = leases
        self._step("arm", words.arming(leases))
        with self.fleet.urgent():
            begin = clock.mono_ns()
            for text in self.leases.arm(leases):
                self.watcher.note(text)
            if self.fleet.relayed:
                # Rounds through workers are slow, and a proof that is known too late is none.
                self._still_time(limits.EXEMPT_ROUNDS * (clock.mono_ns() - begin))
            proven = self.leases.prove_exempt(leases)
        self._still_time(0)
        self._step("armed", words.armed(leases, proven))

    def _still_time(self, more_ns: int) -> None:
        """Raises CannotRun where what takes ``more_ns`` does not end well before the window."""
        if clock.mono_ns() + more_ns > (self._t0_ns or 0) - limits.ARM_CLOSED_NS:
            raise CannotRun("arming took too long; the run is called off before its window")

    def _through_faults(self) -> None:
        t0 = self._t0_ns or 0
        self._wait_until(t0, words.opening(self._armed), watch=False)
        self._step("fire", f"T0: {words.opening(self._armed)}")
        end = t0 + self.plan["timeline"]["faults_end_s"] * NS_PER_S
        late_ns = limits.LATE_LOOK_NS + self._relayed_ns // limits.RELAYED_ROUNDS
        moments = [t0 + moment for moment in looks(self.plan["faults"], late_ns)]
        self._wait_until(moments[0], "read the leases back", watch=True)
        looked = clock.mono_ns()
        self._look()
        self._step("faults", "faults are in effect; probes watch")
        for moment in moments[1:]:
            # Who answers slowly was asked after it, by an earlier look.
            if moment > looked:
                self._wait_until(moment, "the window ends by itself", watch=True)
                looked = clock.mono_ns()
                self._look()
        self._wait_until(end, "the window ends by itself", watch=True)
        clock.sleep_until_mono(end + limits.SETTLE_NS)

    def _look(self) -> None:
        """Read back what should be in effect now; what is wrong is told once per node."""
        said = {"foreign": "part of its lease is missing",
                "unread": "whether its lease is in effect could not be read"}  # fmt: skip
        for node, found in sorted(self.leases.observe(self._now_active(), "active").items()):
            for state, text in said.items():
                if state in found and (node, state) not in self._told:
                    self._told.add((node, state))
                    self.watcher.note(f"{node}: {text}")

    def _now_active(self) -> list[Lease]:
        now = clock.wall_ns()
        return [lease for lease in self._armed if lease.fire_at_ns <= now < lease.expire_at_ns]

    def _end_faults(self, why: str) -> dict[str, str]:
        self._step("heal", f"end all leases ({why}) and read them back")
        told: set[str] = set()

        def goes_on(failed: Mapping[str, str]) -> bool:
            for node, reason in sorted(failed.items()):
                if node not in told:
                    self.watcher.note(
                        f"{node}: {reason}; asked again for {limits.APART_TRY_NS // NS_PER_S} s "
                        "(Ctrl-C waits no longer; the guards of the lease go on by themselves)"
                    )
                told.add(node)
            return not self.stop_requested.is_set()

        return self.leases.disarm(self._armed, why, goes_on)

    def _heal(self) -> None:
        end = clock.mono_ns() + self.plan["timeline"]["recover_s"] * NS_PER_S
        try:
            self._wait_until(end, "everything is proven clean", watch=False)
        except Abort as abort:
            # The faults have ended by now; the operator only does not want to wait longer.
            self.watcher.note(f"not waiting for recovery: {abort.why}")

    def _prove_clean(self, failed: Mapping[str, str]) -> list[NodeState]:
        self._step("prove-clean", "look for anything of ours that is left")
        for node, reason in sorted(failed.items()):
            self.watcher.note(f"{node}: not proven absent: {reason}")
        return self.leases.prove_clean(by_node(self._armed), self._foreign())

    def _foreign(self) -> dict[str, list[str]]:
        return foreign_of(self._events_of(kinds.OBSERVED))

    def _events_of(self, kind: str) -> list[Mapping[str, Any]]:
        from gameday.record.journal import read_events

        events = read_events(self.directory / "events.jsonl")
        return [event.data for event in events if event.kind == kind]

    def _end_probes(self) -> None:
        if not self._collectors:
            return
        self._step("collect", "fetch the last samples")
        wanted = vantages(self.plan)
        self.fleet.each(wanted, lambda node, agent: agent.call("probes_stop", run=self.run))
        finish(self._collectors, limits.COLLECT_S + self._relayed_ns / NS_PER_S)
        for collector in self._collectors:
            if collector.agent.node in wanted:
                self.recorder.event(
                    kinds.COLLECTED, node=collector.agent.node, samples=collector.counted.total,
                    missing=collector.counted.missing, complete=collector.complete,
                )  # fmt: skip

    def _finish(self, outcome: str, states: tuple[NodeState, ...]) -> Ended:
        clean = all(state.clean for state in states)
        complete = all(collector.complete for collector in self._collectors)
        if clean and complete:
            self.fleet.each(
                self.fleet.agents, lambda node, agent: agent.call("forget", run=self.run)
            )
        self.acks.close()
        self.recorder.event(kinds.RUN_ENDED, outcome=outcome, clean=clean)
        self.recorder.close()
        self.fleet.close()
        if (self.directory / SAMPLES_LIVE).exists():
            pack_samples(self.directory)
        return Ended(outcome, clean, states)

    def _wait_until(self, deadline_ns: int, what: str, watch: bool) -> None:
        while clock.mono_ns() < deadline_ns:
            self._check_stop()
            if watch:
                self._check_conditions()
            self._pause(deadline_ns, what)

    def _pause(self, next_ns: int, what: str) -> None:
        self.watcher.tick(self.board, self._t0_ns, next_ns, what)
        self.stop_requested.wait(limits.TICK_S)

    def _check_stop(self) -> None:
        if self.stop_requested.is_set():
            self.stop_requested.clear()
            raise Abort("the operator asked for it", "operator")

    def _check_conditions(self) -> None:
        for condition in self.plan["experiment"]["abort"]:
            failing = self.board.failed_for_ns(condition["probe"])
            if failing >= condition["failed_for_s"] * NS_PER_S:
                raise Abort(f"{condition['name']}: {condition['probe']} has failed everywhere for "
                            f"{failing / NS_PER_S:.1f} s", "condition")  # fmt: skip


def not_clean(states: tuple[NodeState, ...]) -> NotProvenClean:
    """The error that says what is left where, and how to remove it by hand."""
    left = [f"{s.node}: {piece}" for s in states if not s.clean for piece in s.left]
    return NotProvenClean(
        "not proven clean: " + "; ".join(left),
        "gameday sweep -i INVENTORY tries again; each piece says how to remove it by hand",
    )
