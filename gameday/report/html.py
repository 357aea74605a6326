# SPDX-License-Identifier: Apache-2.0
"""``report.html``: one file that needs nothing else, for the auditor and for the engineer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined, select_autoescape
from markupsafe import Markup

from gameday.measures.words import count, milliseconds, names, percent, tenths
from gameday.record.record import Record
from gameday.report import replayed, tables, words
from gameday.report.sign import Identity
from gameday.report.timeline import draw

NS_PER_S = 1_000_000_000
SCALE = 1000
"""Units across an objective's small bar."""


def render(report: Mapping[str, Any], record: Record, signer: Identity) -> str:
    """The page of a report.

    Args:
        report: as built from ``record``. record: for the timeline's lanes.
        signer: who is about to sign these bytes.
    """
    timeline = draw(report, record)
    return (
        environment()
        .get_template("report.html.j2")
        .render(
            report=report,
            words=words,
            signer=signer,
            done=done_sentences(report, record.plan),
            bars={o["name"]: Markup(bar(o)) for o in report["objectives"]},  # noqa: S704 - numbers only
            tables=small_tables(report),
            replays=replayed.charts(report),
            parts=[(o, part_rows(o["measurement"])) for o in report["objectives"]],
            timeline_svg=Markup(timeline.svg),  # noqa: S704 - drawn by us, every text escaped there
            timeline_words=timeline.words,
            short=short_coverage(report["coverage"]),
            names=names,
            count=count,
            percent=percent,
            milliseconds=milliseconds,
        )
    )


def environment() -> Environment:
    """Templates of pages: everything is escaped, a missing value is an error."""
    return Environment(
        loader=PackageLoader("gameday.report", "templates"),
        autoescape=select_autoescape(["html", "j2"]),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )


def small_tables(report: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Tables beside the objectives, those with rows: title, head and rows."""
    found = [
        ("Failures by kind of client", tables.CLIENT_TITLES, tables.client_table(report)),
        ("Detectors", tables.DETECTOR_TITLES, tables.detector_table(report)),
    ]
    return [{"title": title, "head": head, "rows": rows} for title, head, rows in found if rows]


def done_sentences(report: Mapping[str, Any], plan: Mapping[str, Any]) -> list[str]:
    """What was done to the estate, one sentence per fault."""
    found = []
    for fault in report["faults"]:
        sides = [_side(nodes, plan) for nodes in fault["sides"].values() if isinstance(nodes, list)]
        what = str(fault["kind"]).capitalize()
        if sides:
            what += " between " + " and ".join(sides)
        if fault["onset"]:
            lasted = (sum(fault["end"]) - sum(fault["onset"])) // 2
            fires = [x["fire_at_ns"] for x in report["leases"] if x["fault"] == fault["name"]]
            at = words.wall_text(min(fires))
            found.append(f"{what}. In effect for {tenths(lasted)} s from {at}.")
        else:
            found.append(f"{what}. It was never in effect: {fault['fault_reason']}.")
    return found


def _side(nodes: Sequence[str], plan: Mapping[str, Any]) -> str:
    """Nodes by their sites: "frankfurt (fra-1, fra-2)"."""
    sites: dict[str, list[str]] = {}
    for node in nodes:
        site = plan["nodes"].get(node, {}).get("site", "elsewhere")
        sites.setdefault(site, []).append(node)
    return ", ".join(f"{site} ({', '.join(sorted(of))})" for site, of in sorted(sites.items()))


def bar(objective: Mapping[str, Any]) -> str:
    """A small drawing of an interval beside its limit; empty where there is nothing to draw."""
    measurement, limit = objective["measurement"], objective["limit"]
    lo, hi = measurement["lo"], measurement["hi"]
    if limit is None or lo is None or limit["at_most"] <= 0:
        return ""
    whole = max(limit["at_most"] * 5 // 4, (hi if hi is not None else lo) * 21 // 20, 1)

    def x(value: int) -> int:
        return min(SCALE, int(value * SCALE // whole))

    tone = words.JUDGEMENT_TONE[objective["judgement"]]
    end = SCALE if hi is None else max(x(hi), x(lo) + 8)
    edge = x(limit["at_most"])
    label = f"{words.interval_text(measurement)}, limit {words.limit_text(objective)}"
    return (
        f'<svg class="bar {tone}" viewBox="0 0 {SCALE} 60" preserveAspectRatio="none" role="img" '
        f'aria-label="{label}"><rect class="track" x="0" y="26" width="{SCALE}" height="8"/>'
        f'<rect class="sure" x="0" y="22" width="{x(lo)}" height="16"/>'
        f'<rect class="range" x="{x(lo)}" y="14" width="{end - x(lo)}" height="32"/>'
        f'<rect class="limit" x="{edge - 4}" y="2" width="8" height="56"/></svg>'
    )


def part_rows(measurement: Mapping[str, Any]) -> list[tuple[str, str]]:
    """What an interval's width is made of, largest first; nothing that is zero."""
    unit = measurement["unit"]
    rows = sorted(measurement["parts"], key=lambda part: -part["size"])

    def text(size: int) -> str:
        return milliseconds(size) if unit == "ns" else f"{size} {unit}"

    return [(part["name"], text(part["size"])) for part in rows if part["size"]]


def short_coverage(rows: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Coverage per probe: samplers, the worst share delivered, and whether it is enough."""
    found: dict[str, dict[str, Any]] = {}
    for row in rows:
        entry = found.setdefault(
            row["probe"],
            {"probe": row["probe"], "samplers": 0, "due": 0, "delivered": 0, "gaps": 0,
             "ppm": 1_000_000, "held": True, "late_p99_ns": 0},
        )  # fmt: skip
        entry["samplers"] += 1
        entry["due"] += row["due"]
        entry["delivered"] += row["delivered"]
        entry["gaps"] += row["gaps"]
        entry["ppm"] = min(entry["ppm"], row["ppm"])
        entry["held"] = entry["held"] and row["held"]
        entry["late_p99_ns"] = max(entry["late_p99_ns"], row.get("late_p99_ns", 0))
    return list(found.values())
