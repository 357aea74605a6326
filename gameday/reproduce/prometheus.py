# SPDX-License-Identifier: Apache-2.0
"""Answers of Prometheus' range query API to looks, or every mistake in them at once. Pure.

A file of such evidence holds the answers byte for byte, one a line, as they were fetched.
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from gameday.errors import InvalidInput
from gameday.experiment.problems import fail_with
from gameday.reproduce import values
from gameday.reproduce.columns import Column
from gameday.reproduce.series import Look, show_time
from gameday.reproduce.values import Wrong

SERIES_SHOWN_MAX = 12
UNKNOWN = "NaN"
"""A value that is no number, as of a share of nothing: nothing is known at that moment."""

Labels = Mapping[str, str]
Points = list[tuple[Any, Any]]


def is_answer(text: str) -> bool:
    """Whether a file holds such answers, by its first line."""
    try:
        first = json.loads(text.lstrip().partition("\n")[0])
    except ValueError:
        return False
    return isinstance(first, dict) and first.get("status") in ("success", "error")


def parse_means(text: str) -> tuple[str, Column]:
    """``rtt:s`` or ``loss:percent``: what a query's values are, and their unit.

    Raises:
        InvalidInput: for anything else.
    """
    from gameday.reproduce.columns import UNITS, parse_column

    what, colon, unit = text.partition(":")
    if what not in ("rtt", "loss") or not colon or not unit:
        raise InvalidInput(f"--means {text}: is neither a round trip nor a loss with its unit",
                           f"write rtt: or loss: and the unit: {', '.join(UNITS['rtt'])}; "
                           f"{', '.join(UNITS['loss'])}")  # fmt: skip
    return what, parse_column(what, f"value:{unit}")


def parse_labels(text: str) -> dict[str, str]:
    """``job=ping,instance=lon-1`` as labels; values may stand in double quotes.

    Raises:
        InvalidInput: where a part of it has no ``=``.
    """
    found = {}
    for part in filter(None, text.split(",")):
        name, equals, value = part.partition("=")
        if not equals:
            raise InvalidInput(
                f"--path {text}: {part!r} is no label", "write name=value,name=value"
            )
        found[name.strip()] = value.strip().strip('"')
    return found


def parse(
    text: str, file: str, means: tuple[str, Column] | None, path: str
) -> tuple[tuple[Look, ...], tuple[str, ...]]:
    """Looks in order of time, and what Prometheus warned of.

    Args:
        means: what the values are. path: labels of the series, where there are several.

    Raises:
        InvalidInput: with every mistake found.
    """
    if means is None:
        fail_with(file, [f"{file}: holds answers of Prometheus, which state no unit; say what its "
                         "values are: --means rtt:s"])  # fmt: skip
    wanted, warnings, points = parse_labels(path), dict[str, None](), Points()
    chosen: Labels | None = None
    for number, line in enumerate(text.splitlines(), start=1):
        if not line.strip():
            continue
        where = f"{file}:{number}"
        answer = _answer(line, where)
        warnings.update(dict.fromkeys(str(w) for w in answer.get("warnings") or ()))
        series = _series(answer, wanted, where)
        if series is None:
            continue
        if chosen is not None and series["metric"] != chosen:
            here, there = _name(series["metric"]), _name(chosen)
            fail_with(file, [f"{where}: is another series than before: {here}; say which with "
                             f"--path, as one of them: {there}"])  # fmt: skip
        chosen = series["metric"]
        points += [(at, value) for at, value in series["values"]]
    if chosen is None:
        fail_with(file, [f"{file}: no series in it fits {path or 'the query'}: Prometheus has "
                         "nothing there"])  # fmt: skip
    return _looks(points, means, file), tuple(warnings)


def _answer(line: str, where: str) -> Mapping[str, Any]:
    """One answer, which must be a matrix."""
    try:
        # Numbers stay as they are written: a float would lose the last microseconds.
        answer = json.loads(line, parse_float=str, parse_int=str)
        if answer["status"] != "success":
            raise InvalidInput(f"{where}: Prometheus refused: {answer.get('errorType')}: "
                               f"{answer.get('error')}"[:400], "correct --query")  # fmt: skip
        kind = answer["data"]["resultType"]
        series = answer["data"]["result"]
        shaped = kind == "matrix" and all(
            isinstance(one["metric"], dict) and all(len(p) == 2 for p in one.get("values", "?"))
            for one in series
        )
    except (ValueError, KeyError, TypeError) as error:
        if isinstance(error, InvalidInput):
            raise
        raise InvalidInput(f"{where}: is no answer of Prometheus' range query") from error
    if not shaped:
        raise InvalidInput(f"{where}: is a {kind} without series of floats; a matrix is wanted",
                           "native histograms need histogram_quantile() around them")  # fmt: skip
    found: Mapping[str, Any] = answer
    return found


def _series(answer: Mapping[str, Any], wanted: Labels, where: str) -> Mapping[str, Any] | None:
    """The one series that has all labels; none where nothing fits."""
    there: Sequence[Mapping[str, Any]] = answer["data"]["result"]
    fits = [one for one in there if wanted.items() <= one["metric"].items()]
    if len(fits) <= 1:
        return fits[0] if fits else None
    listed = [f"--path '{_name(one['metric'])}'" for one in fits[:SERIES_SHOWN_MAX]]
    more = [f"and {len(fits) - SERIES_SHOWN_MAX} more"] if len(fits) > SERIES_SHOWN_MAX else []
    raise InvalidInput(f"{where}: {len(fits)} series fit, and one path is replayed",
                       "say which one", [*listed, *more])  # fmt: skip


def _name(labels: Labels) -> str:
    return ",".join(f"{name}={value}" for name, value in sorted(labels.items())) or "no labels"


def _looks(points: Points, means: tuple[str, Column], file: str) -> tuple[Look, ...]:
    problems: list[str] = []
    found = []
    for number, (at, value) in enumerate(points, start=1):
        # A series without a value there, as after a restart, is a hole, which `cut` finds.
        if str(value) == UNKNOWN:
            continue
        look = _look(number, str(at), str(value), means, file, problems)
        found += [look] if look else []
    problems += _clock(found, file)
    if problems:
        fail_with(file, problems)
    if not found:
        fail_with(file, [f"{file}: none of its {len(points)} points has a value"])
    return tuple(found)


def _look(  # noqa: PLR0917 - one point's parts
    number: int, at: str, value: str, means: tuple[str, Column], file: str, problems: list[str]
) -> Look | None:
    what, column = means
    try:
        at_ms = values.time_ms(Column("time", "s"), at)
        if what == "loss":
            return Look(number, at_ms, None, values.loss_ppm(column, value) or 0)
        return Look(number, at_ms, values.rtt_us(column, value), 0)
    except Wrong as error:
        problems.append(f"{file}: point {number}: {error}")
        return None


def _clock(looks: Sequence[Look], file: str) -> Iterator[str]:
    for before, look in itertools.pairwise(looks):
        if look.at_ms <= before.at_ms:
            yield (f"{file}: point {look.line}: {show_time(look.at_ms)} is not after the point "
                   "before it; are two answers of the same time in it?")  # fmt: skip
