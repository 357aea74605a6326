# SPDX-License-Identifier: Apache-2.0
"""One seeded run: gameday as a user runs it, the oracle beside it, and both compared."""

from __future__ import annotations

import json
import shutil
from dataclasses import asdict, dataclass
from pathlib import Path
from random import Random
from typing import Any

from gameday.clock import NS_PER_MS, Interval
from gameday.lab import Lab
from gameday.record.record import Record, load
from gameday.record.windows import TICK_NS
from tests.accuracy.moments import Moments, read
from tests.accuracy.oracle import Oracle
from tests.lab.drill import Drill

ALERTS = ("EtcdMemberUnreachable", "IngressUnreachable")
STEADY_S, RECOVER_S = 2, 6
PERIODS_MS = (100, 150, 200, 250, 400)
CUTS = {
    "drop": {},
    "reject": {"action": "reject"},
    "blackhole": {"mechanism": "blackhole"},
    "deaf": {"shape": "one-way"},
}
"""How a site can be cut off: parameters of ``partition``. A process of ours keeps the window of a
black hole, the kernel those of the others."""

PAUSES = {"ingress-hangs": ("ingress", "nginx"), "etcd-hangs": ("etcd", "etcd")}
"""What can be stopped (SIGSTOP) in a site: role of its nodes, and name of the process."""

BY_PROCESS = {"blackhole", *PAUSES}

LEADERS = "leader-changes"


@dataclass(frozen=True)
class Case:
    """What a seed stands for: which site is hit, by what, how long, how often probes look."""

    seed: int
    site: str
    fault: str
    for_s: int
    period_ms: int

    @staticmethod
    def of(seed: int) -> Case:
        """The case of a seed."""
        random = Random(seed)  # noqa: S311 - reproducible, not secret
        return Case(seed, random.choice(("frankfurt", "london")), random.choice([*CUTS, *PAUSES]),
                    random.randrange(9, 13), random.choice(PERIODS_MS))  # fmt: skip


@dataclass(frozen=True)
class Compared:
    """One number of gameday beside the truth, all in ns.

    Attributes:
        what: the kind of measurement, or onset or end. status: of the measurement.
        lo, hi: gameday's. true_lo, true_hi: the oracle's; None where it saw nothing.
        allowed: how wide it may be.
        reason: why there is no number.
    """

    what: str
    status: str
    lo: int | None
    hi: int | None
    true_lo: int | None
    true_hi: int | None
    allowed: int
    reason: str = ""

    @property
    def judgement(self) -> str:
        """inside; blurred: they overlap, the oracle saw it less exactly; outside; or untold.

        Of what never happened while it was watched, only the lower bound is compared.
        """
        if self.lo is None or self.true_lo is None or self.true_hi is None:
            return "untold"
        if self.hi is None:
            return self._beyond(self.lo, self.true_lo, self.true_hi)
        if self.lo <= self.true_lo and self.true_hi <= self.hi:
            return "inside"
        return "blurred" if self.lo <= self.true_hi and self.true_lo <= self.hi else "outside"

    @staticmethod
    def _beyond(lo: int, true_lo: int, true_hi: int) -> str:
        if true_lo >= lo:
            return "inside"
        return "blurred" if true_hi >= lo else "outside"

    @property
    def wide(self) -> bool:
        """Whether it is wider than it may be."""
        return self.lo is not None and self.hi is not None and self.hi - self.lo > self.allowed


def run_case(lab: Lab, case: Case, directory: Path) -> list[Compared]:
    """Run one case and compare; what the oracle captured is removed afterwards.

    Raises:
        AssertionError: where gameday did not finish the run.
    """
    lab.up()
    shutil.rmtree(directory, ignore_errors=True)
    home, seen = directory / "home", directory / "oracle"
    home.mkdir(parents=True)
    drill = Drill(lab, home)
    with Oracle(lab, seen, case.site, PAUSES.get(case.fault), case.fault == "blackhole"):
        done = drill.run(drill.experiment(lambda data: _shape(data, case)))
    finished = done.returncode in (0, 1, 3) and (drill.run_directory / "report.json").exists()
    assert finished, done.stderr.strip() or done.stdout.strip()
    truth = read(seen, case.site, ALERTS)
    wall = json.loads((seen / "oracle.json").read_bytes())["wall_minus_mono"]
    found = compare(drill.report(), load(drill.run_directory), truth, Interval(*wall), case)
    shutil.rmtree(seen)
    return found


