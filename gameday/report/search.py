# SPDX-License-Identifier: Apache-2.0
"""The page of a search: every run's verdict and what it cost users and groups, as a curve."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from gameday import __version__, clock
from gameday.errors import EvidenceError
from gameday.measures.common import within
from gameday.plan.bisection import UNMEASURED, Held, Tried, bounds, contradictions
from gameday.record import kinds
from gameday.record.record import REPORT, Record, load
from gameday.report.build import canonical
from gameday.report.curve import draw
from gameday.report.files import MEASUREMENTS_ENVELOPE, read_whole, write_whole
from gameday.report.html import environment
from gameday.report.sign import Identity, SigningKey, statement

SCHEMA = "gameday/search/v1"
SEARCH_TYPE = "https://gameday.dev/attestation/search/v1"
JSON, HTML, ENVELOPE = "search.json", "search.html", "search.dsse.json"
NS_PER_US = 1000


@dataclass(frozen=True)
class Asked:
    """What a search was asked for, as it is written down.

    Attributes:
        sites: two or more. usual: each pair of them with its usual round trip, in us.
        least_us, most_us: the range. percent: how near the answer's ends shall be.
        runs: at most so many. hold_s: how long each round trip is held.
    """

    sites: tuple[str, ...]
    usual: Mapping[tuple[str, str], int]
    least_us: int
    most_us: int
    percent: int
    runs: int
    hold_s: int

    def to_json(self) -> dict[str, Any]:
        """For search.json."""
        usual = [{"between": list(pair), "us": us} for pair, us in self.usual.items()]
        return {**vars(self), "sites": list(self.sites), "usual": usual}


def held(report: Mapping[str, Any], record: Record) -> Held:
    """What a run says of its round trip.

    An abort by a condition broke it; one by the operator, an invalid run and one that left
    something behind say nothing. A missed objective broke it, unless all that was missed is that
    the path was what was asked for.
    """
    verdict = report["verdict"]["verdict"]
    if verdict == "not-clean":
        return "unknown"
    aborted = [event.data["by"] for event in record.of_kind(kinds.ABORT)]
    if aborted:
        return "broke" if aborted[0] == "condition" else "unknown"
    if verdict == "met":
        return "kept"
    missed = {
        one["measurement"]["kind"] for one in report["objectives"] if one["judgement"] == "missed"
    }
    return "broke" if verdict == "not-met" and missed - {UNMEASURED} else "unknown"


def row(directory: Path, rtt_us: int) -> dict[str, Any]:
    """One run of the search; None where a number is not known.

    Attributes of it: rtt_us, held, run, verdict; leaders and failed_ppm as [lo, hi]; write_us as
    [median, 95th percentile] of acknowledged writes inside the fault.

    Raises:
        EvidenceError: where the run has no report.
    """
    record = load(directory)
    report = _report(directory)
    found = {o["measurement"]["kind"]: o["measurement"] for o in report["objectives"]}
    return {
        "rtt_us": rtt_us,
        "held": held(report, record),
        "run": directory.name,
        "verdict": report["verdict"]["verdict"],
        "leaders": _interval(found.get("leader-changes")),
        "failed_ppm": _interval(found.get("client-failure-share")),
        "write_us": _writes(record),
    }


def finish(
    directory: Path, asked: Asked, rows: Sequence[Mapping[str, Any]], key: SigningKey
) -> dict[str, Any]:
    """Write search.json and search.html, and sign both together with every run's own envelope.

    Raises:
        EvidenceError: where a run's envelope is missing.
    """
    data = {
        "schema": SCHEMA, "gameday": __version__, "asked": asked.to_json(), **conclusion(rows),
        "runs": list(rows), "signed_wall_ns": clock.wall_ns(),
    }  # fmt: skip
    write_whole(directory / JSON, canonical(data))
    write_whole(directory / HTML, page(data, key.identity))
    files = {name: read_whole(directory / name) for name in (JSON, HTML)}
    for one in rows:
        place = f"{one['run']}/{MEASUREMENTS_ENVELOPE}"
        files[place] = read_whole(directory / place)
    write_whole(directory / ENVELOPE, key.sign(statement(SEARCH_TYPE, data, files)))
    return data


def conclusion(rows: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """What follows from the runs: kept_us, broke_us, answer and contradictions. Pure."""
    tried = [Tried(r["rtt_us"], r["held"]) for r in rows]
    kept, broke = bounds(tried)
    return {"kept_us": kept, "broke_us": broke, "answer": answer(kept, broke, tried),
            "contradictions": contradictions(tried)}  # fmt: skip


def page(data: Mapping[str, Any], signer: Identity) -> bytes:
    """search.html, which follows from search.json and who signs it. Pure."""
    ordered = sorted(data["runs"], key=lambda r: int(r["rtt_us"]))
    curve = draw(ordered, data["kept_us"], data["broke_us"])
    template = environment().get_template("search.html.j2")
    return template.render(search=data, rows=ordered, curve=curve, signer=signer).encode()


def answer(kept: int | None, broke: int | None, tried: Sequence[Tried]) -> str:
    """The result in one sentence."""
    if any(t.held == "unknown" for t in tried):
        stopped = "The search stopped at a run that does not tell. "
    else:
        stopped = ""
    if kept is None and broke is None:
        return f"{stopped}Nothing is known."
    if kept is None:
        return f"{stopped}Already {_ms(broke)} broke the objectives; nothing shorter was tried."
    if broke is None:
        return f"{stopped}Everything up to {_ms(kept)} was kept; nothing longer was tried."
    return f"{stopped}The objectives are kept at {_ms(kept)} and no more at {_ms(broke)}."


def _ms(rtt_us: int | None) -> str:
    return f"{(rtt_us or 0) / NS_PER_US:g} ms"


def _report(directory: Path) -> dict[str, Any]:
    import json

    try:
        found: dict[str, Any] = json.loads(read_whole(directory / REPORT))
    except ValueError as error:
        raise EvidenceError(f"{directory / REPORT}: not JSON: {error}") from error
    return found


def _interval(measurement: Mapping[str, Any] | None) -> list[int | None] | None:
    if measurement is None or measurement["status"] == "unknown":
        return None
    return [measurement["lo"], measurement["hi"]]


def _writes(record: Record) -> list[int] | None:
    """Median and 95th percentile of acknowledged writes begun and ended inside the fault, in us."""
    probes = [p["name"] for p in record.plan["probes"] if p["kind"] == "etcd-write"]
    took: list[int] = []
    try:
        window = record.window()
    except EvidenceError:
        return None
    for probe in probes:
        for looks in record.seen(probe).values():
            inside = within(looks, window)
            took += (inside.end_ns - inside.start_ns)[inside.ok].tolist()
    if not took:
        return None
    return [int(np.percentile(took, q)) // NS_PER_US for q in (50, 95)]
