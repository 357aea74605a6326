# SPDX-License-Identifier: Apache-2.0
"""Small tools that run on a node with systemd (``machine``), beside gameday and without it.

on_node.py step SECONDS        step the wall clock
on_node.py sleep-until MONO_S  until a moment of the monotonic clock
on_node.py watch FILE MONO_S [TEXT]
                               note each change of a file: [[mono_s, text], ...], with "gone" for
                               the text where nothing is in it; until then, or until it has TEXT
                               ("*" is any but "gone")
on_node.py now                 seconds of the monotonic clock
on_node.py kill                SIGKILL to all of gameday's processes; how many there were
"""

from __future__ import annotations

import json
import os
import signal
import sys
import time
from pathlib import Path

from gameday.ticks import NS_PER_MS, NS_PER_S, mono_ns, sleep_until_mono, wall_ns

OURS = b"gameday/agent"


def main(what: str, *rest: str) -> None:
    """Do one of them."""
    if what == "step":
        time.clock_settime_ns(time.CLOCK_REALTIME, wall_ns() + int(float(rest[0]) * NS_PER_S))
    elif what == "sleep-until":
        sleep_until_mono(int(float(rest[0]) * NS_PER_S))
    elif what == "watch":
        seen = watch(Path(rest[0]), int(float(rest[1]) * NS_PER_S), "".join(rest[2:]))
        sys.stdout.write(json.dumps(seen))
    elif what == "now":
        sys.stdout.write(str(mono_ns() / NS_PER_S))
    elif what == "kill":
        sys.stdout.write(str(len(kill())))
    else:
        sys.exit(f"unknown: {what}")


def watch(path: Path, until_ns: int, end: str = "") -> list[tuple[float, str]]:
    """Each change of a file's text, words only, with its moment in monotonic seconds."""
    seen: list[tuple[float, str]] = []
    while (now := mono_ns()) < until_ns:
        try:
            text = " ".join(path.read_text(encoding="utf-8").split()) or "gone"
        except OSError:
            # A control group ends with its unit: ENOENT, or ENODEV where that is just happening.
            text = "gone"
        if not seen or text != seen[-1][1]:
            seen.append((now / NS_PER_S, text))
        if text == end or (end == "*" and text != "gone"):
            break
        sleep_until_mono(now + 50 * NS_PER_MS)
    return seen


def kill() -> list[int]:
    """Stop all of them before any is killed: they start each other again."""
    ours = []
    for entry in os.listdir("/proc"):
        try:
            if entry.isdigit() and OURS in Path(f"/proc/{entry}/cmdline").read_bytes():
                ours.append(int(entry))
        except OSError:
            continue
    for number in (signal.SIGSTOP, signal.SIGKILL):
        for pid in ours:
            os.kill(pid, number)
    return ours


if __name__ == "__main__":
    main(*sys.argv[1:])
