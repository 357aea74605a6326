# SPDX-License-Identifier: Apache-2.0
"""Draws the timeline as inline SVG: fault window, lanes, measured intervals, alerts.

State is told by height and pattern as well as by colour: ok is a thin line, another answer
a half-height bar, failed a full bar, no data a hatched one. Colours come from the page.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape
from typing import Any

from gameday.measures.words import seconds, tenths
from gameday.record.record import Record
from gameday.report.lanes import STATE_TEXT, Lane, Span, State, Tick, lanes, ticks
from gameday.report.words import interval_text

WIDTH = 1120
LABEL = 236
RIGHT = 16
ROW = 19
HEAD = 30
GROUP = 27
NAMES, LETTER = 14, 7.0
"""Height of a row of fault names, and how wide a letter of them is at most on average."""
HEIGHTS: Mapping[State, int] = {"ok": 3, "changed": 7, "failed": 13, "mixed": 13, "none": 13}
TICK_STEPS_S = (1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 1800, 3600)
TICKS_MAX = 14
NS_PER_S = 1_000_000_000
CHARACTER = 6
"""Width of a label's character, in units of the drawing."""


@dataclass(frozen=True)
class Timeline:
    """The drawing, and the same in words for those who do not see it."""

    svg: str
    words: tuple[str, ...]


