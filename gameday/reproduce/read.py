# SPDX-License-Identifier: Apache-2.0
"""Evidence as text to looks, or every mistake in it at once, each with its line.

CSV and NDJSON; Prometheus' answers are for ``gameday.reproduce.prometheus``, captures for ``pcap``.
"""

from __future__ import annotations

import csv
import io
import itertools
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

from gameday.errors import InvalidInput
from gameday.experiment.problems import fail_with
from gameday.reproduce import prometheus, values
from gameday.reproduce.columns import Column, Columns, find
from gameday.reproduce.pcap import Hosts, is_capture, read_capture
from gameday.reproduce.series import PPM, Look, show_time
from gameday.reproduce.values import Wrong

BYTES_MAX = 64 * 1024 * 1024
"""A day of ten looks a second; more is cut before it is given to us."""

Row = tuple[int, Mapping[str, str]]
"""Line number and fields; a field that is absent is an empty one."""


@dataclass(frozen=True)
class Asked:
    """What the evidence's reader was told.

    Attributes:
        columns: by option. path: which path's rows, or the series with which labels, to take.
        means: what the values of a query are, rtt or loss, with their unit. hosts: of a capture.
    """

    columns: Mapping[str, Column]
    path: str = ""
    means: tuple[str, Column] | None = None
    hosts: Hosts | None = None


@dataclass(frozen=True)
class Evidence:
    """What was read: the looks, in order, and the digest of the bytes that they come from.

    Attributes:
        warnings: what the evidence's source said about it itself.
    """

    file: str
    sha256: str
    looks: tuple[Look, ...]
    warnings: tuple[str, ...] = ()


def read(path: Path, asked: Asked) -> Evidence:
    """Read evidence; the kind of file is told by how it begins.

    Raises:
        InvalidInput: with every mistake found, each with file and line.
    """
    try:
        if is_capture(path):
            looks, digest, warnings = read_capture(path, asked.hosts)
            return Evidence(str(path), digest, looks, warnings)
        size = path.stat().st_size
        content = path.read_bytes() if size <= BYTES_MAX else b""
    except OSError as error:
        raise InvalidInput(f"{path} cannot be read: {error.strerror}") from error
    if size > BYTES_MAX:
        raise InvalidInput(f"{path} has {size} bytes; at most {BYTES_MAX} are read",
                           "cut it to the incident first")  # fmt: skip
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise InvalidInput(f"{path}:{line}: is not UTF-8 text here", "save it as UTF-8") from error
    digest = sha256(content).hexdigest()
    if prometheus.is_answer(text):
        looks, warnings = prometheus.parse(text, str(path), asked.means, asked.path)
        return Evidence(str(path), digest, looks, warnings)
    return Evidence(str(path), digest, parse(text, str(path), asked))


def parse(text: str, file: str, asked: Asked) -> tuple[Look, ...]:
    """As ``read``, from the text of CSV or NDJSON.

    Raises:
        InvalidInput: with every mistake found.
    """
    problems: list[str] = []
    names, rows = (_ndjson if text.lstrip().startswith("{") else _csv)(text, problems, file)
    if not names:
        problems.insert(0, f"{file}: has no data; it needs a header and lines below it")
        fail_with(file, problems)
    columns, mistakes = find(names, dict(asked.columns))
    if columns is None:
        fail_with(file, problems + [f"{file}: {mistake}" for mistake in mistakes])
    rows = _of_path(rows, columns, asked.path, file, problems)
    looks = [look for row in rows if (look := _look(row, columns, file, problems))]
    problems += _clock(looks, file)
    if problems:
        fail_with(file, sorted(problems, key=_line_of))
    if not looks:
        fail_with(file, [f"{file}: has no line with a look"])
    return tuple(looks)


