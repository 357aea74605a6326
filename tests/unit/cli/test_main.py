# SPDX-License-Identifier: Apache-2.0
"""The command line answers quickly, imports nothing heavy, and tells errors in words."""

from __future__ import annotations

import resource
import subprocess
import sys

import pytest

HEAVY = ("paramiko", "pydantic", "ansible", "rich", "cryptography", "jinja2", "pyroute2", "yaml")
CPU_S_MAX = 0.15


def test_help_is_cheap() -> None:
    """Least CPU of five runs: the machine's noise only ever adds."""
    used = []
    for _ in range(5):
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        subprocess.run([sys.executable, "-m", "gameday.cli.main", "--help"], check=True,
                       stdout=subprocess.DEVNULL)  # fmt: skip
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        used.append(after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime)
    assert min(used) < CPU_S_MAX, used


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