@dataclass(frozen=True)
class Axis:
    """Run's time to x. ``lo`` and ``hi`` are what is shown, ``zero`` is the onset."""

    lo: int
    hi: int
    zero: int

    def x(self, at: int) -> float:
        """Place of a moment, kept inside the drawing."""
        inside = min(max(at, self.lo), self.hi)
        return LABEL + (inside - self.lo) * (WIDTH - LABEL - RIGHT) / max(1, self.hi - self.lo)

    @property
    def pixel_ns(self) -> int:
        """Nanoseconds per unit of the drawing."""
        return max(1, (self.hi - self.lo) // (WIDTH - LABEL - RIGHT))


def draw(report: Mapping[str, Any], record: Record) -> Timeline:
    """The timeline of a run; empty where nothing was sampled."""
    axis = _axis(report, record)
    if axis is None:
        return Timeline("", ())
    rows = lanes(record, axis.lo, axis.hi, axis.pixel_ns)
    alerts = [t for t in ticks(record) if axis.lo <= t.at <= axis.hi]
    body: list[str] = []
    labels = _labels(report, axis)
    top = HEAD + NAMES * max((row for _, row, _ in labels), default=0)
    y = _measured(body, report, axis, top)
    if alerts:
        y = _alerts(body, alerts, axis, y)
    group = ""
    for lane in rows:
        if lane.group != group:
            group = lane.group
            body.append(f'<text class="group" x="0" y="{y + 18}">{escape(group)}</text>')
            y += GROUP
        _lane(body, lane, axis, y)
        y += ROW
    back = [*_windows(report, axis, top, y), *_named(labels), *_background(report, axis, top, y)]
    name = "Timeline of the run: fault window, measured intervals, alerts, and what probes saw"
    svg = (
        f'<svg viewBox="0 0 {WIDTH} {y + 26}" role="img" aria-labelledby="tl-title tl-desc" '
        f'xmlns="http://www.w3.org/2000/svg"><title id="tl-title">{name}</title>'
        f'<desc id="tl-desc">The same in words follows below the drawing.</desc>'
        '<defs><pattern id="hatch" width="6" height="6" patternUnits="userSpaceOnUse" '
        'patternTransform="rotate(45)"><rect class="hatch-back" width="6" height="6"/>'
        '<line class="hatch-line" x1="0" y1="0" x2="0" y2="6"/></pattern></defs>'
        + "".join(back + body)
        + "</svg>"
    )
    return Timeline(svg, tuple(_words(lane, axis) for lane in rows))


def _axis(report: Mapping[str, Any], record: Record) -> Axis | None:
    moments = [m for streams in (record.seen(p["name"]) for p in record.plan["probes"])
               for samples in streams.values() if samples
               for m in (samples[0].start.lo, samples[-1].end.hi)]  # fmt: skip
    if not moments:
        return None
    onsets = [fault["onset"][0] for fault in report["faults"] if fault["onset"]]
    return Axis(min(moments), max(moments), min(onsets, default=min(moments)))


def _labels(report: Mapping[str, Any], axis: Axis) -> list[tuple[float, int, str]]:
    """Per fault where its name begins, in which row so that no two overlap, and the text."""
    found: list[tuple[float, int, str]] = []
    free: list[float] = []
    for fault in report["faults"]:
        if not fault["onset"]:
            continue
        (a, b), (c, d) = fault["onset"], fault["end"]
        text = f"{fault['name']}, {tenths((c + d - a - b) // 2)} s"
        x = axis.x(a) + 4
        row = next((row for row, end in enumerate(free) if end <= x), len(free))
        free[row : row + 1] = [x + LETTER * len(text)]
        found.append((x, row, text))
    return found


def _named(labels: Sequence[tuple[float, int, str]]) -> list[str]:
    return [
        f'<text class="window-label" x="{x:.1f}" y="{14 + row * NAMES}">{escape(text)}</text>'
        for x, row, text in labels
    ]


def _windows(report: Mapping[str, Any], axis: Axis, top: int, bottom: int) -> list[str]:
    """Of every fault; the hull of onset and end in a deeper shade."""
    parts: list[str] = []
    y, high = top - 8, bottom - top + 8
    for fault in report["faults"]:
        if not fault["onset"]:
            continue
        (a, b), (c, d) = fault["onset"], fault["end"]
        x = axis.x(a)
        parts.append(_rect("window", x, y, axis.x(d) - x, high))
        for lo, hi in ((a, b), (c, d)):
            wide = max(1.5, axis.x(hi) - axis.x(lo))
            parts.append(_rect("hull", axis.x(lo) - wide / 2, y, wide, high))
    return parts


def _background(report: Mapping[str, Any], axis: Axis, top: int, bottom: int) -> list[str]:
    """Where the run was aborted, grid and axis."""
    parts: list[str] = []
    if report["abort"]:
        x = axis.x(report["abort"]["at_ns"])
        parts.append(f'<line class="abort" x1="{x:.1f}" x2="{x:.1f}" y1="{top}" y2="{bottom}"/>')
        parts.append(f'<text class="abort-label" x="{x + 4:.1f}" y="{top + 4}">aborted</text>')
    step = _step(axis)
    first = -((axis.zero - axis.lo) // step) * step
    for offset in range(first, axis.hi - axis.zero + 1, step):
        x = axis.x(axis.zero + offset)
        parts.append(f'<line class="grid" x1="{x:.1f}" x2="{x:.1f}" y1="{top}" y2="{bottom}"/>')
        text = "onset" if offset == 0 else f"{offset // NS_PER_S:+d} s"
        parts.append(
            f'<text class="axis" text-anchor="middle" x="{x:.1f}" y="{bottom + 17}">{text}</text>'
        )
    return parts


def _step(axis: Axis) -> int:
    for step in TICK_STEPS_S:
        if (axis.hi - axis.lo) // (step * NS_PER_S) <= TICKS_MAX:
            return step * NS_PER_S
    return axis.hi - axis.lo


def _measured(body: list[str], report: Mapping[str, Any], axis: Axis, y: int) -> int:
    """A bar per measured duration: solid up to lo, whisker from lo to hi."""
    found = [
        o
        for o in report["objectives"]
        if o["measurement"]["unit"] == "ns" and o["measurement"]["start"]
    ]
    if not found:
        return y
    body.append(f'<text class="group" x="0" y="{y + 14}">measured</text>')
    y += GROUP - 4
    for objective in found:
        measurement = objective["measurement"]
        middle = y + ROW / 2 - 3
        body.append(_label(objective["name"], middle))
        start = sum(measurement["start"]) // 2
        end = measurement["end"]
        x = axis.x(start)
        text = interval_text(measurement)
        if end is None:
            body.append(_line("never", x, axis.x(axis.hi), middle))
            _beside(body, text, axis.x(axis.hi), x, middle)
        else:
            lo, hi = axis.x(end[0]), axis.x(end[1])
            body.append(_rect("span", x, middle - 3, max(1, lo - x), 6))
            body.append(_line("whisker", lo, max(hi, lo + 1), middle))
            for edge in (lo, max(hi, lo + 1)):
                body.append(
                    f'<line class="whisker" x1="{edge:.1f}" x2="{edge:.1f}" '
                    f'y1="{middle - 6:.1f}" y2="{middle + 6:.1f}"/>'
                )
            _beside(body, text, hi, x, middle)
        y += ROW
    return y + 6


def _beside(body: list[str], text: str, right: float, left: float, y: float) -> None:
    """A value beside its bar: to the right, or to the left where there is no room."""
    room = right + 8 + len(text) * CHARACTER < WIDTH - RIGHT
    x, anchor = (right + 8, "start") if room else (left - 8, "end")
    body.append(
        f'<text class="value" text-anchor="{anchor}" x="{x:.1f}" y="{y + 4:.1f}">'
        f"{escape(text)}</text>"
    )


def _alerts(body: list[str], alerts: Sequence[Tick], axis: Axis, y: int) -> int:
    """A triangle per alert that fired (filled) or was resolved (hollow), on a row per name."""
    body.append(f'<text class="group" x="0" y="{y + 14}">alerts</text>')
    y += GROUP - 4
    for name in dict.fromkeys(tick.name for tick in alerts):
        middle = y + ROW / 2 - 3
        body.append(_label(name, middle))
        for tick in (t for t in alerts if t.name == name):
            x = axis.x(tick.at)
            word = "fires" if tick.firing else "resolved"
            points = f"{x:.1f},{middle + 5:.1f} {x - 5:.1f},{middle - 5:.1f} "
            points += f"{x + 5:.1f},{middle - 5:.1f}"
            body.append(f'<polygon class="alert {word}" points="{points}"/>')
            offset = seconds(tick.at - axis.zero)
            body.append(
                f'<text class="value" x="{x + 9:.1f}" y="{middle + 4:.1f}">{word} {offset}</text>'
            )
        y += ROW
    return y + 6


def _lane(body: list[str], lane: Lane, axis: Axis, y: int) -> None:
    middle = y + ROW / 2 - 3
    body.append(_label(lane.label, middle))
    for span in lane.spans:
        height = HEIGHTS[span.state]
        x = axis.x(span.lo)
        wide = max(0.8, axis.x(span.hi) - x)
        body.append(_rect(span.state, x, middle - height / 2, wide, height))


def _label(text: str, middle: float) -> str:
    limit = LABEL // CHARACTER - 2
    short = text if len(text) <= limit else text[: limit - 1] + "…"
    return (
        f'<text class="label" text-anchor="end" x="{LABEL - 12}" y="{middle + 4:.1f}">'
        f"{escape(short)}</text>"
    )


def _rect(kind: str, x: float, y: float, width: float, height: float) -> str:
    return (
        f'<rect class="{kind}" x="{x:.1f}" y="{y:.1f}" width="{width:.1f}" height="{height:.1f}"/>'
    )


def _line(kind: str, x1: float, x2: float, y: float) -> str:
    return f'<line class="{kind}" x1="{x1:.1f}" x2="{x2:.1f}" y1="{y:.1f}" y2="{y:.1f}"/>'


def _words(lane: Lane, axis: Axis) -> str:
    """A lane as a sentence; times are relative to onset."""

    def say(span: Span) -> str:
        lo, hi = seconds(span.lo - axis.zero), seconds(span.hi - axis.zero)
        return f"{STATE_TEXT[span.state]} from {lo} to {hi}"

    shown = "; ".join(say(span) for span in lane.spans[:20])
    more = f"; and {len(lane.spans) - 20} more" if len(lane.spans) > 20 else ""
    return f"{lane.group}, {lane.label}: {shown or 'no data'}{more}"
