# SPDX-License-Identifier: Apache-2.0
"""``gameday data``: a workload's history and a probe's round trips, for other programs."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from gameday.cli.options import REPORTS, RUN

if TYPE_CHECKING:
    from gameday.measures.history import History
    from gameday.record.record import Record


@click.group()
def data() -> None:
    """What a run's workloads and probes saw, for other programs."""


@data.command()
@RUN
@REPORTS
@click.option("--probe", help="The workload probe; needed where a run has several.")
@click.option("--key", help="Only the calls on this key; edn needs it where there are several.")
@click.option(
    "--format", "kind", type=click.Choice(["jsonl", "edn"]), default="jsonl", show_default=True,
    help="jsonl: a call a line. edn: Jepsen's events of one register, for Knossos.",
)  # fmt: skip
def export(
    run_name: str | None, reports: Path, probe: str | None, key: str | None, kind: str
) -> int:  # fmt: skip
    """Print the history of a workload of RUN (default: the newest); touches no node.

    Times are ns after the run began, each call as wide as the bounds of the clocks allow.
    """
    from gameday.cli.report import find_run
    from gameday.record.record import load
    from gameday.report.histories import edn, jsonl

    record = load(find_run(reports, run_name))
    found = _history(record, probe)
    calls = [call for call in found.calls if key in (None, call.key)]
    if key is not None and key not in found.keys:
        _refuse(f"no call is on the key {key!r}", f"one of: {', '.join(found.keys)}")
    if kind == "edn" and key is None and len(found.keys) > 1:
        _refuse("edn holds one register", f"add --key with one of: {', '.join(found.keys)}")
    for line in (edn if kind == "edn" else jsonl)(calls, record.span.lo):
        click.echo(line, nl=False)
    return 0


@data.command()
@RUN
@REPORTS
@click.option("--probe", required=True, help="A probe of round trips: rtt-mesh, icmp, tcp-connect.")
@click.option("--from", "node", help="The node that looks; needed where there are several pairs.")
@click.option("--to", "target", help="The node that it looks at.")
def rtt(
    run_name: str | None, reports: Path, probe: str, node: str | None, target: str | None
) -> int:
    """Print the round trips of one pair in RUN (default: the newest) as CSV; touches no node.

    It is evidence for gameday reproduce. The time is when a look was sent; the round trip lies
    between rtt_ms and rtt_ms + wait_ms, and is empty where no answer came.
    """
    from gameday.cli.report import find_run
    from gameday.record.record import load
    from gameday.report import round_trips

    record = load(find_run(reports, run_name))
    fits = [
        (a, b)
        for a, b in round_trips.pairs(record, probe)
        if node in (None, a) and target in (None, b)
    ]
    if len(fits) != 1:
        there = ", ".join(f"--from {a} --to {b}" for a, b in round_trips.pairs(record, probe)[:12])
        _refuse(f"{len(fits)} pairs of {probe} fit", f"add one of: {there}")
    for line in round_trips.csv(record, probe, fits[0]):
        click.echo(line, nl=False)
    return 0


def _history(record: Record, probe: str | None) -> History:
    from gameday.measures.history import make_history

    workloads = [p["name"] for p in record.plan["probes"] if p["kind"].endswith("-workload")]
    if not workloads:
        _refuse("the run has no workload", "add a probe such as etcd-workload to its experiment")
    if probe is None and len(workloads) > 1:
        _refuse("the run has several workloads", f"add --probe with one of: {', '.join(workloads)}")
    if probe is not None and probe not in workloads:
        _refuse(f"the run has no workload {probe!r}", f"one of: {', '.join(workloads)}")
    return make_history(record, probe or workloads[0])


def _refuse(what: str, todo: str) -> None:
    from gameday.errors import InvalidInput

    raise InvalidInput(what, todo)
