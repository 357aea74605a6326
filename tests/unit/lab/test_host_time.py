# SPDX-License-Identifier: Apache-2.0
"""The routers' clock is compared by the quickest answer; nobody else's clock is ever touched."""

from __future__ import annotations

import subprocess
import sys

from gameday.lab.host_time import PROGRAM, offset_ns


def test_the_quickest_answer_counts() -> None:
    """A slow one bounds nothing: its answer may have been made at either end."""
    assert offset_ns([(0, 900, 1000), (2000, 2015, 2020), (3000, 3400, 3500)]) == (5, 10)
    assert offset_ns([(100, 40, 120)]) == (-70, 10)


def test_a_clock_that_is_not_user_mode_linux_s_is_left_alone() -> None:
    """This machine's own: the program ends before it reads a line."""
    done = subprocess.run([sys.executable, "-c", PROGRAM], input="1000\n", text=True,
                          capture_output=True, check=False)  # fmt: skip
    assert done.returncode == 1 and done.stdout == ""
    assert "not user-mode-linux" in done.stderr
