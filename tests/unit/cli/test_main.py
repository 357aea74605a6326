# SPDX-License-Identifier: Apache-2.0
"""The command line answers quickly, imports nothing heavy, and tells errors in words."""

from __future__ import annotations

import resource
import subprocess
import sys
import textwrap

import pytest

HEAVY = ("paramiko", "pydantic", "ansible", "rich", "cryptography", "jinja2", "pyroute2", "yaml")

HELP = [sys.executable, "-m", "gameday.cli.main", "--help"]

LEAST_HELP = textwrap.dedent("""
    import click
    @click.group()
    def cli(): pass
    @cli.command()
    def one(): "One."
    cli(["--help"])
""")
"""What any program costs that is made of Python and Click."""

CPU_RATIO_MAX = 2.0
"""1.15 was measured; one heavy import (pydantic, ansible, cryptography) is past it."""


def _cpu_s(argv: list[str]) -> float:
    """Processor time of one run."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run(argv, check=True, stdout=subprocess.DEVNULL)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime


def test_help_is_cheap() -> None:
    """Against Python and Click alone, in turn on the same machine.

    The least of five each: noise only ever adds.
    """
    pairs = [(_cpu_s(HELP), _cpu_s([sys.executable, "-c", LEAST_HELP])) for _ in range(5)]
    ours, least = min(pair[0] for pair in pairs), min(pair[1] for pair in pairs)
    assert ours < CPU_RATIO_MAX * least, pairs


def test_help_imports_nothing_heavy() -> None:
    code = (
        "import sys\n"
        "from gameday.cli.main import cli\n"
        "cli.main(['--help'], standalone_mode=False)\n"
        f"sys.stdout.write(repr([m for m in {HEAVY!r} if m in sys.modules]))\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[]"


@pytest.mark.parametrize("argv", [["nonsense"], ["run"], ["plan", "nowhere.yaml", "-i", "x"]])
def test_wrong_usage_exits_2_without_a_traceback(argv: list[str]) -> None:
    done = subprocess.run([sys.executable, "-m", "gameday.cli.main", *argv], capture_output=True,
                          text=True, check=False)  # fmt: skip
    assert done.returncode == 2, done.stderr
    assert "Traceback" not in done.stderr and done.stderr


def test_every_command_has_help() -> None:
    from gameday.cli.main import COMMANDS

    for name in COMMANDS:
        argv = [sys.executable, "-m", "gameday.cli.main", name, "--help"]
        done = subprocess.run(argv, capture_output=True, text=True, check=False)
        assert done.returncode == 0, f"{name}: {done.stderr}"
        assert len(done.stdout) > 100
