# SPDX-License-Identifier: Apache-2.0
"""A whole run as it lies on disk, and the same run in one time base.

    reports/<run>/
      experiment.yaml  the file as it was given, byte for byte
      inventory.json   the resolved inventory, without secrets
      plan.json        what was to happen
      events.jsonl     what the controller did and learned
      samples.jsonl.gz what the probes saw
      report.json      measurements and verdict

Controller only.
"""

from __future__ import annotations

import gzip
import json
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from gameday.clock import Exchange, Interval, NodeClock
from gameday.errors import EvidenceError
from gameday.record import kinds
from gameday.record.journal import dump_line, read_events
from gameday.record.types import Event, Sample, from_json, to_json

EXPERIMENT = "experiment.yaml"
INVENTORY = "inventory.json"
PLAN = "plan.json"
EVENTS = "events.jsonl"
SAMPLES = "samples.jsonl.gz"
SAMPLES_LIVE = "samples.jsonl"
REPORT = "report.json"


@dataclass(frozen=True)
class Seen:
    """A sample with its stamps in the run's time base, each known within a bound."""

    sample: Sample
    start: Interval
    end: Interval


@dataclass(frozen=True)
class Window:
    """When one fault of the experiment was in effect, in the run's time.

    ``onset`` and ``end`` are hulls over all nodes that held a lease of it. ``end`` is
    where the fault was to end or was ended early by an abort, whichever came first.
    """

    fault: str
    onset: Interval
    end: Interval


class Record:
    """Everything a run left behind; measurements are pure functions of it."""

    def __init__(
        self, plan: Mapping[str, Any], events: Sequence[Event], samples: Sequence[Sample]
    ) -> None:
        self.plan = plan
        self.events = tuple(events)
        self.samples = tuple(samples)

    @cached_property
    def clocks(self) -> dict[str, NodeClock]:
        """Per node, the translation of its clock; nodes without an exchange are absent."""
        exchanges: dict[str, list[Exchange]] = defaultdict(list)
        for event in self.of_kind(kinds.CLOCK):
            data = event.data
            exchanges[data["node"]].append(
                Exchange(
                    data["sent_ns"], data["received_ns"],
                    data["node_mono_ns"], data["node_wall_ns"],
                )
            )  # fmt: skip
        return {node: NodeClock(found) for node, found in exchanges.items()}

    def of_kind(self, kind: str) -> Iterable[Event]:
        """Events of one kind, in order."""
        return (event for event in self.events if event.kind == kind)

    def seen(self, probe: str) -> dict[tuple[str, str], list[Seen]]:
        """A probe's samples in the run's time, per (vantage, target), in order of start.

        Samples of nodes whose clock was never compared are left out: where they lie in
        the run is unknown.
        """
        return self._seen.get(probe, {})

    @cached_property
    def _seen(self) -> dict[str, dict[tuple[str, str], list[Seen]]]:
        found: dict[str, dict[tuple[str, str], list[Seen]]] = defaultdict(lambda: defaultdict(list))
        for sample in sorted(self.samples, key=lambda s: (s.start_ns, s.seq)):
            clock = self.clocks.get(sample.node)
            if clock is None:
                continue
            seen = Seen(sample, clock.to_run(sample.start_ns), clock.to_run(sample.end_ns))
            found[sample.probe][(sample.node, sample.target)].append(seen)
        return found

    def window(self, fault: str | None = None) -> Window:
        """Onset and end of a fault, by default of the first that the plan has.

        Raises:
            EvidenceError: where the fault was never armed (the run has no such window).
        """
        name = fault or (self.plan["faults"][0]["name"] if self.plan["faults"] else None)
        armed = [e for e in self.of_kind(kinds.ARMED) if e.data["lease"]["fault"] == name]
        onsets, ends = [], []
        for event in armed:
            lease, clock = event.data["lease"], self.clocks.get(event.data["node"])
            if clock is None:
                continue
            onsets.append(clock.wall_to_run(lease["fire_at_ns"]))
            ends.append(self._lease_end(lease, clock))
        if not onsets:
            raise EvidenceError(f"fault {name!r} was not armed on any node whose clock is known")
        return Window(
            str(name),
            Interval(min(o.lo for o in onsets), max(o.hi for o in onsets)),
            Interval(min(e.lo for e in ends), max(e.hi for e in ends)),
        )

    def _lease_end(self, lease: Mapping[str, Any], clock: NodeClock) -> Interval:
        planned = clock.wall_to_run(lease["expire_at_ns"])
        for event in self.of_kind(kinds.DISARMED):
            early = Interval(event.data["sent_ns"], event.at_ns)
            if event.data["lease"] == lease["id"] and early.lo < planned.lo:
                return early
        return planned

    @cached_property
    def span(self) -> Interval:
        """From the first event of the run to its last, in the run's time."""
        if not self.events:
            raise EvidenceError("the run has no events")
        return Interval(self.events[0].at_ns, self.events[-1].at_ns)


def load(directory: Path) -> Record:
    """Read a run's directory.

    Raises:
        EvidenceError: where a file is missing or not what it should be.
    """
    try:
        plan = json.loads((directory / PLAN).read_bytes())
        events = read_events(directory / EVENTS)
        samples = read_samples(directory)
    except FileNotFoundError as error:
        raise EvidenceError(f"{error.filename} is missing", "is this a run's directory?") from error
    except ValueError as error:
        raise EvidenceError(f"{directory / PLAN}: not JSON: {error}") from error
    return Record(plan, events, samples)


def read_samples(directory: Path) -> list[Sample]:
    """All samples of a run: packed once it is recorded, plain while it goes on.

    Raises:
        EvidenceError: where a whole line is not a sample.
    """
    packed, live = directory / SAMPLES, directory / SAMPLES_LIVE
    if packed.exists():
        try:
            content = gzip.decompress(packed.read_bytes())
        except (OSError, EOFError) as error:
            raise EvidenceError(f"{packed}: {error}") from error
    else:
        content = live.read_bytes() if live.exists() else b""
    return parse_samples(content, str(packed if packed.exists() else live))


def parse_samples(content: bytes, name: str) -> list[Sample]:
    """Samples from JSON lines; an unfinished last line is left out.

    Raises:
        EvidenceError: where a whole line is not a sample.
    """
    samples = []
    for number, line in enumerate(content.split(b"\n")[:-1], start=1):
        try:
            samples.append(from_json(Sample, json.loads(line)))
        except (ValueError, TypeError, AttributeError, EvidenceError) as error:
            raise EvidenceError(f"{name}:{number}: not a sample: {error}") from error
    return samples


def pack_samples(directory: Path, samples: Iterable[Sample]) -> None:
    """Write the samples packed, the same bytes for the same samples, and drop the plain file."""
    lines = "".join(dump_line(to_json(sample)) for sample in samples)
    (directory / SAMPLES).write_bytes(gzip.compress(lines.encode(), mtime=0))
    (directory / SAMPLES_LIVE).unlink(missing_ok=True)
