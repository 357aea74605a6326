# SPDX-License-Identifier: Apache-2.0
"""What a run looks like while it goes on: a live table on a terminal, plain lines elsewhere."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import click

from gameday import clock
from gameday.clock import NS_PER_S
from gameday.conduct.board import Board, Look
from gameday.conduct.watcher import Watcher

STALE_NS = 3 * NS_PER_S
"""A probe that said nothing for this long is shown as silent, whatever it said last."""

LINE_EVERY_NS = 5 * NS_PER_S
FRAMES_PER_S = 4


@contextlib.contextmanager
def make_watcher(plan: Mapping[str, Any], directory: Path) -> Iterator[Watcher]:
    """A live view on a terminal, else plain lines; ends tidily however the run ends."""
    if not sys.stdout.isatty():
        yield Lines(plan)
        return
    from rich.console import Console
    from rich.live import Live

    console = Console()
    console.print(f"[bold]{plan['experiment']['metadata']['title']}[/bold]  {directory}")
    with Live(console=console, refresh_per_second=FRAMES_PER_S, transient=False) as live:
        yield Screen(plan, live)


class Lines:
    """One line per step, and one every few seconds in between."""

    def __init__(self, plan: Mapping[str, Any] | None = None) -> None:
        self._plan = plan
        self._begin = clock.mono_ns()
        self._next = 0

    def step(self, name: str, text: str) -> None:
        """A line that says what begins."""
        self._say(f"{name}: {text}")
        self._next = clock.mono_ns() + LINE_EVERY_NS

    def note(self, text: str) -> None:
        """A line below the step."""
        self._say(f"  {text}")

    def tick(self, board: Board, t0_ns: int | None, next_ns: int | None, next_text: str) -> None:
        """Now and then: what the probes say, and what is next."""
        now = clock.mono_ns()
        if now < self._next or next_ns is None or self._plan is None:
            return
        self._next = now + LINE_EVERY_NS
        states = site_states(self._plan, board, now)
        words = [
            f"{site}: " + ", ".join(f"{probe} {good}/{all_}" for probe, (good, all_) in row.items())
            for site, row in states.items()
        ]
        self._say(
            f"  in {max(0, next_ns - now) / NS_PER_S:.0f} s {next_text} | " + " | ".join(words)
        )

    def _say(self, text: str) -> None:
        click.echo(f"[{(clock.mono_ns() - self._begin) / NS_PER_S:6.1f}] {text}")


class Screen:
    """A live table: the timeline, what each site's probes say now, seconds to the next step."""

    def __init__(self, plan: Mapping[str, Any], live: Any) -> None:
        self._plan, self._live = plan, live
        self._step = ("", "")
        self._notes: list[str] = []
        self._drawn = 0

    def step(self, name: str, text: str) -> None:
        """The line above the table changes, and the step stays in the scroll-back."""
        self._step = (name, text)
        self._live.console.print(f"[cyan]{name:<13}[/cyan] {text}", highlight=False)

    def note(self, text: str) -> None:
        """Printed above the table."""
        self._live.console.print(f"  [yellow]{text}[/yellow]", highlight=False)

    def tick(self, board: Board, t0_ns: int | None, next_ns: int | None, next_text: str) -> None:
        """Draw, a few times a second."""
        now = clock.mono_ns()
        if now - self._drawn < NS_PER_S // FRAMES_PER_S:
            return
        self._drawn = now
        self._live.update(self._render(board, t0_ns, next_ns, next_text, now))

    def _render(
        self, board: Board, t0_ns: int | None, next_ns: int | None, next_text: str, now: int
    ) -> Any:
        from rich.console import Group
        from rich.table import Table
        from rich.text import Text

        states = site_states(self._plan, board, now)
        probes = sorted({probe for row in states.values() for probe in row})
        table = Table(title=None, expand=False, pad_edge=False)
        table.add_column("site", style="bold")
        for probe in probes:
            table.add_column(probe, justify="right")
        for site, row in states.items():
            table.add_row(site, *[_cell(row.get(probe)) for probe in probes])
        parts: list[Any] = [Text.from_markup(timeline(self._plan, t0_ns, now)), table]
        alerts = sorted({_short(alert) for alert in board.firing()})
        parts.append(Text("alerts firing: " + ("; ".join(alerts) if alerts else "none")))
        if next_ns is not None:
            left = max(0, next_ns - now) / NS_PER_S
            parts.append(
                Text(f"{self._step[0]}: in {left:.0f} s {next_text}   (Ctrl-C ends the faults now)")
            )
        return Group(*parts)


def _short(alert: tuple[str, ...]) -> str:
    """An alert by its name and the site or node it is about."""
    labels = dict(label.split("=", 1) for label in alert[1:])
    about = [labels[key] for key in ("site", "node") if key in labels]
    return f"{alert[0]} ({' '.join(about)})" if about else alert[0]


def _cell(state: tuple[int, int] | None) -> str:
    if state is None:
        return "[dim]-[/dim]"
    good, count = state
    if good == count:
        return f"[green]ok {good}/{count}[/green]"
    return (
        f"[red]FAIL {good}/{count}[/red]" if good == 0 else f"[yellow]part {good}/{count}[/yellow]"
    )


def timeline(plan: Mapping[str, Any], t0_ns: int | None, now: int, width: int = 60) -> str:
    """One line: the fault's window and recovery as a bar, with a mark for now (rich markup)."""
    times = plan["timeline"]
    total = times["faults_end_s"] + times["recover_s"]
    faults = max(1, width * times["faults_end_s"] // max(1, total))
    bar = ["=" if i < faults else "-" for i in range(width)]
    if t0_ns is None:
        return (
            f"before T0   [red]{''.join(bar[:faults])}[/red][green]{''.join(bar[faults:])}[/green]"
        )
    at = (now - t0_ns) / NS_PER_S
    position = int(width * at / max(1, total))
    if 0 <= position < width:
        bar[position] = "|"
    left, right = "".join(bar[:faults]), "".join(bar[faults:])
    return f"T0{at:+7.1f} s  [red]{left}[/red][green]{right}[/green]  {total} s"


def site_states(
    plan: Mapping[str, Any], board: Board, now_ns: int
) -> dict[str, dict[str, tuple[int, int]]]:
    """Site to probe to (samplers whose last look was good, samplers); silent ones are not good.

    A sampler belongs to the site of what it looks at, where that is a node, else to its
    vantage's.
    """
    sites = {node: name for name, nodes in plan["sites"].items() for node in nodes}
    latest = board.latest()
    found: dict[str, dict[str, tuple[int, int]]] = {site: {} for site in plan["sites"]}
    for probe in plan["probes"]:
        for one in probe["samplers"]:
            site = sites.get(one["target"], sites.get(one["node"], one["node"]))
            if probe["kind"].startswith("kube-"):
                site = probe["params"]["site"]
            look = latest.get((probe["name"], one["node"], one["target"]))
            good, count = found.setdefault(site, {}).get(probe["name"], (0, 0))
            found[site][probe["name"]] = (good + int(_fresh(look, now_ns)), count + 1)
    return {site: row for site, row in found.items() if row}


def _fresh(look: Look | None, now_ns: int) -> bool:
    return look is not None and look.ok and now_ns - look.at_ns < STALE_NS
