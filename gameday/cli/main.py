# SPDX-License-Identifier: Apache-2.0
"""The console script ``gameday``. Commands are imported when they are called."""

from __future__ import annotations

import importlib
import sys
from typing import Any

import click

from gameday import __version__
from gameday.errors import EXIT_INVALID_INPUT, EXIT_UNKNOWN, GamedayError

COMMANDS = {
    "plan": ("gameday.cli.plan", "plan", "Show what a run would do, and touch nothing."),
    "inventory": (
        "gameday.cli.inventory",
        "inventory",
        "Check an inventory; make one of clusters.",
    ),
    "nodes": ("gameday.cli.prepare", "nodes", "Prepare nodes for gameday, check and clean them."),
    "run": ("gameday.cli.run", "run", "Run an experiment and write its signed report."),
    "approve": ("gameday.cli.approve", "approve", "Sign that an experiment may be run."),
    "countersign": ("gameday.cli.approve", "countersign", "Sign a run that somebody else signed."),
    "excurse": (
        "gameday.cli.excurse",
        "excurse",
        "Make the round trip between two sites longer, now.",
    ),
    "search": ("gameday.cli.search", "search", "Find the longest round trip that is borne."),
    "reproduce": (
        "gameday.cli.reproduce",
        "reproduce",
        "Make an experiment of an incident's recorded round trips.",
    ),
    "incidents": (
        "gameday.cli.incidents",
        "incidents",
        "List incidents, and when each was last reproduced.",
    ),
    "ack": ("gameday.cli.ack", "ack", "Tell a run that goes on what you see."),
    "status": ("gameday.cli.run", "status", "List runs, and which of them need a hand."),
    "recover": ("gameday.cli.recover", "recover", "Finish what a dead controller left."),
    "sweep": ("gameday.cli.sweep", "sweep", "Remove what any run left, without its record."),
    "measure": ("gameday.cli.report", "measure", "Judge a recorded run with today's code."),
    "report": ("gameday.cli.report", "report", "Check a run's report and summarise it."),
    "verify": ("gameday.cli.report", "verify", "Check who signed a report and what."),
    "schedule": ("gameday.cli.schedule", "schedule", "Drills that come again, by themselves."),
    "history": ("gameday.cli.history", "history", "List drills with their numbers."),
    "compare": ("gameday.cli.history", "compare", "Compare two runs, interval against interval."),
    "keygen": ("gameday.cli.report", "keygen", "Make a signing key, if you have none."),
    "data": ("gameday.cli.data", "data", "Export what a run's workloads and probes saw."),
    "schema": ("gameday.cli.plan", "schema", "Print the JSON Schema of experiments."),
    "faults": ("gameday.cli.faults", "faults", "List what can be broken; check says where."),
    "lab": ("gameday.cli.lab", "lab", "A three-site estate on this machine."),
}


class Lazy(click.Group):
    """A group whose commands live in modules that are imported on use."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """In the order of use, not of the alphabet."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, name: str) -> click.Command | None:
        """Import the command's module."""
        if name not in COMMANDS:
            return None
        module, attribute, _ = COMMANDS[name]
        command: click.Command = getattr(importlib.import_module(module), attribute)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """From the table alone, so that help imports nothing."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, text) for name, (_, _, text) in COMMANDS.items()])


@click.group(cls=Lazy, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="gameday")
def cli() -> None:
    """Chaos game days for multi-site, bare-metal Kubernetes.

    Every fault is a lease that its node ends by itself; every number has a bound; every
    report is signed. Exit codes: 0 objectives met, 1 not met, 2 invalid input, 3 unknown
    or could not run, 4 not proven clean.
    """


def main(argv: list[str] | None = None) -> None:
    """Run the command line; errors are told in words, with their exit code."""
    try:
        code = cli.main(args=argv, standalone_mode=False)
    except GamedayError as error:
        tell(error)
        code = error.exit_code
    except click.ClickException as error:
        error.show()
        code = EXIT_INVALID_INPUT
    except (click.Abort, KeyboardInterrupt):
        click.echo("stopped", err=True)
        code = EXIT_UNKNOWN
    sys.exit(code if isinstance(code, int) else 0)


def tell(error: GamedayError) -> None:
    """Print an error: what, every problem on a line of its own, and what to do."""
    click.echo(f"gameday: {error.message}", err=True)
    problems: Any = getattr(error, "problems", ())
    for problem in problems:
        click.echo(f"  {problem}", err=True)
    if error.hint:
        click.echo(f"  -> {error.hint}", err=True)


if __name__ == "__main__":
    main()
