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
import os
import zlib
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from gameday.clock import Exchange, Interval, NodeClock
from gameday.errors import EvidenceError
from gameday.record import kinds
from gameday.record.columns import Builder, Columns, parse_lines
from gameday.record.journal import read_events
from gameday.record.looks import Looks, Seen, make_looks
from gameday.record.types import Event, Sample
from gameday.record.windows import Window, find_window, lateness

__all__ = ["Looks", "Record", "Seen", "Window", "load", "pack_samples", "parse_samples"]

EXPERIMENT = "experiment.yaml"
INVENTORY = "inventory.json"
PLAN = "plan.json"
EVENTS = "events.jsonl"
SAMPLES = "samples.jsonl.gz"
SAMPLES_LIVE = "samples.jsonl"
REPORT = "report.json"

PIECE_BYTES = 8 << 20


class Record:
    """Everything a run left behind; measurements are pure functions of it."""

    def __init__(
        self, plan: Mapping[str, Any], events: Sequence[Event], samples: Sequence[Sample]
    ) -> None:
        self.plan = plan
        self.events = tuple(events)
        self.samples = samples if isinstance(samples, Columns) else tuple(samples)

    @cached_property
    def exchanges(self) -> dict[str, list[Exchange]]:
        """Per node, the comparisons of its clock with ours, in order of the node's clock."""
        found: dict[str, list[Exchange]] = defaultdict(list)
        for event in self.of_kind(kinds.CLOCK):
            data = event.data
            found[data["node"]].append(
                Exchange(
                    data["sent_ns"], data["received_ns"],
                    data["node_mono_ns"], data["node_wall_ns"],
                )
            )  # fmt: skip
        return {node: sorted(each, key=lambda e: e.node_mono_ns) for node, each in found.items()}

    @cached_property
    def clocks(self) -> dict[str, NodeClock]:
        """Per node, the translation of its clock; nodes without an exchange are absent."""
        return {node: NodeClock(found) for node, found in self.exchanges.items()}

    def of_kind(self, kind: str) -> Iterable[Event]:
        """Events of one kind, in order."""
        return (event for event in self.events if event.kind == kind)

    def seen(self, probe: str) -> Mapping[tuple[str, str], Looks]:
        """A probe's samples in the run's time, per (vantage, target), in order of start.

        Samples of nodes whose clock was never compared are left out: where they lie in
        the run is unknown.
        """
        return self._seen.get(probe, {})

    @cached_property
    def _seen(self) -> dict[str, dict[tuple[str, str], Looks]]:
        columns = Columns.of(self.samples)
        by_stream = np.argsort(columns.key, kind="stable")
        ends = np.cumsum(np.bincount(columns.key, minlength=len(columns.keys)))
        found: dict[str, dict[tuple[str, str], Looks]] = defaultdict(dict)
        for at, (probe, node, target) in enumerate(columns.keys):
            exchanges = self.exchanges.get(node)
            if exchanges is not None:
                rows = by_stream[ends[at - 1] if at else 0 : ends[at]]
                found[probe][(node, target)] = make_looks(columns, rows, exchanges)
        return found

    def window(self, fault: str | None = None) -> Window:
        """Onset and end of a fault, by default of the first that the plan has.

        Raises:
            EvidenceError: where the fault was never armed (the run has no such window).
        """
        name = fault or (self.plan["faults"][0]["name"] if self.plan["faults"] else None)
        return find_window(str(name), self.events, self.clocks)

    def late(self) -> dict[str, tuple[str, Interval]]:
        """Lease to its fault and how much later than planned it ended, of those that did."""
        return lateness(self.events, self.clocks)

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


def read_samples(directory: Path) -> Columns:
    """All samples of a run: packed once it is recorded, plain while it goes on.

    An unfinished last line (a writer that died) is left out.

    Raises:
        EvidenceError: where a whole line is not a sample.
    """
    packed, live = directory / SAMPLES, directory / SAMPLES_LIVE
    builder = Builder()
    try:
        if packed.exists():
            with gzip.open(packed) as file:
                _read_into(builder, file, str(packed))
        elif live.exists():
            with open(live, "rb") as file:
                _read_into(builder, file, str(live))
    except (OSError, EOFError, zlib.error) as error:
        raise EvidenceError(f"{packed}: {error}") from error
    return builder.columns()


def _read_into(builder: Builder, file: BinaryIO | gzip.GzipFile, name: str) -> None:
    """Piece by piece, so that a record of gigabytes does not have to fit in memory as text."""
    rest, number = b"", 1
    while piece := file.read(PIECE_BYTES):
        cut = piece.rfind(b"\n") + 1
        if not cut:
            rest += piece
            continue
        number += builder.add_lines(rest + piece[:cut], name, number)
        rest = piece[cut:]


def parse_samples(content: bytes, name: str) -> list[Sample]:
    """Samples from JSON lines; an unfinished last line is left out.

    Raises:
        EvidenceError: where a whole line is not a sample.
    """
    return parse_lines(content, name)


def drop_unfinished(live: Path) -> None:
    """Cut off the last line of a writer that died in the middle of it, so that more can follow."""
    if not live.exists():
        return
    with open(live, "r+b") as file:
        end = file.seek(0, os.SEEK_END)
        while end:
            begin = max(0, end - PIECE_BYTES)
            file.seek(begin)
            cut = file.read(end - begin).rfind(b"\n") + 1
            end = begin + cut
            if cut:
                break
        file.truncate(end)


def pack_samples(directory: Path) -> None:
    """Pack the samples of a run, line by line as they came, and drop the plain file.

    The same bytes for the same samples. An unfinished last line (a writer that died) is left out.
    Nothing is held in memory: a long run has more samples than fit there.
    """
    live, part = directory / SAMPLES_LIVE, directory / (SAMPLES + ".part")
    with open(part, "wb") as raw:
        packed = gzip.GzipFile("", "wb", fileobj=raw, mtime=0)
        if live.exists():
            with open(live, "rb") as file:
                _copy_lines(file, packed)
        packed.close()
        raw.flush()
        os.fsync(raw.fileno())
    os.replace(part, directory / SAMPLES)
    live.unlink(missing_ok=True)


def _copy_lines(file: BinaryIO, to: gzip.GzipFile) -> None:
    rest = b""
    while piece := file.read(PIECE_BYTES):
        cut = piece.rfind(b"\n") + 1
        to.write(rest + piece[:cut] if cut else b"")
        rest = piece[cut:] if cut else rest + piece
