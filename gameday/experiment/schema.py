# SPDX-License-Identifier: Apache-2.0
"""The JSON Schema (draft 2020-12) of experiments, for editors: ``gameday schema``.

It says everything that one field can say; that names refer to each other is checked by
gameday alone.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from gameday.experiment.load import LIMITS, NEEDS_TARGET
from gameday.experiment.model import Experiment
from gameday.experiment.params import mirror
from gameday.experiment.problems import fail_with
from gameday.experiment.tables import Tables, all_tables

DIALECT = "https://json-schema.org/draft/2020-12/schema"
REF = "#/$defs/{model}"


def experiment_schema(tables: Tables | None = None) -> dict[str, Any]:
    """The schema of a whole experiment, each kind with its own parameters."""
    tables = tables or all_tables()
    schema = Experiment.model_json_schema(by_alias=True, ref_template=REF)
    found: dict[str, Any] = schema["$defs"]
    _by_kind(found, "FaultStep", "kind", tables.faults)
    _by_kind(found, "ProbeStep", "kind", tables.probes)
    _by_kind(found, "Objective", "measure", tables.measures)
    for name, probe in tables.probes.items():
        then = _case(found["ProbeStep"], name)
        if hasattr(probe, "needs_target"):
            continue  # Its parameters decide; gameday alone checks it.
        if probe.fan_out in NEEDS_TARGET:
            then.setdefault("required", []).append("to")
        else:
            then["properties"]["to"] = False
    for name, measure in tables.measures.items():
        then = _case(found["Objective"], name)
        then["properties"] |= {k: False for u, k in LIMITS.items() if u != measure.unit}
    for definition in found.values():
        _drop_null(definition)
    _drop_null(schema)
    return {"$schema": DIALECT, **_untitled(schema)}


def _by_kind(defs: dict[str, Any], step: str, key: str, table: Mapping[str, Any]) -> None:
    """``params`` depends on the kind; a chain of if/then gives editors the right ones."""
    schema = defs[step]
    schema["properties"][key] = {
        "description": schema["properties"][key].get("description", ""),
        "oneOf": [{"const": kind, "description": table[kind].summary} for kind in sorted(table)],
    }
    schema["properties"]["params"] = {"type": "object", "description": "what the kind needs"}
    schema["allOf"] = []
    for kind in sorted(table):
        params = mirror(table[kind].Params).model_json_schema(ref_template=REF)
        for name, definition in params.pop("$defs", {}).items():
            if defs.setdefault(name, definition) != definition:
                fail_with("schema", [f"two parameter types are called {name}"])
        own = f"{step}.{kind}"
        defs[own] = params
        then: dict[str, Any] = {"properties": {"params": {"$ref": REF.format(model=own)}}}
        if params.get("required"):
            then["required"] = ["params"]
        condition = {"properties": {key: {"const": kind}}, "required": [key]}
        schema["allOf"].append({"if": condition, "then": then})


def _case(step: dict[str, Any], kind: str) -> dict[str, Any]:
    for case in step["allOf"]:
        if kind in [condition["const"] for condition in case["if"]["properties"].values()]:
            found: dict[str, Any] = case["then"]
            return found
    raise KeyError(kind)


def _drop_null(schema: dict[str, Any]) -> None:
    """What may be left out must not be given empty: no ``null`` is offered or accepted."""
    for prop in schema.get("properties", {}).values():
        if not isinstance(prop, dict):
            continue
        if prop.get("default", ...) is None:
            prop.pop("default")
        choices = [c for c in prop.get("anyOf", ()) if c != {"type": "null"}]
        if "anyOf" in prop and len(choices) == 1:
            prop.pop("anyOf")
            prop.update(choices[0] if "$ref" not in choices[0] else {"allOf": choices})


def _untitled(item: Any, is_properties: bool = False) -> Any:
    """Without the titles that pydantic derives from names, which editors show as noise."""
    if isinstance(item, dict):
        return {
            name: _untitled(value, name in ("properties", "$defs") and not is_properties)
            for name, value in item.items()
            if is_properties or name != "title" or not isinstance(value, str)
        }
    if isinstance(item, list):
        return [_untitled(value) for value in item]
    return item
