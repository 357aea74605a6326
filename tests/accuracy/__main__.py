# SPDX-License-Identifier: Apache-2.0
"""Compare gameday with an independent truth, run by run: ``make accuracy``.

    python -m tests.accuracy [--runs 100] [--seed 1] [--minutes 50] [--lab NAME] [--keep DIR]

Seeds are run from --seed on, one after another, until --runs results are there or --minutes have
passed. Results are kept in --keep, so that a second call goes on where the first one stopped; then
docs/accuracy.md is written from all of them. Exit code 1 where a truth lies outside of its bounds.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

from gameday import clock
from gameday.errors import GamedayError
from gameday.lab import Lab
from tests.accuracy import page
from tests.accuracy.once import Case, Compared, as_json, from_json, run_case

ROOT = Path(__file__).resolve().parents[2]


def main() -> int:
    """Run what is missing, write the page; returns the exit code."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=100)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--minutes", type=int, default=50)
    parser.add_argument("--lab", default="accuracy")
    parser.add_argument("--keep", type=Path, default=ROOT / ".accuracy")
    given = parser.parse_args()
    given.keep.mkdir(parents=True, exist_ok=True)
    deadline = clock.mono_ns() + given.minutes * 60 * clock.NS_PER_S
    lab = Lab(given.lab)
    try:
        failed = run_all(lab, range(given.seed, given.seed + given.runs), given.keep, deadline)
    finally:
        lab.down()
    found = kept(given.keep)
    page.write(found, failed, ROOT / "docs")
    outside = [one for _, each in found for one in each if one.judgement == "outside"]
    say(f"{len(found)} runs compared, {len(outside)} numbers outside of their bounds")
    return 1 if outside else 0


def run_all(lab: Lab, seeds: range, keep: Path, deadline_ns: int) -> list[str]:
    """Run the seeds that have no result yet; returns what did not come to an end."""
    failed = []
    for seed in seeds:
        result = keep / f"{seed}.json"
        if result.exists():
            continue
        if clock.mono_ns() > deadline_ns:
            break
        case = Case.of(seed)
        try:
            compared = run_case(lab, case, keep / "run")
        except (GamedayError, AssertionError) as error:
            failed.append(f"seed {seed}: {str(error).splitlines()[0][:300]}")
            say(failed[-1])
            continue
        result.write_text(json.dumps(as_json(case, compared)), encoding="utf-8")
        words = ", ".join(f"{one.what} {one.judgement}" for one in compared)
        say(f"seed {seed}: {case.site}, {case.fault}, every {case.period_ms} ms: {words}")
    return failed


def kept(keep: Path) -> list[tuple[Case, list[Compared]]]:
    """All results, by seed."""
    found = [from_json(json.loads(path.read_bytes())) for path in keep.glob("*.json")]
    return sorted(found, key=lambda one: one[0].seed)


def say(line: str) -> None:
    """Progress goes to standard error."""
    sys.stderr.write(f"accuracy: {line}\n")


if __name__ == "__main__":
    sys.exit(main())
