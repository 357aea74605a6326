# SPDX-License-Identifier: Apache-2.0
"""What a checked model found wrong, in words for the person who wrote the file."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, get_args

from pydantic import BaseModel, ValidationError

from gameday.experiment.document import Document
from gameday.experiment.params import unit_word
from gameday.experiment.problems import Path_, Problem, nearest

SHOWN_MAX = 40
"""Characters of a wrong value that are shown back."""

Sayings = Mapping[str, str]


def check_model(
    model: type[BaseModel], data: Any, prefix: Path_, document: Document
) -> BaseModel | None:
    """Check ``data``, found at field path ``prefix``; mistakes go to the document's problems."""
    try:
        # As JSON, so that lists fit tuples although nothing else is converted.
        return model.model_validate_json(json.dumps(data))
    except ValidationError as error:
        for found in error.errors(include_url=False):
            _add(model, found, prefix, document)
        return None


def _add(model: type[BaseModel], found: Any, prefix: Path_, document: Document) -> None:
    loc: Path_ = tuple(found["loc"])
    path = prefix + loc
    if document.problems.at_or_above(path):
        return
    if found["type"] == "too_short" and len(found["input"]) >= found["ctx"]["min_length"]:
        return  # Entries are there, but wrong; each is reported by itself.
    unknown_key = found["type"] == "extra_forbidden"
    line, column = document.positions.of(path, key=unknown_key)
    what, todo = say(found, loc, model)
    document.problems.add(Problem(line, column, path, what, todo))


def say(  # noqa: PLR0911 - one answer per kind of mistake
    found: Mapping[str, Any], loc: Path_, model: type[BaseModel]
) -> tuple[str, str]:
    """(what is wrong, what to do) for one finding of pydantic's."""
    kind, ctx, given = found["type"], found.get("ctx", {}), found.get("input")
    name = loc[-1] if loc else ""
    if kind == "missing":
        return "is missing", _add_it(model, loc)
    if kind == "extra_forbidden":
        names = _keys_at(model, loc[:-1])
        return "is not a key that is known here", nearest(name, names)
    if given is None:
        return "has no value", "give it one, or remove the key"
    if kind in ("int_type", "int_from_float", "int_parsing", "int_parsing_size"):
        unit = unit_word(name)
        of_unit = f" of {unit}" if unit else ""
        return f"must be a whole number{of_unit}, not {_shown(given)}", _number_hint(given)
    if kind == "literal_error":
        wanted = _literals(model, loc)
        return f"cannot be {_shown(given)}", nearest(given, wanted)
    if kind == "value_error":
        what, _, todo = str(ctx.get("error", "is not valid")).partition("; ")
        return what, todo
    return _say_type(kind, given) or _say_limit(kind, ctx, given) or (
        f"cannot be {_shown(given)}", "see `gameday schema`"
    )  # fmt: skip


def _say_type(kind: str, given: Any) -> tuple[str, str] | None:
    wanted = {
        "string_type": ("text", 'put it in quotes, as in "on"'),
        "bool_type": ("true or false", ""),
        "tuple_type": ("a list", "start each entry with a dash"),
        "list_type": ("a list", "start each entry with a dash"),
        "dict_type": ("a mapping", "write key: value pairs"),
        "model_type": ("a mapping", "write key: value pairs"),
        "model_attributes_type": ("a mapping", "write key: value pairs"),
        "dataclass_type": ("a mapping", "write key: value pairs"),
        "float_type": ("a number", ""),
    }.get(kind)
    if wanted is None:
        return None
    noun, todo = wanted
    if kind == "string_type" and isinstance(given, (dict, list)):
        todo = ""
    return f"must be {noun}, not {_shown(given)}", todo


def _say_limit(  # noqa: PLR0911 - one answer per kind of mistake
    kind: str, ctx: Mapping[str, Any], given: Any
) -> tuple[str, str] | None:
    if kind == "greater_than_equal":
        return f"is {_shown(given)}, below the least allowed", f"use {ctx['ge']} or more"
    if kind == "less_than_equal":
        return f"is {_shown(given)}, above the most allowed", f"use {ctx['le']} or less"
    if kind == "string_too_short":
        return "is empty text", "write something"
    if kind == "string_too_long":
        return "is too long", f"use {ctx['max_length']} characters or fewer"
    if kind == "too_short":
        return "is an empty list", f"give {ctx['min_length']} or more"
    if kind == "too_long":
        return "has too many entries", f"use {ctx['max_length']} or fewer"
    if kind == "string_pattern_mismatch":
        if "https?" in ctx["pattern"]:
            return f"is {_shown(given)}, not a web address", "start it with https://"
        return (
            f"is {_shown(given)}, not a short name",
            "use lower-case letters, digits, '-', '.' and '_', as in cut-frankfurt",
        )
    return None


def _number_hint(given: Any) -> str:
    if isinstance(given, str) and given.lstrip("-").isdigit():
        return "remove the quotes"
    if isinstance(given, float):
        return "round it"
    return ""


def _shown(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, dict):
        return "a mapping"
    if isinstance(value, (list, tuple)):
        return "a list"
    if isinstance(value, str):
        cut = value if len(value) <= SHOWN_MAX else value[:SHOWN_MAX] + "..."
        return json.dumps(cut, ensure_ascii=False)
    return str(value)[:SHOWN_MAX]


def _add_it(model: type[BaseModel], loc: Path_) -> str:
    holder = _model_at(model, loc[:-1])
    for name, field in holder.model_fields.items() if holder else ():
        if (field.alias or name) == loc[-1] and field.description:
            return f"add {loc[-1]}: {field.description}"
    return f"add {loc[-1]}"


def _keys_at(model: type[BaseModel], loc: Path_) -> list[str]:
    holder = _model_at(model, loc)
    if holder is None:
        return []
    return [field.alias or name for name, field in holder.model_fields.items()]


def _model_at(model: type[BaseModel], loc: Path_) -> type[BaseModel] | None:
    """The model that describes the mapping at ``loc``; ``None`` where there is none."""
    here: Any = model
    for part in loc:
        if isinstance(part, int):
            continue
        fields = getattr(here, "model_fields", {})
        field = next((f for n, f in fields.items() if (f.alias or n) == part), None)
        if field is None:
            return None
        here = _inner_model(field.annotation)
    return here if isinstance(here, type) and issubclass(here, BaseModel) else None


def _inner_model(annotation: Any) -> Any:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    return next((m for arg in get_args(annotation) if (m := _inner_model(arg))), None)


def _literals(model: type[BaseModel], loc: Path_) -> tuple[Any, ...]:
    holder = _model_at(model, loc[:-1])
    for name, field in holder.model_fields.items() if holder else ():
        if (field.alias or name) == loc[-1]:
            return _flat(field.annotation)
    return ()


def _flat(annotation: Any) -> tuple[Any, ...]:
    args = get_args(annotation)
    if not args:
        return ()
    found: list[Any] = []
    for arg in args:
        found += _flat(arg) or ([arg] if not isinstance(arg, type) and arg is not ... else [])
    return tuple(found)
