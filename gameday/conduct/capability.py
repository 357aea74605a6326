# SPDX-License-Identifier: Apache-2.0
"""What can be broken: the kinds of faults with their parameters, and which nodes can have which."""

from __future__ import annotations

import dataclasses
import importlib.util
import types
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

from gameday.conduct.fleet import Fleet
from gameday.errors import GamedayError
from gameday.experiment.limits import COUNT_MAX
from gameday.experiment.params import attribute_texts, bounds, unit_word
from gameday.faults import TABLE
from gameday.faults.base import Facts, Fault, KernelKept, ProcessKept, Selector
from gameday.record.types import from_json
from gameday.transport.agent import Agent


@dataclass(frozen=True)
class Parameter:
    """One parameter of a kind.

    Attributes:
        name: as in YAML; parts of a nested one are joined by dots.
        type: "integer", "text", "selector", "true or false", "mapping", each maybe "list of".
        unit: "milliseconds"; empty where it has none.
        bounds: smallest and largest of an integer. choices: allowed words.
        default: JSON; None where there is none. required: whether it must be given.
        text: what it means.
    """

    name: str
    type: str
    unit: str
    bounds: tuple[int, int] | None
    choices: tuple[str, ...]
    default: Any
    required: bool
    text: str


@dataclass(frozen=True)
class Kind:
    """One kind of fault.

    Attributes:
        keeper: who ends its window on the node: "kernel", "process", or "kernel or process"
            where that depends on the parameters.
    """

    kind: str
    summary: str
    keeper: str
    parameters: tuple[Parameter, ...]


@dataclass(frozen=True)
class Ability:
    """What one node can have.

    Attributes:
        kernel, python: versions. iptables: its back end.
        reasons: kind to why it is not available, with what helps; others are available.
    """

    kernel: str
    python: str
    iptables: str
    reasons: Mapping[str, str]


def catalogue(table: Mapping[str, Fault] = TABLE) -> tuple[Kind, ...]:
    """Every kind with its parameters."""
    return tuple(
        Kind(kind, fault.summary, _keeper(fault), tuple(_parameters(fault.Params)))
        for kind, fault in sorted(table.items())
    )


def check(
    fleet: Fleet,
    with_bmc: Collection[str] = (),
    with_cluster: Collection[str] = (),
    table: Mapping[str, Fault] = TABLE,
) -> tuple[dict[str, Ability], dict[str, GamedayError]]:
    """Ask every node what it has; returns (abilities, errors), each by node. Changes nothing.

    Args:
        fleet: of the nodes. with_bmc: those whose power this host can take by Redfish.
        with_cluster: those whose site has a Kubernetes cluster. table: kinds.
    """
    redfish, library = redfish_missing(), kubernetes_missing()
    apart = [kind for kind, fault in table.items() if fault.apart]

    def ask(node: str, agent: Agent) -> Ability:
        found = ability(from_json(Facts, agent.call("facts")), table)
        # What this host asks an API server for does not depend on the node's own abilities.
        why = library if node in with_cluster else NO_CLUSTER
        reasons = {kind: text for kind, text in found.reasons.items() if kind not in apart}
        found = replace(found, reasons={**reasons, **(dict.fromkeys(apart, why) if why else {})})
        if node not in with_bmc or "power" not in found.reasons:
            return found
        reasons = {kind: why for kind, why in found.reasons.items() if kind != "power"}
        return replace(found, reasons={**reasons, **({"power": redfish} if redfish else {})})

    return fleet.each(fleet.agents, ask)


NO_CLUSTER = "its site has no cluster in the inventory; set gameday_kubeconfig and gameday_context"


def kubernetes_missing() -> str:
    """Why this host cannot ask API servers, and what helps; "" where it can."""
    if importlib.util.find_spec("kubernetes") is not None:
        return ""
    return "the library kubernetes is not installed on this host; install gameday[kubernetes]"


def redfish_missing() -> str:
    """Why this host cannot reach BMCs, and what helps; "" where it can."""
    if importlib.util.find_spec("sushy") is not None:
        return ""
    return "the library sushy is not installed on this host; install gameday[power]"


def ability(facts: Facts, table: Mapping[str, Fault] = TABLE) -> Ability:
    """Which kinds a node can have, by what it found out about itself. Pure."""
    reasons = {}
    for kind, fault in table.items():
        reason = None if facts.root else "the agent does not run as root; allow sudo -n for it"
        reason = reason or facts.missing.get("ledger") or fault.available(facts)
        if reason:
            reasons[kind] = reason
    return Ability(facts.kernel, facts.python, facts.iptables, reasons)


def _keeper(fault: Fault) -> str:
    own = getattr(type(fault), "kept_by", None)
    if own is KernelKept.kept_by:
        return "kernel"
    return "process" if own is ProcessKept.kept_by else "kernel or process"


def _parameters(params: type, prefix: str = "") -> Iterator[Parameter]:
    hints = get_type_hints(params)
    texts = attribute_texts(params.__doc__ or "")
    for field in dataclasses.fields(params):
        if not field.init:
            continue
        hint, many = _inner(hints[field.name])
        name = prefix + field.name.rstrip("_")
        required = field.default is field.default_factory is dataclasses.MISSING
        low, high = bounds(field.name, field.metadata)
        yield Parameter(
            name, ("list of " if many else "") + _word(hint), unit_word(field.name),
            (low, high) if hint is int and high < COUNT_MAX else None,
            tuple(str(one) for one in get_args(hint)) if get_origin(hint) is Literal else (),
            None if required else _default(field), required, texts.get(field.name, ""),
        )  # fmt: skip
        if isinstance(hint, type) and dataclasses.is_dataclass(hint) and hint is not Selector:
            yield from _parameters(hint, f"{name}.")


def _inner(hint: Any) -> tuple[Any, bool]:
    """A type without its Optional, and whether it is a list of that type."""
    if get_origin(hint) in (Union, types.UnionType):
        hint = next(arg for arg in get_args(hint) if arg is not type(None))
    if get_origin(hint) is tuple:
        return get_args(hint)[0], True
    return hint, False


def _word(hint: Any) -> str:
    plain = {int: "integer", str: "text", bool: "true or false", Selector: "selector"}
    if get_origin(hint) is Literal:
        return "choice"
    return plain.get(hint, "mapping")


def _default(field: dataclasses.Field[Any]) -> Any:
    value = field.default
    if field.default_factory is not dataclasses.MISSING:
        value = field.default_factory()
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return dataclasses.asdict(value)
    return list(value) if isinstance(value, tuple) else value
