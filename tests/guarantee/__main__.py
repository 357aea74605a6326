# SPDX-License-Identifier: Apache-2.0
"""``make guarantee``: every kind, every death, in machines of their own; writes docs/guarantee.md.

Exits with 1 where the guarantee did not hold in any cell.
"""

from __future__ import annotations

import contextlib
import os
import platform
import sys
import tempfile
import threading
from collections.abc import Sequence
from pathlib import Path
from queue import Empty, SimpleQueue

import click

from gameday import clock
from tests.guarantee.drive import Outcome, run_cell
from tests.guarantee.matrix import (
    CASES,
    DEATHS,
    KERNEL_LATE_S,
    PROCESS_LATE_S,
    Case,
    cells,
    kept,
)
from tests.uml.harness import REPOSITORY, Machine

PAGE = REPOSITORY / "docs" / "guarantee.md"
MACHINES = 3
"""Most of a cell is waiting, so that two cores carry three machines."""

TRIES = 2
"""A cell that failed is run once more, alone; both outcomes are shown where they differ."""

HEAD = """\
# Every fault ends: the matrix

Written by `make guarantee`; do not edit. Each cell is one lease of one kind on a node with its own
kernel ({release}, user-mode-linux, one processor), somebody else's rules, sets and root qdisc in
place, and one thing that dies. The effect is seen without gameday: by UDP echoes, by synchronous
writes, by free space, by a process that stands still. What must hold:

- no effect measurable later than {kernel:.0f} s after the lease's end where the kernel keeps the
  window, and {process:.0f} s where a process does; none before its start;
- afterwards nothing is left, and rules, sets, qdiscs, filters, routes, mounts, volumes, io limits,
  files and units are what they were before, line by line.

A cell shows when the effect was last seen, in seconds relative to the lease's end (negative: just
before it, as it should be); *refused* where nothing was armed; *never* where it did not begin;
*none* for noop. Variants of a kind meet the deaths that differ for them (*as above* elsewhere).
Kinds that no node holds but the controller's host (`power` by Redfish, and those whose name begins
with `kube-`) are not here: a machine of the matrix has neither a BMC nor an API server. They meet
their deaths in `tests/lab/test_power.py` and `tests/kube/test_deaths.py`.

"""


@click.command()
@click.option("--minutes", type=int, default=240, help="begin no cell later than this")
@click.option("--machines", type=int, default=MACHINES, help="how many at a time")
def main(minutes: int, machines: int) -> None:
    """Run all cells, and write the page; exits with 1 where one is broken or was not run."""
    began = clock.mono_ns()
    todo = Todo(began + minutes * 60 * clock.NS_PER_S)
    outcomes: dict[tuple[str, str], list[Outcome]] = {}
    with tempfile.TemporaryDirectory(prefix="gameday-guarantee-") as directory:
        workers = [
            threading.Thread(target=_work, args=(Path(directory) / str(n), todo, outcomes))
            for n in range(machines)
        ]
        for worker in workers:
            worker.start()
        for worker in workers:
            worker.join()
        machine = Machine(Path(directory) / "again")
        for (_, death), found in sorted(outcomes.items()):
            if found[0].wrong and not todo.late():
                found.append(_tell(run_cell(machine, found[0].case, death)))
        release = machine.run("basics.py")["release"]
        machine.down()
    took = (clock.mono_ns() - began) / clock.NS_PER_S / 60
    PAGE.write_text(_page(outcomes, release, took, machines), encoding="utf-8")
    broken = [one for found in outcomes.values() for one in found[-1:] if one.wrong]
    missing = len(cells()) - len(outcomes)
    click.echo(f"{len(outcomes)} cells, {len(broken)} broken, {missing} not run, {took:.0f} min")
    sys.exit(1 if broken or missing else 0)


class Todo:
    """Cells that wait; none is handed out once the time is over."""

    def __init__(self, deadline_ns: int) -> None:
        self._deadline_ns = deadline_ns
        self._queue: SimpleQueue[tuple[Case, str]] = SimpleQueue()
        for cell in cells():
            self._queue.put(cell)

    def late(self) -> bool:
        """Whether the time is over."""
        return clock.mono_ns() > self._deadline_ns

    def take(self) -> tuple[Case, str] | None:
        """The next cell; ``None`` where there is none, or no time."""
        with contextlib.suppress(Empty):
            return None if self.late() else self._queue.get_nowait()
        return None


def _work(directory: Path, todo: Todo, outcomes: dict[tuple[str, str], list[Outcome]]) -> None:
    machine = Machine(directory)
    while cell := todo.take():
        outcomes[cell[0].name, cell[1]] = [_tell(run_cell(machine, *cell))]
    machine.down()


def _tell(one: Outcome) -> Outcome:
    click.echo(f"{one.case.name:<24} {one.death:<34} {'; '.join(one.wrong) or _short(one)}")
    return one


def _short(one: Outcome) -> str:
    if one.wrong:
        return "**broken**"
    if one.found["refused"] and not one.found["hit"]:
        return "refused"
    if one.found["ended_s"] is None:
        return "none" if one.case.look == "none" else "never"
    return f"{one.found['ended_s']:+.2f}"


def _page(
    outcomes: dict[tuple[str, str], list[Outcome]], release: str, minutes: float, machines: int
) -> str:
    lines = [HEAD.format(release=release, kernel=KERNEL_LATE_S, process=PROCESS_LATE_S)]
    lines.append("| | dies | |\n|---|---|---|\n")
    letters = {death: chr(ord("A") + i) for i, death in enumerate(DEATHS)}
    lines += [f"| {letters[death]} | {death} | {what} |\n" for death, what in DEATHS.items()]
    lines.append("\n| kind | kept by | " + " | ".join(letters.values()) + " |\n")
    lines.append("|---|---|" + "---|" * len(letters) + "\n")
    for case in CASES:
        shown = [_cell(case, death, outcomes) for death in DEATHS]
        lines.append(f"| {case.name} | {kept(case)} | " + " | ".join(shown) + " |\n")
    lines.append(f"\n{_summary(outcomes, minutes, machines)}\n")
    return "".join(lines)


def _cell(case: Case, death: str, outcomes: dict[tuple[str, str], list[Outcome]]) -> str:
    if (case, death) not in cells():
        return "as above"
    found = outcomes.get((case.name, death))
    return _short(found[-1]) if found else "not run"


def _summary(outcomes: dict[tuple[str, str], list[Outcome]], minutes: float, machines: int) -> str:
    last = [found[-1] for found in outcomes.values()]
    broken = [one for one in last if one.wrong]
    again = [found for found in outcomes.values() if len(found) > 1 and not found[-1].wrong]
    text = (
        f"{len(last)} of {len(cells())} cells run, {len(broken)} broken; {minutes:.0f} min with "
        f"{machines} machines on {os.cpu_count()} cores, {platform.machine()}."
    )
    for one in broken:
        text += f"\n\n- **{one.case.name}, {one.death}**: {'; '.join(one.wrong)}"
    if again:
        text += "\n\nHeld only when run again, alone:\n" + _first_tries(again)
    return text


def _first_tries(again: Sequence[Sequence[Outcome]]) -> str:
    return "".join(
        f"\n- {found[0].case.name}, {found[0].death}: at first {'; '.join(found[0].wrong)}"
        for found in again
    )


if __name__ == "__main__":
    main()
