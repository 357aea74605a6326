# SPDX-License-Identifier: Apache-2.0
"""Checking the parameters of a kind: a frozen dataclass on nodes, a pydantic model here.

Kinds travel to nodes, where there is no pydantic, so their parameters are plain
dataclasses. ``mirror`` makes a strict model of one: unknown keys are refused in it and in
what it nests, numbers have bounds by the unit in their name, text is never empty.
"""

from __future__ import annotations

import dataclasses
import re
import types
from collections.abc import Mapping
from functools import cache
from typing import Annotated, Any, Literal, Union, get_args, get_origin, get_type_hints

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    WithJsonSchema,
    create_model,
    model_validator,
)

from gameday.experiment import limits
from gameday.faults.base import Selector

DAY_S = 86_400

UNIT_BOUNDS: Mapping[str, tuple[int, int]] = {
    "_ms": (0, limits.LIMIT_MS_MAX),
    "_s": (0, DAY_S),
    "_percent": (0, 100),
    "_ppm": (0, 1_000_000),
    "port": (1, 65_535),
}
"""Bounds of an integer by how its name ends; a dataclass field's metadata ``ge``/``le`` wins."""

UNIT_WORDS: Mapping[str, str] = {
    "_ms": "milliseconds",
    "_s": "seconds",
    "_percent": "percent",
    "_ppm": "millionths",
    "_us": "microseconds",
    "_bytes": "bytes",
    "_mib": "mebibytes",
    "_kbit": "kilobits per second",
    "_mbit": "megabits per second",
}

NAMES_SCHEMA = {
    "anyOf": [
        {"type": "string", "minLength": 1, "maxLength": limits.NAME_MAX},
        {
            "type": "array",
            "items": {"type": "string", "minLength": 1, "maxLength": limits.NAME_MAX},
            "minItems": 1,
            "maxItems": limits.NAMES_MAX,
        },
    ]
}


class Strict(BaseModel):
    """Refuses unknown keys and never converts one type into another; cannot be changed."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, populate_by_name=True)


class _Selecting(Strict):
    """Base of the selector's model: an empty selector would silently mean every node."""

    model_config = ConfigDict(json_schema_extra={"minProperties": 1})

    @model_validator(mode="after")
    def _not_empty(self) -> _Selecting:
        if not any(getattr(self, name) for name in type(self).model_fields):
            raise ValueError("selects nothing; give site, rack, role, node or group")
        return self


def _as_tuple(value: Any) -> Any:
    if isinstance(value, str):
        return (value,)
    return tuple(value) if isinstance(value, list) else value


Name = Annotated[str, Field(min_length=1, max_length=limits.NAME_MAX)]
OneOrMany = Annotated[
    tuple[Name, ...],
    Field(min_length=1, max_length=limits.NAMES_MAX),
    BeforeValidator(_as_tuple),
    WithJsonSchema(NAMES_SCHEMA),
]


def bounds(name: str, metadata: Mapping[Any, Any] | None = None) -> tuple[int, int]:
    """Smallest and largest allowed value of an integer field, by the unit in its name."""
    low, high = 0, limits.COUNT_MAX
    for suffix, found in UNIT_BOUNDS.items():
        if name.endswith(suffix):
            low, high = found
            break
    given = metadata or {}
    return int(given.get("ge", low)), int(given.get("le", high))


def unit_word(name: object) -> str:
    """``milliseconds`` for ``period_ms``; empty where the name has no unit."""
    for suffix, word in UNIT_WORDS.items():
        if str(name).endswith(suffix):
            return word
    return ""


@cache
def mirror(kind: type) -> type[Strict]:
    """The strict model of a parameters dataclass; fields keep their names as aliases.

    A field named ``from_`` is ``from`` in YAML.
    """
    hints = get_type_hints(kind, include_extras=True)
    texts = attribute_texts(kind.__doc__ or "")
    found: dict[str, Any] = {}
    for field in dataclasses.fields(kind):
        if not field.init:
            continue
        required = field.default is field.default_factory is dataclasses.MISSING
        extra: dict[str, Any] = {"alias": field.name.rstrip("_")}
        if text := texts.get(field.name):
            extra["description"] = text
        if field.default is not dataclasses.MISSING:
            extra["default"] = field.default
        elif field.default_factory is not dataclasses.MISSING:
            extra["default_factory"] = field.default_factory
        metadata = dict(field.metadata)
        if field.default == "":
            metadata["min_length"] = 0  # Given as "", it says the same as left out.
        wanted = _annotation(hints[field.name], field.name, metadata, kind, required)
        # The prefix keeps a parameter called "copy" or "json" clear of pydantic's own names.
        found[f"p_{field.name}"] = (wanted, Field(**extra))
    base = _Selecting if kind is Selector else Strict
    name = kind.__name__ if kind is Selector else f"{kind.__module__.rpartition('.')[2]}_params"
    doc = (kind.__doc__ or "").strip().split("\n\n")[0]
    return create_model(name, __base__=base, __doc__=doc, **found)


