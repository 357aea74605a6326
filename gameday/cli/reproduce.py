# SPDX-License-Identifier: Apache-2.0
"""``gameday reproduce``: an incident's recorded round trips to an experiment."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

import click

from gameday.cli.options import AT, INVENTORY, URL, USERS

if TYPE_CHECKING:
    from gameday.reproduce.read import Evidence
    from gameday.reproduce.replay import Replay

LENGTH = re.compile(r"(\d+(?:\.\d+)?)(us|ms|s)")
IN_US = {"us": 1, "ms": 1000, "s": 1_000_000}


@click.command()
@click.argument("evidence", type=click.Path(path_type=Path))
@click.argument("site_a")
@click.argument("site_b")
@INVENTORY
@click.option("--id", "name", required=True, help="What the incident is called: INC-2041.")
@click.option("--from", "start", required=True, help="The window's beginning, RFC 3339 with zone.")
@click.option("--to", "end", required=True, help="The window's end.")
@click.option("--base", help="The path's usual round trip, which is taken off: 12ms.")
@click.option("--quiet", nargs=2, help="Instead: a quiet time of the evidence, from and to.")
@click.option("--step", help="Resample to this: 200ms. By default the shortest that fits.")
@click.option("--hole", help="Bear times without a look up to this: 5s.")
@click.option("--path", default="", help="Which path's lines, where the evidence has several.")
@click.option("--time-column", help="NAME:UNIT; s, ms, us, ns or rfc3339.")
@click.option("--rtt-column", help="NAME:UNIT; s, ms, us or ns.")
@click.option("--loss-column", help="NAME:UNIT; percent, ratio or ppm.")
@click.option("--path-column", help="NAME of the column that names paths.")
@click.option(
    "--hosts", default="", help="Of a capture: the two ends of the path, ADDRESS,ADDRESS."
)
@click.option("--captured-at", default="", help="Where it was taken: one of the two, or between.")
@click.option("--prometheus", "server", help="Ask this server, http://host:port, and keep its "
              "answers as EVIDENCE.")  # fmt: skip
@click.option("--query", default="", help="PromQL for --prometheus.")
@click.option("--means", help="What the query's values are: rtt:s, rtt:ms, loss:ratio, …")
@click.option("--token", default="", help="A bearer token's reference: env:NAME or file:/path.")
@click.option("--ca", default="", help="Certificates of the authority of an https server.")
@AT
@URL
@USERS
@click.option("--fixed-by", default="", help="The change that is to have mended it.")
@click.option("-o", "--output", required=True, type=click.Path(path_type=Path),
              help="The experiment's file; must not be there yet.")  # fmt: skip
def reproduce(  # noqa: PLR0917 - click passes every option by name
    evidence: Path, site_a: str, site_b: str, inventory: Path, name: str, start: str, end: str,
    base: str | None, quiet: tuple[str, str] | None, step: str | None, hole: str | None, path: str,
    time_column: str | None, rtt_column: str | None, loss_column: str | None,
    path_column: str | None, hosts: str, captured_at: str, server: str | None, query: str,
    means: str | None, token: str, ca: str, at: tuple[str, ...], url: str, role: str,
    fixed_by: str, output: Path,
) -> int:  # fmt: skip
    """Make an experiment of EVIDENCE: CSV, NDJSON, Prometheus' answers, or a capture (pcap).

    The window is replayed between SITE_A and SITE_B. Nothing is touched; run the experiment
    with gameday run.
    """
    from gameday.plan import load_inventory
    from gameday.reproduce import make, replay
    from gameday.reproduce.columns import parse_column
    from gameday.reproduce.pcap import parse_hosts
    from gameday.reproduce.prometheus import parse_means
    from gameday.reproduce.read import Asked, read

    given = {"time": time_column, "rtt": rtt_column, "loss": loss_column, "path": path_column}
    columns = {what: parse_column(what, text) for what, text in given.items() if text}
    from_ms, to_ms = _span("--from and --to", start, end)
    still = _span("--quiet", *quiet) if quiet else None
    step_ms = _ms("--step", step) if step else None
    hole_ms = _ms("--hole", hole) if hole else None
    base_us = _us("--base", base) if base else None
    meaning = parse_means(means) if means else None
    found_inventory = load_inventory(inventory)
    _free(output)
    if server is not None:
        _fetch((server, query, token, ca), step_ms, (from_ms, to_ms), still, evidence, meaning)
    ends = parse_hosts(hosts, captured_at) if hosts or captured_at else None
    found = read(evidence, Asked(columns, path, meaning, ends))
    path = path or (f"{hosts} captured at {captured_at}" if ends else "")
    for warning in found.warnings:
        click.echo(f"warning: {warning}", err=True)
    looks = replay.cut(found.looks, from_ms, to_ms, hole_ms, found.file)
    if base_us is None:
        base_us = _base(found, still)
    replayed = replay.replay(looks, from_ms, to_ms, base_us, step_ms)
    incident = make.Incident(name, (site_a, site_b), at, path, fixed_by, url, role, query)
    text, _ = make.planned(incident, found, replayed, found_inventory)
    _write(output, text.encode())
    _tell(replayed, output)
    return 0


def _fetch(  # noqa: PLR0917 - what one question is about
    asked: tuple[str, str, str, str], step_ms: int | None, window: tuple[int, int],
    quiet: tuple[int, int] | None, evidence: Path, meaning: object,
) -> None:  # fmt: skip
    """Ask Prometheus, and keep what it answers before anything is read from it."""
    from gameday.errors import InvalidInput
    from gameday.reproduce import fetch

    server, query, token, ca = asked
    if not query or step_ms is None or meaning is None:
        raise InvalidInput("--prometheus needs --query, --means and --step",
                           "such as --query ping_rtt_seconds --means rtt:s --step 1s")  # fmt: skip
    _free(evidence)
    question = fetch.Question(server, query, step_ms, token, ca)
    fetch.check(question)
    content = fetch.fetch(question, fetch.spans(window, quiet, step_ms))
    _write(evidence, content)
    click.echo(f"kept Prometheus' answers as {evidence}")


def _base(evidence: Evidence, quiet: tuple[int, int] | None) -> int:
    """What the path takes anyway: 0 where only loss was recorded, else it must be known."""
    from gameday.errors import InvalidInput
    from gameday.reproduce.replay import base_of

    if all(look.rtt_us is None for look in evidence.looks):
        return 0
    if quiet is None:
        raise InvalidInput("what the path takes anyway is not known",
                           "give --base 12ms, or --quiet FROM TO with a quiet time of the "
                           "evidence")  # fmt: skip
    return base_of(evidence.looks, *quiet)


def _span(option: str, start: str, end: str) -> tuple[int, int]:
    from gameday.errors import InvalidInput
    from gameday.reproduce.values import Wrong, moment_ms

    problems, found = [], []
    for text in (start, end):
        try:
            found.append(moment_ms(option, text))
        except Wrong as error:
            problems.append(str(error))
    if not problems and found[0] >= found[1]:
        problems.append(f"{option}: {end} is not after {start}")
    if problems:
        raise InvalidInput(problems[0], "; ".join(problems[1:]))
    return found[0], found[1]


def _us(option: str, text: str) -> int:
    from gameday.errors import InvalidInput

    found = LENGTH.fullmatch(text)
    length = round(float(found[1]) * IN_US[found[2]]) if found else 0
    if not length:
        raise InvalidInput(f"{option}: not a length of time: {text!r}", "write 200ms, 0.5ms or 5s")
    return length


def _ms(option: str, text: str) -> int:
    from gameday.errors import InvalidInput

    found = _us(option, text)
    if found % 1000:
        raise InvalidInput(f"{option}: {text} is not a whole number of milliseconds")
    return found // 1000


def _free(path: Path) -> None:
    """A file of somebody's, whose ``fixed_by`` may be edited by hand, is never overwritten."""
    from gameday.errors import InvalidInput

    if path.exists():
        raise InvalidInput(f"{path} is there already",
                           "choose another name; answers of Prometheus are read again without "
                           "--prometheus")  # fmt: skip


def _write(path: Path, content: bytes) -> None:
    from gameday.errors import InvalidInput

    _free(path)
    try:
        with path.open("xb") as file:
            file.write(content)
    except OSError as error:
        raise InvalidInput(f"{path}: cannot write: {error.strerror}",
                           "choose another place") from error  # fmt: skip


def _tell(found: Replay, output: Path) -> None:
    from gameday.reproduce.series import MS_PER_S, show_ms, show_time

    end = show_time(found.from_ms + found.for_s * MS_PER_S)
    click.echo(f"{show_time(found.from_ms)} to {end}: {found.looks} looks, "
               f"{found.answers} answers, {found.for_s} s")  # fmt: skip
    click.echo(f"usual round trip, taken off: {show_ms(found.base_us)}")
    if found.below_base:
        click.echo(f"{found.below_base} answers were faster than that; no fault can replay them")
    click.echo(f"{len(found.points)} points, one every {found.step_ms} ms at the most; recorded "
               f"answers are within {show_ms(found.error_p95_us)} of what the fault holds for 95 "
               f"of 100, within {show_ms(found.error_max_us)} for all")  # fmt: skip
    click.echo(f"kept as {output}")
