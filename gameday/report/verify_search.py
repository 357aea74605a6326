# SPDX-License-Identifier: Apache-2.0
"""Is a search's directory what somebody trusted signed, and does its answer follow from its runs?

A signature says who stands for a page, not that the page is right. So every run below it is
verified as any run is, each row is read from its run again, the walk from one round trip to the
next is made again, and the answer and the page are made again from the rows.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path
from typing import Any

from gameday import __version__
from gameday.errors import EvidenceError, GamedayError, NotVerified
from gameday.faults import profiles
from gameday.plan.bisection import Tried, next_us
from gameday.record.record import PLAN
from gameday.report.build import canonical
from gameday.report.files import MEASUREMENTS_ENVELOPE, read_whole
from gameday.report.search import ENVELOPE, HTML, JSON, SEARCH_TYPE, conclusion, page, row
from gameday.report.sign import Identity
from gameday.report.trust import read_allowed_signers
from gameday.report.verify import SignedBy, Verified, open_envelope, verify_run

OWN = (JSON, HTML, ENVELOPE)
SIGNER_MARK = b"<h2>Signed by</h2>"
"""Where the page says who signed it: the key's comment, which is not part of the key."""


@dataclass(frozen=True)
class VerifiedSearch:
    """Proof that a search is what was signed, and that its answer follows from its runs.

    Attributes:
        signers: who signed the search and every run. data: search.json.
        redrawn: whether the page was made again and is the same; False where another version of
            gameday made it, whose drawing this one does not know.
    """

    signers: tuple[SignedBy, ...]
    data: Mapping[str, Any]
    redrawn: bool


def is_search(directory: Path) -> bool:
    """Whether a directory is a search's and not a run's."""
    return any((directory / name).exists() for name in OWN)


def verify_search(directory: Path, allowed_signers: Path) -> VerifiedSearch:
    """Check every byte of a search's directory, and that its answer follows from its runs.

    Args:
        directory: of the search. allowed_signers: OpenSSH file of trusted keys.

    Raises:
        NotVerified: with one problem per thing that is wrong.
        EvidenceError: where it could not be checked.
    """
    trusted = read_allowed_signers(allowed_signers)
    missing = [name for name in OWN if not (directory / name).exists()]
    if missing:
        raise _wrong(directory, [f"{name}: missing" for name in missing])
    files = {name: read_whole(directory / name) for name in OWN}
    statement, signers = open_envelope(
        ENVELOPE, files[ENVELOPE], SEARCH_TYPE, trusted, allowed_signers
    )
    data = _signed_data(directory, statement, files)
    rows: list[Mapping[str, Any]] = data["runs"]
    problems = _strangers(directory, rows)
    problems += _subjects(statement, directory, rows)
    runs: dict[str, Verified] = {}
    for name in dict.fromkeys(str(one["run"]) for one in rows):
        try:
            runs[name] = verify_run(directory / name, allowed_signers)
        except NotVerified as error:
            problems += [f"{name}: {text}" for text in error.problems or (error.message,)]
        except EvidenceError as error:
            problems.append(f"{name}: {error.message}")
    problems += _rows(directory, data, runs)
    problems += _walk(data)
    problems += [
        f"{JSON}: its {name} is {data.get(name)!r}, and from its runs follows {wanted!r}"
        for name, wanted in conclusion(rows).items() if data.get(name) != wanted
    ]  # fmt: skip
    redrawn = data.get("gameday") == __version__
    if redrawn and not problems:
        problems += _page(data, files[HTML], signers)
    all_signers = [signers, *({*one.signers} for one in runs.values())]
    both = set.intersection(*all_signers)
    if not problems and not both:
        problems.append("no one signer signed the search and every run of it")
    if problems:
        raise _wrong(directory, problems)
    ordered = tuple(sorted(both, key=lambda s: (s.principals, s.fingerprint)))
    return VerifiedSearch(ordered, data, redrawn)


def _wrong(directory: Path, problems: Sequence[str]) -> NotVerified:
    unique = tuple(dict.fromkeys(problems))
    return NotVerified(f"{directory} is not verified", problems=unique)


def _signed_data(
    directory: Path, statement: Mapping[str, Any], files: Mapping[str, bytes]
) -> dict[str, Any]:
    """search.json, where it is what was signed and has the form of a search."""
    try:
        data: dict[str, Any] = json.loads(files[JSON])
        signed = {one["name"]: one["digest"]["sha256"] for one in statement["subject"]}
        for one in data["runs"]:
            if Path(one["run"]).name != one["run"] or not isinstance(one["rtt_us"], int):
                raise ValueError
        asked = data["asked"]
        numbers = [asked[name] for name in ("least_us", "most_us", "percent", "runs", "hold_s")]
        if not all(isinstance(number, int) for number in numbers):
            raise TypeError
        _usual(asked)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise _wrong(directory, [f"{JSON}: it does not have the form of a search"]) from error
    problems = [
        f"{name}: differs from what was signed"
        for name in (JSON, HTML) if signed.get(name) != _sha256(files[name])
    ]  # fmt: skip
    if statement["predicate"] != data or canonical(data) != files[JSON]:
        problems.append(f"{JSON}: differs from what {ENVELOPE} says")
    if problems:
        raise _wrong(directory, problems)
    return data


