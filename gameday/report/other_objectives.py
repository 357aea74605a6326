# SPDX-License-Identifier: Apache-2.0
"""An old record under another experiment's objectives: what if we had asked for this? Pure.

The plan that was run and signed stays what it was, and every output says that these objectives
are not in it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from gameday.errors import InvalidInput
from gameday.experiment import load_experiment
from gameday.experiment.model import Experiment
from gameday.measures.words import names
from gameday.record.record import Record
from gameday.report.build import build_report


def report_with(record: Record, path: Path) -> dict[str, Any]:
    """The report of a run judged by the objectives of the experiment in a file.

    Raises:
        InvalidInput: where the file is no experiment, or has no objectives.
        EvidenceError: as ``build_report``.
    """
    experiment = load_experiment(path).experiment
    if not experiment.objectives:
        raise InvalidInput(f"{path} has no objectives", "add some, or leave out --experiment")
    objectives = experiment.to_json()["objectives"]
    asked = {**record.plan["experiment"], "objectives": objectives}
    other = Record({**record.plan, "experiment": asked}, record.events, record.samples)
    return {
        **build_report(other),
        "objectives_from": {
            "file": path.name,
            "sha256": hashlib.sha256(path.read_bytes()).hexdigest(),
            "experiment": experiment.metadata.name,
            "differs": differences(record.plan, experiment),
        },
    }


def differences(plan: Mapping[str, Any], experiment: Experiment) -> list[str]:
    """Where the file speaks of faults and probes that the run had otherwise, or had not."""
    found = []
    for word, steps in (("fault", experiment.faults), ("probe", experiment.probes)):
        had = {entry["name"]: entry["kind"] for entry in plan[f"{word}s"]}
        absent = [step.name for step in steps if step.name not in had]
        if absent:
            found.append(f"the run had no {word} {names(absent)}")
        for step in steps:
            if step.name in had and had[step.name] != step.kind:
                found.append(f"{word} {step.name} was {had[step.name]} in the run, not {step.kind}")
    return found