def _annotation(  # noqa: PLR0911 - one answer per kind of type
    hint: Any, name: str, metadata: Mapping[Any, Any], owner: type, required: bool
) -> Any:
    origin, args = get_origin(hint), get_args(hint)
    if owner is Selector:
        return OneOrMany
    if dataclasses.is_dataclass(hint) and isinstance(hint, type):
        return mirror(hint)
    if hint is int:
        low, high = bounds(name, metadata)
        return Annotated[int, Field(ge=low, le=high)]
    if hint is str:
        least, pattern = metadata.get("min_length", 1), metadata.get("pattern")
        return Annotated[
            str, Field(min_length=least, max_length=limits.TEXT_MAX, pattern=pattern)
        ]  # fmt: skip
    if origin is Annotated:
        return hint
    if origin in (Union, types.UnionType) and type(None) in args:
        rest = next(arg for arg in args if arg is not type(None))
        return _annotation(rest, name, metadata, owner, required) | None
    if origin is tuple:
        item = _annotation(args[0], name, metadata, owner, required)
        least = 1 if required else 0
        many: Any = tuple.__class_getitem__((item, ...))
        return Annotated[many, Field(min_length=least, max_length=limits.NAMES_MAX)]
    if origin is not None and origin is not Literal and issubclass(origin, Mapping):
        value = _annotation(args[1], name, metadata, owner, required)
        mapping: Any = dict.__class_getitem__((str, value))
        return Annotated[mapping, Field(max_length=limits.NAMES_MAX)]
    return hint


def to_dataclass(kind: Any, model: Any) -> Any:
    """The dataclass (or tuple of them) that a mirrored model stands for.

    Raises:
        ValueError: where the dataclass itself refuses its values.
    """
    if isinstance(model, tuple) and get_args(kind):
        return tuple(to_dataclass(_inner(get_args(kind)[0]), item) for item in model)
    if not isinstance(model, BaseModel):
        return model
    hints = get_type_hints(kind)
    values = {}
    for field in dataclasses.fields(kind):
        if field.init:
            value = getattr(model, f"p_{field.name}")
            values[field.name] = to_dataclass(_inner(hints[field.name]), value)
    return kind(**values)


def _inner(hint: Any) -> Any:
    if get_origin(hint) is tuple:
        return hint
    return next((arg for arg in get_args(hint) if dataclasses.is_dataclass(arg)), hint)


def to_selector(model: Any) -> Selector:
    """The selector that its checked model stands for."""
    found = to_dataclass(Selector, model)
    return found  # type: ignore[no-any-return]


def plain(item: Any) -> Any:
    """A model, dataclass or value as JSON; keys as in YAML, what was left out is left out."""
    if isinstance(item, BaseModel):
        fields = type(item).model_fields
        found = {(field.alias or name): getattr(item, name) for name, field in fields.items()}
        return {name: plain(value) for name, value in found.items() if value is not None}
    if isinstance(item, Selector):
        pairs = ((f.name, getattr(item, f.name)) for f in dataclasses.fields(item))
        return {name: list(value) for name, value in pairs if value}
    if dataclasses.is_dataclass(item) and not isinstance(item, type):
        pairs = ((f.name.rstrip("_"), getattr(item, f.name)) for f in dataclasses.fields(item))
        return {name: plain(value) for name, value in pairs if value is not None}
    if isinstance(item, Mapping):
        return {str(name): plain(value) for name, value in item.items()}
    if isinstance(item, (list, tuple)):
        return [plain(value) for value in item]
    return item


def attribute_texts(doc: str) -> dict[str, str]:
    """Per attribute, what a docstring's ``Attributes:`` section says of it."""
    _, _, section = doc.partition("Attributes:")
    found: dict[str, str] = {}
    name = "[a-z_][a-z0-9_]*"
    for part in re.split(rf"(?:\n|\. )\s*(?={name}(?:, {name})*: )", section):
        names, colon, text = part.strip().partition(": ")
        if colon:
            words = " ".join(text.split("\n\n")[0].split())
            found.update({name.strip(): words.rstrip(".") for name in names.split(",")})
    return found


SelectorModel = mirror(Selector)
