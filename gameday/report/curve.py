# SPDX-License-Identifier: Apache-2.0
"""Three small charts over one axis of round trips: leaders, write latency, failed requests."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from html import escape
from typing import Any

from markupsafe import Markup

WIDTH, LEFT, RIGHT, HIGH, GAP, HEAD = 900, 70, 20, 110, 46, 24
COLOURS = {"kept": "var(--good)", "broke": "var(--bad)", "unknown": "var(--open)"}
DECADE = 10

Row = Mapping[str, Any]


def draw(rows: Sequence[Row], kept: int | None, broke: int | None) -> Markup:
    """The charts as one SVG; every number in it stands in the page's table too.

    Args:
        rows: as ``search.row``, by round trip. kept, broke: the answer's ends, in us.
    """
    if not rows:
        return Markup("")
    x = _axis(rows)
    body: list[str] = []
    y = HEAD
    for title, read in CHARTS:
        if not any(read(row) for row in rows):
            # Nobody watched that: an empty chart would look like none of it.
            continue
        body += _chart(title, read, rows, x, y)
        y += HIGH + GAP
    body += _answer(x, kept, broke, y - GAP)
    body += [
        f'<text x="{x(r["rtt_us"]):.1f}" y="{y - GAP + 16}" text-anchor="middle">'
        f"{r['rtt_us'] / 1000:g}</text>"
        for r in rows
    ]
    label = "leaders elected, write latency and failed requests against the round trip in ms"
    return Markup(  # noqa: S704 - drawn by us from numbers; the words are ours
        f'<svg class="curve" viewBox="0 0 {WIDTH} {y}" role="img" aria-label="{escape(label)}">'
        + "".join(body)
        + "</svg>"
    )


def _axis(rows: Sequence[Row]) -> Callable[[int], float]:
    low, high = math.log(rows[0]["rtt_us"]), math.log(rows[-1]["rtt_us"])
    span = max(high - low, 0.1)
    width = WIDTH - LEFT - RIGHT - 40
    return lambda rtt_us: LEFT + 20 + (math.log(rtt_us) - low) / span * width


def _leaders(row: Row) -> tuple[float, float] | None:
    found = row["leaders"]
    return None if found is None or found[1] is None else (found[0], found[1])


def _writes(row: Row) -> tuple[float, float] | None:
    found = row["write_us"]
    return None if found is None else (found[0] / 1000, found[1] / 1000)


def _failed(row: Row) -> tuple[float, float] | None:
    found = row["failed_ppm"]
    return None if found is None or found[1] is None else (found[0] / 10_000, found[1] / 10_000)


CHARTS: tuple[tuple[str, Callable[[Row], tuple[float, float] | None]], ...] = (
    ("leaders elected", _leaders),
    ("acknowledged writes, ms: median to 95th percentile", _writes),
    ("failed user requests, %", _failed),
)


def _chart(
    title: str, read: Callable[[Row], tuple[float, float] | None], rows: Sequence[Row],
    x: Callable[[int], float], top: int,
) -> list[str]:  # fmt: skip
    values = [read(row) for row in rows]
    most = round_up(max((high for v in values if v for high in v), default=1.0))
    bottom = top + HIGH

    def y(value: float) -> float:
        return bottom - value / most * (HIGH - 16)

    body = [
        f'<text x="0" y="{top + 4}" class="h">{escape(title)}</text>',
        f'<line x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{bottom}" y2="{bottom}" class="g"/>',
        f'<line x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{y(most):.1f}" y2="{y(most):.1f}" class="g"/>',
        f'<text x="{LEFT - 8}" y="{bottom + 4}" text-anchor="end">0</text>',
        f'<text x="{LEFT - 8}" y="{y(most) + 4:.1f}" text-anchor="end">{most:g}</text>',
    ]
    for row, value in zip(rows, values, strict=True):
        at = x(row["rtt_us"])
        if value is None:
            body.append(f'<text x="{at:.1f}" y="{bottom - 6}" text-anchor="middle">?</text>')
            continue
        low, high = y(value[0]), y(value[1])
        colour = COLOURS[row["held"]]
        body.append(
            f'<line x1="{at:.1f}" x2="{at:.1f}" y1="{low:.1f}" y2="{high:.1f}" '
            f'stroke="{colour}" stroke-width="6" stroke-linecap="round"/>'
        )
    return body


def round_up(value: float) -> float:
    """The next of 1, 2, 5, 10, 20, … that is no less, for the end of an axis."""
    if value <= 1:
        return 1
    scale = DECADE ** math.floor(math.log10(value))
    return float(next(step * scale for step in (1, 2, 5, DECADE) if step * scale >= value))


def _answer(
    x: Callable[[int], float], kept: int | None, broke: int | None, bottom: int
) -> list[str]:
    """The stretch in which the limit lies."""
    if kept is None or broke is None:
        return []
    left, right = x(kept), x(broke)
    return [
        f'<rect x="{left:.1f}" width="{right - left:.1f}" y="{HEAD + 8}" '
        f'height="{bottom - HEAD - 8}" class="a"/>'
    ]
