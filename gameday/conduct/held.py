# SPDX-License-Identifier: Apache-2.0
"""Who writes a run's journal holds a lock on it, which the kernel ends with the process.

Process ids say nothing of another pod: in each, gameday is process 1.
"""

from __future__ import annotations

import fcntl
from pathlib import Path
from typing import BinaryIO

from gameday import clock
from gameday.errors import Refused

TRIES, PAUSE_NS = 20, 50 * clock.NS_PER_MS
"""Who only asks has a lock too, for a moment."""


def hold(journal: Path) -> BinaryIO:
    """Keep others from a journal for as long as the file that is returned stays open.

    Raises:
        Refused: where somebody has it.
    """
    file = open(journal, "ab")  # noqa: SIM115 - held open for the whole run
    for _ in range(TRIES):
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            clock.sleep_until_mono(clock.mono_ns() + PAUSE_NS)
            continue
        except OSError:
            # A file system without locks; who asks learns the same.
            return file
        return file
    file.close()
    raise Refused(f"{journal.parent.name}: its controller is alive", "stop it with Ctrl-C instead")


def is_held(journal: Path) -> bool | None:
    """Whether somebody has it; ``None`` on a file system that has no locks."""
    with open(journal, "rb") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        except OSError:
            return None
    return False
