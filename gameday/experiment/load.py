# SPDX-License-Identifier: Apache-2.0
"""An experiment's file to a frozen ``Experiment``, or every mistake in it at once."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeGuard, cast

from gameday.errors import InvalidInput, require
from gameday.experiment import limits
from gameday.experiment.document import Document, Positions, parse_document, read_document
from gameday.experiment.messages import check_model
from gameday.experiment.model import Experiment
from gameday.experiment.params import mirror, to_dataclass
from gameday.experiment.problems import Path_, Problem, Problems, nearest
from gameday.experiment.tables import Tables, all_tables
from gameday.experiment.traces import with_trace

LIMITS = {"ns": "at_most_ms", "ppm": "at_most_percent", "count": "at_most"}
"""Which limit an objective takes, by the unit of its measurement."""

NEEDS_TARGET = ("each", "all", "mesh")
UNNAMED = (None, "")


@dataclass(frozen=True)
class Loaded:
    """An experiment with where each of its fields stands, for messages about it."""

    experiment: Experiment
    positions: Positions


def load_experiment(path: Path, tables: Tables | None = None) -> Loaded:
    """Read and check an experiment's file.

    Raises:
        InvalidInput: with every mistake found, each with file, line, column and field path.
    """
    return _check(read_document(path), tables or all_tables())


def parse_experiment(text: str, file: str, tables: Tables | None = None) -> Loaded:
    """As ``load_experiment``, from text; ``file`` is what messages call it.

    Raises:
        InvalidInput: with every mistake found.
    """
    return _check(parse_document(text, file), tables or all_tables())


def experiment_from_json(data: Mapping[str, Any], tables: Tables | None = None) -> Experiment:
    """The inverse of ``Experiment.to_json``.

    Raises:
        InvalidInput: where ``data`` is not an experiment.
    """
    document = Document(dict(data), Positions("plan.json"), Problems("plan.json"))
    return _check(document, tables or all_tables()).experiment


def _check(document: Document, tables: Tables) -> Loaded:
    _report_empty_values(document.data, (), document)
    model = check_model(Experiment, document.data, (), document)
    data = document.data if isinstance(document.data, dict) else {}
    params = {
        "faults": _check_params(document, "faults", "kind", tables.faults),
        "probes": _check_params(document, "probes", "kind", tables.probes),
        "objectives": _check_params(document, "objectives", "measure", tables.measures),
    }
    for section in ("faults", "probes", "objectives", "abort"):
        _check_unique(document, section)
    _check_probe_names(document)
    _check_fault_names(document)
    _check_targets(document, tables)
    _check_limits(document, tables)
    _check_times(document, data)
    document.problems.raise_if_any()
    require(isinstance(model, Experiment), "a refused experiment has a problem to report")
    model = cast(Experiment, model)
    return Loaded(_with_params(model, params), document.positions)


def _with_params(model: Experiment, params: Mapping[str, list[Any]]) -> Experiment:
    """The checked experiment with each kind's own parameters and defaults in place."""
    update: dict[str, Any] = {}
    for section, found in params.items():
        steps = []
        for step, own in zip(getattr(model, section), found, strict=True):
            change: dict[str, Any] = {"params": own}
            if section == "probes":
                change["timeout_ms"] = step.timeout_ms or step.period_ms
            steps.append(step.model_copy(update=change))
        update[section] = tuple(steps)
    return model.model_copy(update=update)


def _items(document: Document, section: str) -> Iterable[tuple[Path_, dict[str, Any]]]:
    """The entries of a section that are mappings at all, with their field paths."""
    data = document.data if isinstance(document.data, dict) else {}
    found = data.get(section)
    if isinstance(found, list):
        for index, item in enumerate(found):
            if isinstance(item, dict):
                yield (section, index), item


def _report_empty_values(data: Any, path: Path_, document: Document) -> None:
    if data is None and path:
        _add(document, path, "has no value", "give it one, or remove the key")
    elif isinstance(data, dict):
        for name, value in data.items():
            _report_empty_values(value, (*path, name), document)
    elif isinstance(data, list):
        for index, value in enumerate(data):
            _report_empty_values(value, (*path, index), document)


