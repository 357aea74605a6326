# SPDX-License-Identifier: Apache-2.0
"""An incident's round trips, exported, reproduced, replayed and compared; end to end in the lab."""

from __future__ import annotations

import contextlib
import hashlib
import signal
import subprocess
import warnings
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from statistics import median
from typing import Any

import yaml

from gameday.reproduce.pcap import Hosts
from gameday.reproduce.read import Asked, read
from tests.lab.drill import ROOT, Drill

PAIR = ("--from", "fra-1", "--to", "lon-1")
QUIET_S = 5
"""The lab is quiet for as long before the fault: the experiment's steady state."""

HELD_S = (22, 38)
"""Inside the time in which the experiment holds its longest round trip."""

BAR_PPM = 50_000
"""5 %, which is more than a millisecond on every step of this incident."""

TIMEOUT_S = 400
"""A minute's fault, on a machine that is three times slower than it should be."""


def moment(wall_s: float) -> str:
    """RFC 3339 in UTC."""
    return datetime.fromtimestamp(wall_s, UTC).isoformat(timespec="milliseconds")


@contextlib.contextmanager
def captured(drill: Drill, to: Path) -> Iterator[None]:
    """What TCP there is between fra-1 and lon-1, captured on fra-1."""
    space = f"--net=/proc/{drill.lab.pid('fra-1')}/ns/net"
    dump = subprocess.Popen(
        ["nsenter", space, "tcpdump", "-i", "wan0", "-n", "-U", "-Z", "root", "-s", "96", "-w",
         str(to), "tcp and host 198.18.20.11"],
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    try:
        yield
    finally:
        dump.send_signal(signal.SIGINT)
        dump.wait(timeout=60)


def incident(drill: Drill) -> tuple[Path, tuple[str, ...]]:
    """A congested path as evidence: its CSV, and the options that say when it was."""
    with captured(drill, drill.home / "night.pcap"):
        done = drill.run(
            ROOT / "experiments" / "wan-congestion-frankfurt-london.yaml", timeout_s=TIMEOUT_S
        )
    assert drill.report()["verdict"]["outcome"] == "completed", done.stdout + done.stderr
    begin, end = drill.window()
    found = drill.gameday("data", "rtt", "--reports", str(drill.reports), "--probe", "mesh", *PAIR)
    assert found.returncode == 0, found.stderr
    evidence = drill.home / "night.csv"
    evidence.write_text(found.stdout)
    same_in_tcp(evidence, drill.home / "night.pcap", begin + HELD_S[0], begin + HELD_S[1])
    window = ("--from", moment(begin), "--to", moment(end))
    return evidence, (*window, "--quiet", moment(begin - QUIET_S), moment(begin))


def same_in_tcp(evidence: Path, capture: Path, begin_s: float, end_s: float) -> None:
    """While the path is longest, TCP's time stamps say of it what echoes do."""

    def usual(asked: Asked, file: Path) -> float:
        looks = [x for x in read(file, asked).looks if begin_s <= x.at_ms / 1000 <= end_s]
        return median(x.rtt_us for x in looks if x.rtt_us is not None)

    echoes = usual(Asked({}), evidence)
    hosts = Hosts(("198.18.10.11", "198.18.20.11"), "198.18.10.11")
    stamps = usual(Asked({}, hosts=hosts), capture)
    assert 0.8 < stamps / echoes < 1.25, f"{stamps} us by TCP, {echoes} us by echoes"


def replay_error(report: dict[str, Any]) -> dict[str, Any]:
    """The objective that compares the replay with its incident."""
    found: dict[str, Any] = next(
        one for one in report["objectives"] if one["measurement"]["kind"] == "replay-error"
    )
    return found


def replay(drill: Drill, again: Path) -> dict[str, Any]:
    """Run the reproduction: valid, proven clean, and its verdict no better than its number."""
    done = drill.run(again, timeout_s=TIMEOUT_S)
    report = drill.report()
    assert report["verdict"]["outcome"] == "completed", done.stdout + done.stderr
    assert report["clean"]["proven"] is True
    assert drill.leftovers() == []
    objective = replay_error(report)
    found = objective["measurement"]
    assert found["status"] == "measured", found["reason"]
    assert (objective["judgement"] == "met") == (found["hi"] <= BAR_PPM)
    assert (objective["judgement"] == "missed") == (found["lo"] > BAR_PPM)
    return objective


def test_an_incident_is_reproduced_and_compared(drill: Drill) -> None:
    """The replay's round trips are as recorded: within 5 % or 1 ms at the 95th percentile.

    Routers in user-mode-linux add delays of their own while the machine does other work, so a
    replay that missed it is made once more; a miss is never green.
    """
    evidence, when = incident(drill)
    again = drill.home / "again.yaml"
    made = drill.gameday(
        "reproduce", str(evidence), "frankfurt", "london", "-i", str(drill.lab.inventory),
        "--id", "INC-1", *when, "--step", "1s", "--hole", "5s", "--at", "fra-rtr",
        "-o", str(again),
    )  # fmt: skip
    assert made.returncode == 0, made.stdout + made.stderr
    named = yaml.safe_load(again.read_text())["metadata"]["incident"]
    assert named["sha256"] == hashlib.sha256(evidence.read_bytes()).hexdigest()

    objective = replay(drill, again)
    if objective["judgement"] != "met":
        warnings.warn(f"made again, it missed: {objective['measurement']['hi']} ppm", stacklevel=1)
        objective = replay(drill, again)
    assert objective["judgement"] == "met", objective["measurement"]
    drawn = (drill.run_directory / "report.html").read_text(encoding="utf-8")
    assert 'class="recorded"' in drawn and "Every step in numbers" in drawn
    verified = drill.gameday("verify", str(drill.run_directory))
    assert verified.returncode == 0, verified.stdout + verified.stderr
