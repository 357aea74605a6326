# SPDX-License-Identifier: Apache-2.0
"""What a probe kind is. A probe only looks; it runs on a vantage node, in the agent.

The runner stamps times, keeps the schedule and writes the sample; a kind makes one look
and returns what it saw. This module travels to nodes: standard library (and dnspython for
DNS) only, Python 3.9 syntax.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Callable, Mapping, Protocol, Tuple, Union


@dataclass(frozen=True)
class Value:
    """What was seen. Flat: strings, integers, booleans, lists of strings."""

    value: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Failed:
    """Nothing was seen, and why: a short stable word first, then detail."""

    reason: str


Outcome = Union[Value, Failed]


@dataclass(frozen=True)
class Target:
    """What one sampler looks at.

    Attributes:
        name: goes into ``Sample.target``: a node's name, or the probe's own word.
        addresses: data addresses of the node(s), first one preferred.
        peers: for fan_out "all": every selected node as (name, address).
    """

    name: str
    addresses: Tuple[str, ...]
    peers: Tuple[Tuple[str, str], ...] = ()


@dataclass(frozen=True)
class Schedule:
    """How often one sampler looks, in nanoseconds."""

    period_ns: int
    timeout_ns: int


class Probe(Protocol):
    """A kind of probe that is asked on a schedule.

    Attributes:
        kind: key of the probe table.
        fan_out: "self": the vantage looks at itself; "each": one sampler for each node that
            ``to`` selects; "all": one sampler that is given all of them; "none": no target.
        listens: ``False``: ``sampler`` is called on a schedule. ``True``: see ``Listener``.
    """

    kind: str
    Params: type
    summary: str
    fan_out: str
    listens: bool

    def sampler(
        self, params: Any, node: str, target: Target, schedule: Schedule
    ) -> Callable[[], Outcome]:
        """A callable that makes one look within the timeout; called from several threads."""


class Listener(Protocol):
    """A kind of probe that waits for others to speak (``listens`` is ``True``).

    The runner writes a sample for each call of ``emit``, and once every period a sample
    with target "listener" as evidence that somebody was listening.
    """

    kind: str
    Params: type
    summary: str
    fan_out: str
    listens: bool

    def listen(self, params: Any, emit: Callable[[str, Outcome], None]) -> Callable[[], None]:
        """Start listening; returns what stops it. ``emit(target, outcome)`` comes from threads."""