def _csv(text: str, problems: list[str], file: str) -> tuple[Sequence[str], list[Row]]:
    reader = csv.reader(io.StringIO(text), strict=True)
    names: list[str] = []
    rows: list[Row] = []
    try:
        for fields in reader:
            if not any(field.strip() for field in fields):
                continue
            if not names:
                names = [field.strip() for field in fields]
            elif len(fields) != len(names):
                problems.append(f"{file}:{reader.line_num}: has {len(fields)} fields, and the "
                                f"header has {len(names)}")  # fmt: skip
            else:
                rows.append((reader.line_num, dict(zip(names, fields, strict=True))))
    except csv.Error as error:
        problems.append(f"{file}:{reader.line_num}: is no CSV here: {error}")
    for name in sorted({name for name in names if names.count(name) > 1}):
        problems.append(f"{file}:1: the column {name} is there twice")
    return names, rows


def _ndjson(text: str, problems: list[str], file: str) -> tuple[Sequence[str], list[Row]]:
    names: dict[str, None] = {}
    rows: list[Row] = []
    for number, line in enumerate(text.splitlines(), start=1):
        if not line.strip():
            continue
        try:
            # Numbers stay as they are written: a float would lose the last microseconds.
            found = json.loads(line, parse_float=str, parse_int=str)
        except ValueError as error:
            problems.append(f"{file}:{number}: is no JSON: {error}")
            continue
        if not isinstance(found, dict):
            problems.append(f"{file}:{number}: is no JSON object")
            continue
        names.update(dict.fromkeys(found))
        rows.append((number, {k: "" if v is None else str(v) for k, v in found.items()}))
    return list(names), rows


def _of_path(
    rows: list[Row], columns: Columns, wanted: str, file: str, problems: list[str]
) -> list[Row]:
    """The rows of one path; which one is never guessed."""
    if columns.path is None:
        if wanted:
            problems.append(f"{file}: has no column of paths for --path {wanted}; name it with "
                            "--path-column")  # fmt: skip
        return rows
    name = columns.path.name
    there = sorted({fields.get(name, "").strip() for _, fields in rows})
    if not wanted and len(there) == 1:
        return rows
    if wanted not in there:
        what = f"no path {wanted}" if wanted else "more than one path"
        listed = ", ".join(there[:12]) + (" …" if len(there) > 12 else "")
        fail_with(file, [f"{file}: has {what} in its column {name}; say --path with one of: "
                         f"{listed}", *problems])  # fmt: skip
    return [row for row in rows if row[1].get(name, "").strip() == wanted]


def _look(row: Row, columns: Columns, file: str, problems: list[str]) -> Look | None:
    number, fields = row
    before = len(problems)

    def field(column: Column) -> str:
        return fields.get(column.name, "")

    at, rtt, loss = 0, None, None
    try:
        at = values.time_ms(columns.time, field(columns.time))
    except Wrong as error:
        problems.append(f"{file}:{number}: {error}")
    try:
        rtt = values.rtt_us(columns.rtt, field(columns.rtt)) if columns.rtt else None
    except Wrong as error:
        problems.append(f"{file}:{number}: {error}")
    try:
        loss = values.loss_ppm(columns.loss, field(columns.loss)) if columns.loss else None
    except Wrong as error:
        problems.append(f"{file}:{number}: {error}")
    if columns.rtt is None and loss is None and len(problems) == before:
        problems.append(f"{file}:{number}: says neither a round trip nor a loss")
    if len(problems) > before:
        return None
    # Without a column of losses, an empty round trip is a lost answer.
    return Look(number, at, rtt, (0 if rtt is not None else PPM) if loss is None else loss)


def _clock(looks: Sequence[Look], file: str) -> Iterator[str]:
    """Where time stands still or goes back."""
    for before, look in itertools.pairwise(looks):
        if look.at_ms <= before.at_ms:
            word = "the same time as" if look.at_ms == before.at_ms else "earlier than"
            yield (f"{file}:{look.line}: {show_time(look.at_ms)} is {word} line {before.line}; "
                   "was a clock set, or are there two paths in it?")  # fmt: skip


def _line_of(problem: str) -> int:
    """The line that a message is about, for sorting; a file's own mistakes come first."""
    for part in problem.split(":")[1:3]:
        if part.isdigit():
            return int(part)
    return 0
