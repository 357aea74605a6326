# SPDX-License-Identifier: Apache-2.0
"""Whether every name in an experiment is a name of the inventory."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from typing import Any

from gameday.experiment.document import Positions
from gameday.experiment.model import Experiment
from gameday.experiment.problems import Path_, Problem, Problems, nearest
from gameday.faults.base import CONTROLLER, Selector
from gameday.plan.estate import Inventory

SECTIONS = ("faults", "probes", "objectives")


def check_names(
    experiment: Experiment, positions: Positions, inventory: Inventory, problems: Problems
) -> None:
    """Add a problem for each unknown site, rack, role, node or group, with the nearest name."""
    for path, selector in selectors_of(experiment):
        known = len(list(problems))
        for field, names in inventory.names.items():
            wanted = getattr(selector, field)
            for index, name in enumerate(wanted):
                # A probe may run on the controller's own host; no fault is put there by name.
                if name not in names and not (name == CONTROLLER and path[-1] == "from"):
                    here = (*path, field, index) if len(wanted) > 1 else (*path, field)
                    what = f"the inventory has no {field} called {name}"
                    add(problems, positions, here, what, nearest(name, names))
        if len(list(problems)) == known and not inventory.vantages(selector):
            what = "selects no node: none matches all that is given"
            add(problems, positions, path, what, "look at the inventory, or give less")
    for path, kind, name in _plain_names(experiment):
        valid = _valid(inventory, kind)
        if name not in valid:
            what = f"the inventory has no {kind} called {name}"
            add(problems, positions, path, what, nearest(name, valid))


def selectors_of(experiment: Experiment) -> Iterator[tuple[Path_, Selector]]:
    """Every selector of an experiment with its field path, in kinds' parameters too."""
    for index, probe in enumerate(experiment.probes):
        yield ("probes", index, "from"), probe.vantage
        if probe.to is not None:
            yield ("probes", index, "to"), probe.to
    for path, params in _all_params(experiment):
        for name, value in own_selectors(params):
            yield (*path, name), value


def own_selectors(params: Any) -> list[tuple[str, Selector]]:
    """(name, selector) of a kind's parameters that are selectors."""
    pairs = [(f.name.rstrip("_"), getattr(params, f.name)) for f in dataclasses.fields(params)]
    return [(name, value) for name, value in pairs if isinstance(value, Selector)]


def _all_params(experiment: Experiment) -> Iterator[tuple[Path_, Any]]:
    for section in SECTIONS:
        for index, step in enumerate(getattr(experiment, section)):
            yield (section, index, "params"), step.params


def _plain_names(experiment: Experiment) -> Iterator[tuple[Path_, str, str]]:
    """(field path, kind of name, name) of parameters that name one thing of the inventory."""
    for index, name in enumerate(experiment.accept_quorum_loss):
        yield ("accept_quorum_loss", index), "Raft group", name
    for path, params in _all_params(experiment):
        if path[0] != "objectives":
            continue
        for field, kind in (("site", "site"), ("group", "Raft group"), ("members", "node")):
            value = getattr(params, field, None)
            if isinstance(value, str) and value:
                yield (*path, field), kind, value
            elif isinstance(value, tuple):
                yield from (((*path, field, i), kind, str(v)) for i, v in enumerate(value))


def _valid(inventory: Inventory, kind: str) -> frozenset[str]:
    if kind == "Raft group":
        return frozenset(group.name for group in inventory.raft_groups)
    return inventory.names[kind]


def add(problems: Problems, positions: Positions, path: Path_, what: str, todo: str) -> None:
    """Take note of a problem at a field path of the experiment."""
    line, column = positions.of(path)
    problems.add(Problem(line, column, path, what, todo))
