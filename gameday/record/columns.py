# SPDX-License-Identifier: Apache-2.0
"""Samples as columns: millions of them fit in memory and are compared at once.

One sample as an object is a kilobyte and microseconds; here it is forty bytes, and an object
only when somebody asks for it. Controller only.
"""

from __future__ import annotations

import json
from array import array
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, overload

import msgspec
import numpy as np
from numpy.typing import NDArray

from gameday.errors import EvidenceError
from gameday.record.types import Sample, from_json

Ints = NDArray[np.int64]
Flags = NDArray[np.bool_]

Key = tuple[str, str, str]
"""(probe, vantage node, target) of one stream."""

Content = tuple[bool, bytes, str]
"""(ok, value as JSON, reason): what a sample saw, without when."""


class _Line(msgspec.Struct, forbid_unknown_fields=True, gc=False):
    """A sample's line; its value stays bytes, since most are the same as the one before."""

    probe: str
    node: str
    target: str
    seq: int
    start_ns: int
    end_ns: int
    ok: bool
    value: msgspec.Raw
    reason: str


_DECODER = msgspec.json.Decoder(_Line)


class Columns(Sequence[Sample]):
    """Samples in the order in which they were added.

    Attributes:
        keys: streams, in order of appearance. contents: distinct contents, likewise.
        key, content: per sample, its place in these. seq, start_ns, end_ns: as in ``Sample``.
    """

    def __init__(self, builder: Builder) -> None:
        self.keys: tuple[Key, ...] = tuple(builder.keys)
        self.contents: tuple[Content, ...] = tuple(builder.contents)
        self.key: Ints = np.array(builder.key, np.int64)
        self.content: Ints = np.array(builder.content, np.int64)
        self.seq: Ints = np.array(builder.seq, np.int64)
        self.start_ns: Ints = np.array(builder.start_ns, np.int64)
        self.end_ns: Ints = np.array(builder.end_ns, np.int64)
        oks = np.fromiter((content[0] for content in self.contents), bool, len(self.contents))
        self.ok: Flags = oks[self.content]

    @staticmethod
    def of(samples: Sequence[Sample]) -> Columns:
        """The same samples as columns.

        Raises:
            EvidenceError: where a number of a sample is not one.
        """
        if isinstance(samples, Columns):
            return samples
        builder = Builder()
        builder.add_samples(samples)
        return builder.columns()

    def __len__(self) -> int:
        return len(self.seq)

    @overload
    def __getitem__(self, at: int) -> Sample: ...

    @overload
    def __getitem__(self, at: slice) -> Sequence[Sample]: ...

    def __getitem__(self, at: int | slice) -> Sample | Sequence[Sample]:
        if isinstance(at, slice):
            return [self[place] for place in range(*at.indices(len(self)))]
        probe, node, target = self.keys[self.key[at]]
        ok, value, reason = self.contents[self.content[at]]
        return Sample(
            probe, node, target, int(self.seq[at]), int(self.start_ns[at]), int(self.end_ns[at]),
            ok, json.loads(value), reason,
        )  # fmt: skip

    def __iter__(self) -> Iterator[Sample]:
        return (self[at] for at in range(len(self)))

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Sequence):
            return NotImplemented
        return len(self) == len(other) and all(a == b for a, b in zip(self, other, strict=True))

    __hash__ = None  # type: ignore[assignment]


class Builder:
    """Collects samples into columns."""

    def __init__(self) -> None:
        self.keys: dict[Key, int] = {}
        self.contents: dict[Content, int] = {}
        self.key, self.content, self.seq = array("q"), array("q"), array("q")
        self.start_ns, self.end_ns = array("q"), array("q")

    def add_lines(self, lines: bytes, name: str, first: int) -> int:
        """Add whole JSON lines; returns how many they were.

        Args:
            lines: each ended by a newline. name: of the file. first: number of the first line.

        Raises:
            EvidenceError: where a line is not a sample.
        """
        try:
            lines.decode()
            found: list[_Line] = _DECODER.decode_lines(lines)
        except (msgspec.MsgspecError, UnicodeDecodeError):
            # Something is odd about one of them: the slow way says which, and accepts what
            # the strict decoder would not.
            self.add_samples(parse_lines(lines, name, first))
            return lines.count(b"\n")
        self._add(found)
        return len(found)

    def _add(self, found: Sequence[_Line]) -> None:
        keys, contents = self.keys, self.contents
        try:
            self.seq.extend([one.seq for one in found])
            self.start_ns.extend([one.start_ns for one in found])
            self.end_ns.extend([one.end_ns for one in found])
        except OverflowError as error:
            raise EvidenceError(f"a sample's number is out of range: {error}") from error
        self.key.extend(
            [keys.setdefault((one.probe, one.node, one.target), len(keys)) for one in found]
        )
        self.content.extend(
            [
                contents.setdefault((one.ok, bytes(one.value), one.reason), len(contents))
                for one in found
            ]
        )

    def add_samples(self, samples: Iterable[Sample]) -> None:
        """Add samples one by one.

        Raises:
            EvidenceError: where a number of a sample is not one.
        """
        keys, contents = self.keys, self.contents
        for one in samples:
            value = json.dumps(one.value, separators=(",", ":")).encode()
            key, content = (one.probe, one.node, one.target), (one.ok, value, one.reason)
            try:
                self.seq.append(one.seq)
                self.start_ns.append(one.start_ns)
                self.end_ns.append(one.end_ns)
            except (TypeError, OverflowError) as error:
                raise EvidenceError(f"a sample of {one.probe} has no usable numbers") from error
            self.key.append(keys.setdefault(key, len(keys)))
            self.content.append(contents.setdefault(content, len(contents)))

    def columns(self) -> Columns:
        """What was added; nothing may be added any more."""
        return Columns(self)


def parse_lines(lines: bytes, name: str, first: int = 1) -> list[Sample]:
    """Samples from whole JSON lines.

    Raises:
        EvidenceError: where a line is not a sample.
    """
    samples = []
    for number, line in enumerate(lines.split(b"\n")[:-1], start=first):
        try:
            data: dict[str, Any] = json.loads(line)
            samples.append(from_json(Sample, data))
        except (ValueError, TypeError, AttributeError, EvidenceError) as error:
            raise EvidenceError(f"{name}:{number}: not a sample: {error}") from error
    return samples