def _check_params(
    document: Document, section: str, key: str, table: Mapping[str, Any]
) -> list[Any]:
    found: list[Any] = []
    for path, item in _items(document, section):
        found.append(None)
        name = item.get(key)
        if not isinstance(name, str):
            continue
        if name not in table:
            noun = {"faults": "fault", "probes": "probe"}.get(section, "measurement")
            _add(document, (*path, key), f"{name} is no kind of {noun}", nearest(name, table))
            continue
        found[-1] = _own_params(document, (*path, "params"), item, table[name].Params)
    return found


def _own_params(document: Document, path: Path_, item: Mapping[str, Any], kind: type) -> Any:
    model = check_model(mirror(kind), item.get("params", {}), path, document)
    if model is None:
        return None
    try:
        return with_trace(to_dataclass(kind, model), Path(document.positions.file).parent)
    except ValueError as error:
        _add(document, path, str(error), "")
    except InvalidInput as error:
        _add(document, (*path, "trace_file"), error.message, error.hint or "")
    return None


def _check_unique(document: Document, section: str) -> None:
    first: dict[str, Path_] = {}
    for path, item in _items(document, section):
        name = item.get("name")
        if not isinstance(name, str) or not name:
            continue
        here = (*path, "name")
        if name in first:
            line, _ = document.positions.of(first[name])
            _add(document, here, f"{name} is there already, in line {line}", "choose another name")
        first.setdefault(name, here)


def _names(document: Document, section: str) -> list[str]:
    found = (item.get("name") for _, item in _items(document, section))
    return [name for name in found if isinstance(name, str) and name]


def _check_probe_names(document: Document) -> None:
    data = document.data if isinstance(document.data, dict) else {}
    steady = data.get("steady_state")
    probes = _names(document, "probes")
    places: list[tuple[Path_, Mapping[str, Any]]] = list(_items(document, "abort"))
    seen: set[str] = set()
    checks = steady.get("checks") if isinstance(steady, dict) else None
    for index, check in enumerate(checks if isinstance(checks, list) else ()):
        if not isinstance(check, dict):
            continue
        path: Path_ = ("steady_state", "checks", index)
        places.append((path, check))
        name = check.get("probe")
        if isinstance(name, str) and name in seen:
            _add(document, (*path, "probe"), f"{name} is checked twice", "keep one of them")
        seen.add(str(name))
    places += _params_of(document, "objectives")
    places += _detectors_of(document)
    for path, item in places:
        _known(document, path, item, "probe", probes)


def _check_fault_names(document: Document) -> None:
    faults = _names(document, "faults")
    for path, item in _params_of(document, "objectives"):
        _known(document, path, item, "fault", faults)


def _params_of(document: Document, section: str) -> list[tuple[Path_, Mapping[str, Any]]]:
    return [
        ((*path, "params"), item["params"])
        for path, item in _items(document, section)
        if isinstance(item.get("params"), dict)
    ]


def _detectors_of(document: Document) -> list[tuple[Path_, Mapping[str, Any]]]:
    """Where objectives list probes, each with what it is asked for."""
    return [
        ((*path, "detectors", index), one)
        for path, params in _params_of(document, "objectives")
        if isinstance(params.get("detectors"), list)
        for index, one in enumerate(params["detectors"])
        if isinstance(one, dict)
    ]


def _known(
    document: Document, path: Path_, item: Mapping[str, Any], key: str, names: list[str]
) -> None:
    name = item.get(key)
    if isinstance(name, str) and name and name not in names:
        what = f"this experiment has no {key} called {name}"
        _add(document, (*path, key), what, nearest(name, names))


