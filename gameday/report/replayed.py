# SPDX-License-Identifier: Apache-2.0
"""A reproduction beside its incident: both curves, and the distance between them, as one SVG. Pure.

Drawn from ``report.json`` alone; the table beside it has every number that is drawn.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from html import escape
from typing import Any

from markupsafe import Markup

from gameday.report.curve import round_up

KIND = "replay-error"
WIDTH, LEFT, RIGHT, HEAD = 900, 70, 20, 24
HIGH, LOW, GAP = 220, 90, 42
TICKS = 6
HEAD_WORDS = ("Second", "Recorded", "Replayed, between", "Apart, at most")

Row = Sequence[int | None]
"""Middle of a step in ms, recorded, replayed at least and at most, in us; None: not known."""


def charts(report: Mapping[str, Any]) -> list[dict[str, Any]]:
    """A chart per measured ``replay-error``: title, SVG, and the table of the same numbers."""
    found = []
    for objective in report["objectives"]:
        measurement = objective["measurement"]
        rows = measurement["details"].get("series") if measurement["kind"] == KIND else None
        if rows:
            between = " → ".join(measurement["details"][f"worst_{end}"] for end in ("from", "to"))
            found.append({"title": f"Recorded and replayed, {between}", "svg": draw(rows),
                          "head": HEAD_WORDS, "rows": [_line(row) for row in rows]})  # fmt: skip
    return found


def draw(rows: Sequence[Row]) -> Markup:
    """Both curves over one axis of seconds; below, how far they are apart."""
    end = max(int(row[0] or 0) for row in rows) or 1

    def x(at_ms: int) -> float:
        return LEFT + at_ms / end * (WIDTH - LEFT - RIGHT)

    most = max(value for row in rows for value in (row[1], row[3]) if value is not None)
    below = HEAD + HIGH + GAP
    body = [*_rtt(rows, x, most), *_apart(rows, x, below)]
    for tick in range(TICKS + 1):
        at = end * tick // TICKS
        body.append(f'<text x="{x(at):.1f}" y="{below + LOW + 18}" text-anchor="middle" '
                    f'class="axis">{at / 1000:.0f} s</text>')  # fmt: skip
    label = ("round trips that were recorded in the incident and seen in its replay, over time, "
             "and how far they are apart; the table below has the numbers")  # fmt: skip
    return Markup(  # noqa: S704 - drawn by us from numbers; the words are ours
        f'<svg viewBox="0 0 {WIDTH} {below + LOW + 26}" role="img" aria-label="{escape(label)}">'
        + "".join(body)
        + "</svg>"
    )


def _rtt(rows: Sequence[Row], x: Callable[[int], float], most_us: int) -> list[str]:
    top_ms = round_up(most_us / 1000)
    bottom = HEAD + HIGH

    def y(us: int) -> float:
        return bottom - us / 1000 / top_ms * (HIGH - 16)

    recorded = " ".join(f"{x(row[0] or 0):.1f},{y(row[1] or 0):.1f}" for row in rows)
    return [
        *_frame("round trip, ms: recorded as a line, replayed as bars from least to most",
                HEAD, bottom, top_ms, y(round(top_ms * 1000))),
        f'<polyline points="{recorded}" class="recorded"/>',
        *_bars(rows, x, lambda row: (y(int(row[2] or 0)), y(int(row[3] or 0)))),
    ]  # fmt: skip


def _apart(rows: Sequence[Row], x: Callable[[int], float], top: int) -> list[str]:
    errors = [_error_us(row) for row in rows]
    top_ms = round_up(max((error for error in errors if error is not None), default=0) / 1000)
    bottom = top + LOW

    def y(us: int) -> float:
        return bottom - us / 1000 / top_ms * (LOW - 16)

    body = _frame("apart at most, ms", top, bottom, top_ms, y(round(top_ms * 1000)))
    for row, error in zip(rows, errors, strict=True):
        at = x(row[0] or 0)
        if error is None:
            body.append(f'<text x="{at:.1f}" y="{bottom - 6}" text-anchor="middle">?</text>')
        else:
            body.append(f'<line x1="{at:.1f}" x2="{at:.1f}" y1="{bottom}" y2="{y(error):.1f}" '
                        'class="apart"/>')  # fmt: skip
    return body


def _frame(title: str, top: int, bottom: int, most: float, high: float) -> list[str]:
    return [
        f'<text x="0" y="{top + 2}" class="group">{escape(title)}</text>',
        f'<line x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{bottom}" y2="{bottom}" class="grid"/>',
        f'<line x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{high:.1f}" y2="{high:.1f}" class="grid"/>',
        f'<text x="{LEFT - 8}" y="{bottom + 4}" text-anchor="end" class="axis">0</text>',
        f'<text x="{LEFT - 8}" y="{high + 4:.1f}" text-anchor="end" class="axis">{most:g}</text>',
    ]


def _bars(
    rows: Sequence[Row], x: Callable[[int], float], y: Callable[[Row], tuple[float, float]]
) -> list[str]:
    found = []
    for row in rows:
        if row[2] is None:
            continue
        least, most = y(row)
        # An interval narrower than a dot would not be seen.
        at, foot, top = x(row[0] or 0), least + 1.5, most - 1.5
        found.append(f'<line x1="{at:.1f}" x2="{at:.1f}" y1="{foot:.1f}" y2="{top:.1f}" '
                     'class="replayed"/>')  # fmt: skip
    return found


def _error_us(row: Row) -> int | None:
    _, recorded, least, most = row
    if recorded is None or least is None or most is None:
        return None
    return max(abs(least - recorded), abs(most - recorded))


def _line(row: Row) -> tuple[str, ...]:
    error = _error_us(row)
    if error is None:
        return _s(row[0]), _ms(row[1]), "not known", "not known"
    return _s(row[0]), _ms(row[1]), f"{_ms(row[2])} and {_ms(row[3])}", _ms(error)


def _s(at_ms: int | None) -> str:
    return f"{(at_ms or 0) / 1000:.1f}"


def _ms(us: int | None) -> str:
    return f"{(us or 0) / 1000:.2f} ms"