def _sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def _usual(asked: Mapping[str, Any]) -> dict[tuple[str, str], int]:
    found = {(one["between"][0], one["between"][1]): int(one["us"]) for one in asked["usual"]}
    if set(found) != set(combinations(asked["sites"], 2)):
        raise ValueError
    return found


def _strangers(directory: Path, rows: Sequence[Mapping[str, Any]]) -> list[str]:
    """What lies in the directory and is neither the search's own nor a run of it."""
    known = {*OWN, *(one["run"] for one in rows)}
    return [
        f"{path.name}: not signed, and not a run of the search"
        for path in sorted(directory.iterdir()) if path.name not in known
    ]  # fmt: skip


def _subjects(
    statement: Mapping[str, Any], directory: Path, rows: Sequence[Mapping[str, Any]]
) -> list[str]:
    """Runs whose envelope is not the signed one, and signed ones that are in no row."""
    signed = {one["name"]: one["digest"]["sha256"] for one in statement["subject"]}
    places = {f"{one['run']}/{MEASUREMENTS_ENVELOPE}" for one in rows}
    problems = [
        f"{place}: signed, but of no row" for place in sorted(set(signed) - places - {JSON, HTML})
    ]
    for place in sorted(places):
        path = directory / place
        if place not in signed:
            problems.append(f"{place}: not signed by {ENVELOPE}")
        elif not path.is_file():
            problems.append(f"{place}: missing")
        elif _sha256(read_whole(path)) != signed[place]:
            problems.append(f"{place}: is not the run that was signed as a part of this search")
    return problems


def _rows(directory: Path, data: Mapping[str, Any], runs: Mapping[str, Verified]) -> list[str]:
    """Rows that are not what their runs say, or whose run asked for something else."""
    problems = []
    for one in data["runs"]:
        name, rtt_us = one["run"], one["rtt_us"]
        if name not in runs:
            continue
        try:
            found = row(directory / name, rtt_us)
            wrong = _asked_else(json.loads(runs[name].files[PLAN]), data["asked"], rtt_us)
        except (GamedayError, ValueError, KeyError, TypeError, IndexError) as error:
            problems.append(f"{name}: its row cannot be made again: {error}")
            continue
        problems += [
            f"{name}: the row says {key} {one.get(key)!r}, and the run {wanted!r}"
            for key, wanted in found.items() if one.get(key) != wanted
        ]  # fmt: skip
        problems += [f"{name}: {text}" for text in wrong]
    return problems


def _asked_else(plan: Mapping[str, Any], asked: Mapping[str, Any], rtt_us: int) -> list[str]:
    """Where a run's plan did not slow every pair of the sites to that round trip, for that long."""
    wanted = {frozenset(pair): rtt_us - us for pair, us in _usual(asked).items()}
    problems = []
    for fault in plan["faults"]:
        sides = fault["sides"]
        pair = frozenset(
            plan["nodes"][node]["site"] for side in ("from", "to") for node in sides[side]
        )
        added = wanted.pop(pair, None)
        profiles_us = {profiles.peak(one["spec"]["profile"]).rtt_us for one in fault["leases"]}
        if profiles_us != {added}:
            problems.append(f"it added {sorted(profiles_us)} us between {sorted(pair)}, and "
                            f"{added} belong to a round trip of {rtt_us} us")  # fmt: skip
        if fault["for_s"] != asked["hold_s"]:
            problems.append(f"it held for {fault['for_s']} s, not {asked['hold_s']} s")
    problems += [f"it did not slow {sorted(pair)}" for pair in wanted]
    return problems


def _walk(data: Mapping[str, Any]) -> list[str]:
    """Where the search did not go from one round trip to the next as a search does."""
    asked = data["asked"]
    tried: list[Tried] = []
    limits = (asked["least_us"], asked["most_us"], asked["percent"])
    for place, one in enumerate(data["runs"]):
        wanted = next_us(*limits, tried)
        if one["rtt_us"] != wanted:
            return [f"{JSON}: run {place + 1} is of {one['rtt_us']} us, and a search of this range "
                    f"would have tried {wanted} there"]  # fmt: skip
        tried.append(Tried(one["rtt_us"], one["held"]))
    if len(tried) > asked["runs"]:
        return [f"{JSON}: {len(tried)} runs, and at most {asked['runs']} were asked for"]
    left = next_us(*limits, tried)
    if left is not None and len(tried) < asked["runs"]:
        return [f"{JSON}: it ends early: {left} us would have been tried next"]
    return []


def _page(data: Mapping[str, Any], found: bytes, signers: set[SignedBy]) -> list[str]:
    """Whether the page is the one that the data make, up to where it names its signer."""
    wanted = page(data, Identity("", "")).partition(SIGNER_MARK)[0]
    drawn, mark, who = found.partition(SIGNER_MARK)
    if not mark or drawn != wanted:
        return [f"{HTML}: is not the page that {JSON} makes"]
    if not any(one.fingerprint.encode() in who for one in signers):
        return [f"{HTML}: names another signer"]
    return []
