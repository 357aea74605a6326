# SPDX-License-Identifier: Apache-2.0
"""What a probe kind is. A probe only looks; it runs on a vantage node, in the agent.

The runner stamps times, keeps the schedule and writes the sample; a kind makes one look
and returns what it saw. This module travels to nodes: standard library (and dnspython for
DNS) only, Python 3.9 syntax.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Callable, Mapping, Optional, Protocol, Tuple, Union


@dataclass(frozen=True)
class Value:
    """What was seen. Flat: strings, integers, booleans, lists of strings."""

    value: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Failed:
    """Nothing was seen, and why: a short stable word first, then detail.

    Attributes:
        reason: in words.
        value: what was tried, where that matters; flat as in ``Value``.
        sent: whether the question may have reached whom it was for.
    """

    reason: str
    value: Mapping[str, Any] = field(default_factory=dict)
    sent: bool = field(default=True, compare=False)


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
    """When and for whom one sampler looks.

    Attributes:
        period_ns: between two looks. timeout_ns: of one.
        until_ns: when the last look is due, by the vantage's monotonic clock; 0: not known.
        run, probe: what it looks for, where that matters.
    """

    period_ns: int
    timeout_ns: int
    until_ns: int = 0
    run: str = ""
    probe: str = ""


class Probe(Protocol):
    """A kind of probe that is asked on a schedule.

    Attributes:
        kind: key of the probe table.
        fan_out: "self": the vantage looks at itself; "each": one sampler for each node that
            ``to`` selects; "all": one sampler that is given all of them; "mesh": one sampler from
            a vantage of each site to one node of each other site; "none": no target.
        listens: ``False``: ``sampler`` is called on a schedule. ``True``: see ``Listener``.

    A look that has to end what it began has a method ``last_looks() -> Iterator[Look]``: once the
    schedule has ended, the runner makes each in turn, and they are samples like the others. They
    bound themselves: the runner waits ten seconds for everything.

    A kind that needs libraries beyond the agent's has a class attribute ``carries``, their names:
    its vantages are sent them, see ``gameday.transport.carried``; it imports them in ``look``.

    A kind whose parameters need something of the inventory has a method ``resolve(params,
    estate)``, which returns them with it when a run is planned; one that only one vantage can run
    names it as ``only_from``, and one that needs a capability of its vantage (``Facts.missing``)
    names that as ``needs``. A kind with ``watches`` is a ``Watcher``.

    A kind whose parameters can say whom to ask instead of ``to`` has a method
    ``needs_target(params) -> bool`` besides; one of fan_out "each" then looks at the vantage
    itself. Where its parameters have a ``family`` (4 or 6), the
    targets' addresses are of that family only.
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


class Emit(Protocol):
    """Takes what a listener heard; called from threads."""

    def __call__(self, target: str, outcome: Outcome, since_ns: Optional[int] = None) -> None:
        """Write a sample that ends now, and began at ``since_ns`` (monotonic) or now."""


class Listening(Protocol):
    """A listener at work."""

    def trouble(self) -> str:
        """Why nobody is listening at this moment; empty while somebody is."""

    def close(self) -> None:
        """Stop listening."""


class Listener(Protocol):
    """A kind of probe that waits for others to speak (``listens`` is ``True``).

    The runner writes a sample for each call of ``emit``, and once every period a sample
    with target "listener" as evidence that somebody was listening, or why nobody was.
    """

    kind: str
    Params: type
    summary: str
    fan_out: str
    listens: bool

    def listen(self, params: Any, emit: Emit) -> Listening:
        """Start listening.

        Raises:
            OSError, InvalidInput: where that is not possible; it is tried again.
        """


class Watching(Protocol):
    """A watcher at work."""

    def look(self) -> None:
        """Ask for the state, and write one sample of it, within the schedule's timeout or period,
        whichever is shorter."""

    def close(self) -> None:
        """Watch no more."""


class Watcher(Protocol):
    """A kind of probe that looks on a schedule and is told of changes between (``watches``).

    The runner makes a look every period; each writes one sample. What changes between two looks is
    a sample of the same stream, which begins where the last one ended: its state came about in that
    time, and held as it was received.
    """

    kind: str
    Params: type
    summary: str
    fan_out: str
    listens: bool
    watches: bool

    def watch(self, params: Any, target: str, schedule: Schedule, emit: Emit) -> Watching:
        """Begin; nobody is asked yet."""