def _check_targets(document: Document, tables: Tables) -> None:
    for path, item in _items(document, "probes"):
        kind = tables.probes.get(str(item.get("kind")))
        if kind is None:
            continue
        needed = _needs_target(kind, item.get("params"))
        if needed and "to" not in item:
            what = f"has no `to`, and {kind.kind} looks at other nodes"
            _add(document, path, what, "add to: with the nodes that it looks at")
        if not needed and "to" in item:
            which = "which looks from its own node"
            if kind.fan_out in NEEDS_TARGET:
                which = "whose parameters say whom to ask"
            what = f"is not used by {kind.kind}, {which}"
            _add(document, (*path, "to"), what, "remove it", key=True)


def _needs_target(kind: Any, params: Any) -> bool:
    """Whether the probe looks at nodes that ``to`` selects; some kinds' parameters decide it."""
    own = getattr(kind, "needs_target", None)
    if own is None or not isinstance(params, dict):
        return kind.fan_out in NEEDS_TARGET
    return bool(own(params))


def _check_limits(document: Document, tables: Tables) -> None:
    for path, item in _items(document, "objectives"):
        given = [key for key in LIMITS.values() if key in item]
        for extra in given[1:]:
            what = f"stands beside {given[0]}; an objective has one limit"
            _add(document, (*path, extra), what, "remove one of them", key=True)
        kind = tables.measures.get(str(item.get("measure")))
        if kind is None or len(given) != 1:
            continue
        wanted = LIMITS[kind.unit]
        if given[0] != wanted:
            what = f"does not fit {kind.kind}, which is measured in {_unit(kind.unit)}"
            _add(document, (*path, given[0]), what, f"use {wanted}", key=True)


def _unit(unit: str) -> str:
    return {"ns": "time", "ppm": "percent", "count": "numbers"}[unit]


def _check_times(document: Document, data: Mapping[str, Any]) -> None:
    """A probe must look often enough for what is asked of it, and not too often in all."""
    periods = {
        str(item.get("name")): item["period_ms"]
        for _, item in _items(document, "probes")
        if _is_whole(item.get("period_ms"))
    }
    steady = data.get("steady_state")
    steady = steady if isinstance(steady, dict) else {}
    checks = steady.get("checks")
    for index, check in enumerate(checks if isinstance(checks, list) else ()):
        period = periods.get(str(check.get("probe"))) if isinstance(check, dict) else None
        if period and _is_whole(steady.get("for_s")) and steady["for_s"] * 1000 < period:
            what = f"looks every {period} ms, more seldom than steady state lasts"
            path: Path_ = ("steady_state", "checks", index, "probe")
            _add(document, path, what, "watch longer or look more often")
    for path, item in _items(document, "abort"):
        period, longest = periods.get(str(item.get("probe"))), item.get("failed_for_s")
        if period and _is_whole(longest) and longest * 1000 < period:
            what = f"is shorter than the probe's period of {period} ms"
            _add(document, (*path, "failed_for_s"), what, "use a longer time")
    ends = [
        item["at_s"] + item["for_s"]
        for _, item in _items(document, "faults")
        if _is_whole(item.get("at_s")) and _is_whole(item.get("for_s"))
    ]
    rest = [value for value in (steady.get("for_s"), data.get("recover_s")) if _is_whole(value)]
    if ends:
        _check_counts(document, max(ends) + sum(rest))


def _check_counts(document: Document, total_s: int) -> None:
    for path, item in _items(document, "probes"):
        period = item.get("period_ms")
        if _is_whole(period) and period > 0 and total_s * 1000 // period > limits.SAMPLES_MAX:
            what = f"would make {total_s * 1000 // period} looks, above {limits.SAMPLES_MAX}"
            _add(document, (*path, "period_ms"), what, "look less often")


def _is_whole(value: Any) -> TypeGuard[int]:
    return isinstance(value, int) and not isinstance(value, bool)


def _add(document: Document, path: Path_, what: str, todo: str, key: bool = False) -> None:
    if document.problems.at_or_above(path):
        return
    line, column = document.positions.of(path, key)
    document.problems.add(Problem(line, column, path, what, todo))
