# SPDX-License-Identifier: Apache-2.0
"""Recorded series of round trips, read from a file beside the experiment.

CSV with a header that has the columns ``time`` (seconds) and ``rtt`` (milliseconds), or NDJSON
with these keys; both numbers may have fractions. An answer that was lost has an empty ``rtt``
(CSV) or null (NDJSON). Times count from the first line, whatever they count from in the file.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator
from dataclasses import replace
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import Any

from gameday.errors import InvalidInput
from gameday.faults.excursion import POINTS_MAX, Point
from gameday.faults.netem import DELAY_MS_MAX

BYTES_MAX = 8 * 1024 * 1024
"""An hour of ten looks a second is under a megabyte."""

PPM = 1_000_000

Line = tuple[int, Decimal, Decimal | None]


def with_trace(params: Any, directory: Path) -> Any:
    """Parameters with the points of their ``trace_file``, if they name one that was not read.

    The points become part of the plan, so that a run can be judged again without the file.

    Raises:
        InvalidInput: as ``read_trace``.
    """
    if not getattr(params, "trace_file", "") or params.points:
        return params
    return replace(params, points=read_trace(directory / params.trace_file))


def read_trace(path: Path) -> tuple[Point, ...]:
    """Points of an excursion: milliseconds since the first, round trip in microseconds.

    The round trips are added to whatever the path has already. A lost answer becomes a point
    with all packets lost, until the next line.

    Raises:
        InvalidInput: what is wrong, with file and line.
    """
    try:
        size = path.stat().st_size
        text = path.read_text(encoding="utf-8") if size <= BYTES_MAX else ""
    except (OSError, UnicodeDecodeError) as error:
        raise InvalidInput(f"trace_file {path} cannot be read: {error}",
                           "name a file beside the experiment") from error  # fmt: skip
    if size > BYTES_MAX:
        raise InvalidInput(f"trace_file {path} has {size} bytes; at most {BYTES_MAX} are read")
    lines = list(_ndjson(path, text) if text.lstrip().startswith("{") else _csv(path, text))
    if len(lines) < 2:
        raise InvalidInput(f"trace_file {path} has fewer than two lines of data")
    if len(lines) > POINTS_MAX:
        raise InvalidInput(f"trace_file {path} has {len(lines)} lines; at most {POINTS_MAX}",
                           "cut it to the window, or resample it")  # fmt: skip
    return tuple(_points(path, lines))


def _points(path: Path, lines: list[Line]) -> Iterator[Point]:
    first, before, rtt_us = lines[0][1], -1, 0
    for number, at, rtt in lines:
        at_ms = int((at - first) * 1000)
        if at_ms <= before:
            raise InvalidInput(f"trace_file {path}:{number}: its time is not after the line before")
        before = at_ms
        if rtt is not None:
            rtt_us = int(rtt * 1000)
            if not 0 <= rtt_us <= DELAY_MS_MAX * 1000:
                raise InvalidInput(f"trace_file {path}:{number}: rtt {rtt} ms is out of range")
        yield Point(at_ms, rtt_us=rtt_us, loss_ppm=0 if rtt is not None else PPM)


def _csv(path: Path, text: str) -> Iterator[Line]:
    rows = csv.DictReader(text.splitlines())
    if not {"time", "rtt"} <= set(rows.fieldnames or ()):
        raise InvalidInput(f"trace_file {path}:1: needs a header with the columns time and rtt")
    for row in rows:
        rtt = (row["rtt"] or "").strip()
        number = rows.line_num
        yield number, _number(path, number, row["time"]), (
            _number(path, number, rtt) if rtt else None
        )  # fmt: skip


def _ndjson(path: Path, text: str) -> Iterator[Line]:
    for number, line in enumerate(text.splitlines(), start=1):
        if not line.strip():
            continue
        try:
            data = json.loads(line, parse_float=str)
            time, rtt = data["time"], data.get("rtt")
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise InvalidInput(
                f"trace_file {path}:{number}: not a JSON object with the keys time and rtt"
            ) from error
        yield number, _number(path, number, time), (
            None if rtt is None else _number(path, number, rtt)
        )  # fmt: skip


def _number(path: Path, line: int, value: object) -> Decimal:
    try:
        found = Decimal(str(value).strip())
    except InvalidOperation as error:
        raise InvalidInput(f"trace_file {path}:{line}: {value!r} is not a number") from error
    if not found.is_finite():
        raise InvalidInput(f"trace_file {path}:{line}: {value!r} is not a number")
    return found
