# SPDX-License-Identifier: Apache-2.0
"""Run cells of the matrix in a machine, from outside."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from gameday.transport.package import agent_package
from tests.guarantee.matrix import Case, problems
from tests.uml.harness import JobFailed, Machine, MachineFailed

CELL_TIMEOUT_S = 150
"""A cell takes 14 s; the first of a machine unpacks and compiles the agent before."""


@dataclass(frozen=True)
class Outcome:
    """What became of a cell: numbers, and what of it broke the guarantee."""

    case: Case
    death: str
    found: dict[str, Any]
    wrong: tuple[str, ...]


def run_cell(machine: Machine, case: Case, death: str) -> Outcome:
    """One cell; a cell that could not be carried out is a broken one, with the reason."""
    machine.up()
    package = machine.share / "agent.pyz"
    if not package.exists():
        package.write_bytes(agent_package().content)
    arguments = {"case": case.name, "death": death, "package": str(package)}
    try:
        found = machine.run("tests/guarantee/cell.py", arguments, timeout_s=CELL_TIMEOUT_S)
    except (JobFailed, MachineFailed) as error:
        return Outcome(case, death, {}, (f"not carried out: {str(error)[-600:]}",))
    return Outcome(case, death, found, tuple(problems(case, death, found)))