def _shape(data: dict[str, Any], case: Case) -> None:
    """The shipped experiment, short, for another site and another period."""
    data["faults"][0].update(_fault(case), for_s=case.for_s)
    if case.fault in PAUSES:
        # No write is due to anybody new where no member is cut off from the others.
        data["objectives"] = [o for o in data["objectives"] if o["measure"] != "re-election"]
    data["steady_state"]["for_s"] = STEADY_S
    data["recover_s"] = RECOVER_S
    params = {"probe": "etcd-status", "group": "main"}
    data["objectives"].append({"name": "leaders", "measure": LEADERS, "params": params})
    for probe in data["probes"]:
        if probe["kind"] in ("etcd-write", "etcd-status", "dns"):
            probe["period_ms"] = case.period_ms
    for objective in data["objectives"]:
        params = objective["params"]
        if "labels" in params:
            params["labels"] = {"site": case.site}
        if "site" in params:
            params["site"] = case.site


def _fault(case: Case) -> dict[str, Any]:
    if case.fault in PAUSES:
        role, name = PAUSES[case.fault]
        nodes = {"role": role, "site": case.site}
        return {"kind": "process", "params": {"nodes": nodes, "action": "pause", "name": name}}
    others = sorted({"frankfurt", "london", "amsterdam", "clients"} - {case.site})
    # One way, what side a sends is lost.
    sides = {"side_a": {"site": others}, "side_b": {"site": case.site}}
    return {"kind": "partition", "params": {**sides, **CUTS[case.fault]}}


def compare(
    report: dict[str, Any], record: Record, truth: Moments, wall: Interval, case: Case
) -> list[Compared]:
    """Every number of the run that the oracle can tell, beside its truth."""

    def mono(moment: Interval | None) -> Interval | None:
        return None if moment is None else moment.minus(wall)

    onset, end = mono(truth.onset), mono(truth.end)
    withdrawn = [found for found in map(mono, truth.withdrawn.values()) if found is not None]
    events = {
        "time-to-detect": (mono(truth.alert), onset),
        "time-to-withdraw": (_latest(withdrawn), onset),
        "re-election": (mono(truth.written), onset),
        "quorum-recovery": (mono(truth.recovered), end),
    }
    window = record.window()
    clock = max(entry["bound_ns_max"] for entry in report["clocks"])
    found = []
    for what, said, true in (("onset", window.onset, onset), ("end", window.end, end)):
        ends = (None, None) if true is None else (true.lo, true.hi)
        # A kernel is as exact as the clocks; a process says how long it took, whatever that is.
        allowed = said.width if case.fault in BY_PROCESS else 2 * clock + TICK_NS
        found.append(Compared(what, "measured", said.lo, said.hi, *ends, allowed))
    for objective in report["objectives"]:
        one = objective["measurement"]
        if one["kind"] == LEADERS:
            found.append(_leaders(one, truth, wall))
        if one["kind"] not in events:
            continue
        moment, origin = events[one["kind"]]
        true_lo = true_hi = None
        if moment is not None and origin is not None:
            span = moment.minus(origin)
            true_lo, true_hi = max(0, span.lo), max(0, span.hi)
        from_width = (window.end if one["kind"] == "quorum-recovery" else window.onset).width
        sampling = 2 * case.period_ms * NS_PER_MS
        # An alert is not sampled: its arrival is known to a timer tick of the node.
        periods = TICK_NS if one["kind"] == "time-to-detect" else sampling
        allowed = periods + 2 * clock + from_width
        found.append(
            Compared(one["kind"], one["status"], one["lo"], one["hi"], true_lo, true_hi, allowed,
                     one["reason"])
        )  # fmt: skip
    return found


def _leaders(one: dict[str, Any], truth: Moments, wall: Interval) -> Compared:
    """How many leaders were elected: what they wrote down, in the time that gameday watched.

    At the ends of that time, seconds are too coarse to tell.
    """
    ends = (None, None)
    if one["status"] == "measured":
        moments = [each.minus(wall) for each in truth.won.values()]
        (begin_lo, begin_hi), (end_lo, end_hi) = one["start"], one["end"]
        ends = (
            sum(m.lo >= begin_hi and m.hi <= end_lo for m in moments),
            sum(m.hi >= begin_lo and m.lo <= end_hi for m in moments),
        )
    width = (one["hi"] or 0) - (one["lo"] or 0)
    return Compared(LEADERS, one["status"], one["lo"], one["hi"], *ends, width, one["reason"])


def _latest(moments: list[Interval]) -> Interval | None:
    """When the last of several things had happened."""
    if not moments:
        return None
    return Interval(max(m.lo for m in moments), max(m.hi for m in moments))


def as_json(case: Case, found: list[Compared]) -> dict[str, Any]:
    """A case's result as it is kept."""
    return {"case": asdict(case), "compared": [asdict(one) for one in found]}


def from_json(data: dict[str, Any]) -> tuple[Case, list[Compared]]:
    """The inverse of ``as_json``."""
    return Case(**data["case"]), [Compared(**one) for one in data["compared"]]
