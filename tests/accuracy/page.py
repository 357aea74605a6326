# SPDX-License-Identifier: Apache-2.0
"""docs/accuracy.md and its drawing, from all results; what did not hold is listed first."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from statistics import median

from gameday.clock import NS_PER_MS
from tests.accuracy.once import LEADERS, Case, Compared

TEMPLATE = Path(__file__).with_name("page.md")
WIDTH, ROW, LEFT, HEAD = 900, 5, 170, 26
SPAN = 3.0
"""The drawing reaches this many half widths to either side of an interval's middle."""

COLOURS = {"inside": "#2b7a4b", "blurred": "#b98900", "outside": "#c0262d"}

Found = Sequence[tuple[Case, list[Compared]]]


def write(found: Found, failed: Sequence[str], docs: Path) -> None:
    """Write the page and the drawing into ``docs``."""
    (docs / "accuracy.svg").write_text(draw(found), encoding="utf-8")
    (docs / "accuracy.md").write_text(render(found, failed), encoding="utf-8")


def render(found: Found, failed: Sequence[str]) -> str:
    """The page."""
    return TEMPLATE.read_text(encoding="utf-8").format(
        runs=len(found), seeds=_seeds(found), kinds="\n".join(_kind_rows(found)),
        wrong=_listed(_wrong(found), "No truth lies outside of its bounds."),
        wide=_listed(_wide(found), "No interval is wider than it may be."),
        untold=_listed([*failed, *_untold(found)], "Every number of every run was told."),
        rows="\n".join(_rows(found)),
    )  # fmt: skip


def _seeds(found: Found) -> str:
    seeds = [case.seed for case, _ in found]
    return f"{min(seeds)} to {max(seeds)}" if seeds else "none"


def _kind_rows(found: Found) -> list[str]:
    rows = []
    for what in _kinds(found):
        all_of = [one for _, each in found for one in each if one.what == what]
        told = [one.judgement for one in all_of]
        widths = [one.hi - one.lo for one in all_of if one.hi is not None and one.lo is not None]
        true = [one.true_hi - one.true_lo for one in all_of
                if one.true_hi is not None and one.true_lo is not None]  # fmt: skip
        counts = " | ".join(str(told.count(x)) for x in ("inside", "blurred", "outside", "untold"))
        wide = sum(one.wide for one in all_of)
        shown = _counts if what == LEADERS else _ms
        rows.append(f"| {what} | {counts} | {shown(widths)} | {shown(true)} | {wide} |")
    return rows


def _kinds(found: Found) -> list[str]:
    return list(dict.fromkeys(one.what for _, each in found for one in each))


def _ms(values: Sequence[int]) -> str:
    if not values:
        return "-"
    return f"{median(values) / NS_PER_MS:.1f} ({max(values) / NS_PER_MS:.1f})"


def _counts(values: Sequence[int]) -> str:
    return f"{median(values):.0f} ({max(values)})" if values else "-"


def _wrong(found: Found) -> list[str]:
    return [f"seed {case.seed}, {one.what}: {_both(one)}"
            for case, each in found for one in each if one.judgement == "outside"]  # fmt: skip


def _wide(found: Found) -> list[str]:
    return [
        f"seed {case.seed}, {one.what}: {((one.hi or 0) - (one.lo or 0)) / NS_PER_MS:.1f} ms wide, "
        f"{one.allowed / NS_PER_MS:.1f} ms allowed"
        for case, each in found for one in each if one.wide
    ]  # fmt: skip


def _untold(found: Found) -> list[str]:
    return [
        f"seed {case.seed}, {one.what}: " + (one.reason or "the oracle did not see it")
        for case, each in found for one in each if one.judgement == "untold"
    ]  # fmt: skip


def _listed(lines: Sequence[str], nothing: str) -> str:
    return "\n".join(f"- {line}" for line in lines) if lines else nothing


def _both(one: Compared) -> str:
    # Moments are shown from the truth on; durations as they are.
    if one.what == LEADERS:
        return f"[{one.lo}, {one.hi}], true [{one.true_lo}, {one.true_hi}]"
    base = (one.true_lo or 0) if one.what in ("onset", "end") else 0

    def ms(value: int | None) -> str:
        return "-" if value is None else f"{(value - base) / NS_PER_MS:.1f}"

    return f"[{ms(one.lo)}, {ms(one.hi)}] ms, true [{ms(one.true_lo)}, {ms(one.true_hi)}] ms"


def _rows(found: Found) -> list[str]:
    return [
        f"| {case.seed} | {case.site} | {case.fault} | {case.for_s} | {case.period_ms} "
        f"| {one.what} | {_both(one).replace(', true ', ' | ').replace(' ms', '')} "
        f"| {one.judgement} |"
        for case, each in found for one in each
    ]  # fmt: skip


def draw(found: Found) -> str:
    """Every truth in its interval, all intervals drawn equally wide; one line per number."""
    body, y = [], HEAD
    middle, half = LEFT + (WIDTH - LEFT) / 2, (WIDTH - LEFT) / 2 / SPAN
    for what in _kinds(found):
        shown = [
            one
            for _, each in found
            for one in each
            if one.what == what and one.hi is not None and one.judgement in COLOURS
        ]
        body.append(f'<text x="0" y="{y + 10}">{what}</text>')
        high = max(len(shown) * ROW, 14)
        body.append(f'<rect class="b" x="{middle - half:.1f}" y="{y}" width="{2 * half:.1f}" '
                    f'height="{high}"/>')  # fmt: skip
        for place, one in enumerate(shown):
            left, right = (_place(one, at, middle, half) for at in (one.true_lo, one.true_hi))
            body.append(
                f'<rect x="{left:.1f}" y="{y + place * ROW + 1}" width="{max(2, right - left):.1f}"'
                f' height="{ROW - 2}" fill="{COLOURS[one.judgement]}"/>'
            )
        y += high + 12
    style = "text{font:12px sans-serif;fill:#333}.b{fill:#dfe7ee;stroke:#8aa0b4}"
    head = f'<text x="{LEFT}" y="14">each truth in its interval</text>'
    return (f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {y}" role="img" '
            f'aria-label="truth in its interval"><style>{style}</style>'
            f'<rect width="{WIDTH}" height="{y}" fill="#fff"/>{head}' + "".join(body)
            + "</svg>\n")  # fmt: skip


def _place(one: Compared, at: int | None, middle: float, half: float) -> float:
    centre, size = ((one.lo or 0) + (one.hi or 0)) / 2, max(1, (one.hi or 0) - (one.lo or 0)) / 2
    place = middle + ((at or 0) - centre) / size * half
    return min(max(place, float(LEFT)), float(WIDTH))
