# SPDX-License-Identifier: Apache-2.0
"""What three BGP programs print, recorded from real ones, as one value.

tests/cases/bgp holds answers of FRR 8.4.4 and ExaBGP 4.2.21, each with one session to bird 2.0.12
that announced the address, withdrew it, announced it again and ended the session.
"""

from __future__ import annotations

import json
import os
import socket
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from gameday.clock import NS_PER_MS
from gameday.probes import bgp, bgp_exabgp, bgp_frr
from gameday.probes.base import Failed, Outcome, Schedule, Target, Value
from gameday.probes.deadline import Deadline

CASES = Path(__file__).parents[2] / "cases" / "bgp"
VIP = "203.0.113.53/32"
SCHEDULE = Schedule(250 * NS_PER_MS, 2000 * NS_PER_MS)

SESSIONS = """\
2002-Name       Proto      Table      State  Since         Info
1002-device1    Device     ---        up     2026-11-23 20:54:50.709
     fra        BGP        ---        up     2026-11-23 20:54:51.515  Established
     lon        BGP        ---        start  2026-11-23 20:54:50.709  Active        Socket: refused
     old        BGP        ---        down   2026-11-23 20:54:50.709
0000
"""
PRESENT = """\
1007-Table master4:
     203.0.113.53/32      unreachable [fra 20:54:53.893 from 10.9.0.1] * (100) [AS65110i]
1008-\tType: BGP univ
1012-\tBGP.origin: IGP
     \tBGP.as_path: 65010 65110
     \tBGP.next_hop: 10.9.0.1
     \tBGP.local_pref: 100
0000
"""


def look(params: bgp.BgpParams) -> Outcome:
    return bgp.PROBE.sampler(params, "mon-1", Target("mon-1", ()), SCHEDULE)()


@pytest.fixture
def bird(tmp_path: Path) -> Iterator[dict[str, str]]:
    """bird's control socket with its recorded answers; the dict may be changed, and has "path"."""
    path = tmp_path / "bird.ctl"
    answers = {
        "restrict": "0016 Access restricted\n",
        "show protocols": SESSIONS,
        f"show route all {VIP}": PRESENT,
        "path": str(path),
    }
    server = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    server.bind(str(path))
    server.listen()

    def serve() -> None:
        while True:
            try:
                talk, _ = server.accept()
            except OSError:
                return
            with talk, talk.makefile("rw", encoding="ascii") as file:
                file.write("0001 BIRD 2.0.12 ready.\n")
                file.flush()
                for line in file:
                    file.write(answers[line.strip()])
                    file.flush()

    threading.Thread(target=serve, daemon=True).start()
    yield answers
    server.close()


def test_bird_with_the_route(bird: dict[str, str]) -> None:
    assert look(bgp.BgpParams(VIP, socket=bird["path"])) == Value({
        "present": True, "next_hops": ["10.9.0.1"], "origins": ["65110"],
        "paths": ["fra: 65010 65110"], "up": 1,
        "sessions": ["fra: Established", "lon: Active", "old: down"],
    })  # fmt: skip


def test_bird_without_it(bird: dict[str, str]) -> None:
    bird[f"show route all {VIP}"] = "8001 Network not found\n"
    found = look(bgp.BgpParams(VIP, socket=bird["path"]))
    assert isinstance(found, Value) and found.value["present"] is False
    assert found.value["origins"] == []


def test_bird_that_refuses_or_is_not_there(bird: dict[str, str], tmp_path: Path) -> None:
    bird[f"show route all {VIP}"] = "9001 syntax error, unexpected CF_SYM_UNDEFINED\n"
    found = look(bgp.BgpParams(VIP, socket=bird["path"]))
    assert isinstance(found, Failed) and "syntax error" in found.reason
    found = look(bgp.BgpParams(VIP, socket=str(tmp_path / "nobody")))
    assert isinstance(found, Failed) and found.reason == "network: No such file or directory"


def test_bird_that_hangs(tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as server:
        server.bind(str(tmp_path / "ctl"))
        server.listen()
        params = bgp.BgpParams(VIP, socket=str(tmp_path / "ctl"))
        schedule = Schedule(50 * NS_PER_MS, 50 * NS_PER_MS)
        found = bgp.PROBE.sampler(params, "mon-1", Target("mon-1", ()), schedule)()
        assert found == Failed("timeout: 50 ms")


def test_frr() -> None:
    present = bgp.value_of(bgp_frr.table_of((CASES / "frr-present.txt").read_text()))
    assert present == {
        "present": True, "next_hops": ["10.9.0.1"], "origins": ["65110"],
        "paths": ["10.9.0.1: 65110"], "up": 1,
        "sessions": ["10.9.0.1: Established", "10.9.0.9: Active"],
    }  # fmt: skip
    absent = bgp.value_of(bgp_frr.table_of((CASES / "frr-absent.txt").read_text()))
    assert (absent["present"], absent["up"]) == (False, 1)
    with pytest.raises(ValueError, match="Expecting value"):
        bgp_frr.table_of("% Unknown command")


def test_exabgp_line_by_line(tmp_path: Path) -> None:
    path = tmp_path / "lines"
    path.touch()
    follower = bgp_exabgp.Follower(str(path), VIP, 60_000)
    seen: list[tuple[bool, int]] = []
    for line in (CASES / "exabgp.jsonl").read_text().splitlines(keepends=True):
        with path.open("a") as file:
            file.write(line[:40])
        follower.read(Deadline(SCHEDULE.timeout_ns))
        with path.open("a") as file:
            file.write(line[40:])
        value = bgp.value_of(follower.read(Deadline(SCHEDULE.timeout_ns)))
        if not seen or seen[-1] != (value["present"], value["up"]):
            seen.append((value["present"], value["up"]))
    # Session, route, withdrawn, announced again; the session ends and takes the route along.
    assert seen == [(False, 0), (False, 1), (True, 1), (False, 1), (True, 1), (False, 0)]


def test_exabgp_begins_anew_with_a_new_file_and_says_that_it_is_quiet(tmp_path: Path) -> None:
    path, lines = tmp_path / "lines", (CASES / "exabgp.jsonl").read_text().splitlines(keepends=True)
    path.write_text("".join(lines[:5]))
    follower = bgp_exabgp.Follower(str(path), VIP, 60_000)
    assert follower.read(Deadline(SCHEDULE.timeout_ns)).routes
    path.write_text("")
    assert not follower.read(Deadline(SCHEDULE.timeout_ns)).routes
    os.utime(path, (1, 1))
    found = look(bgp.BgpParams(VIP, "exabgp", file=str(path)))
    assert isinstance(found, Failed) and "quiet for" in found.reason


@pytest.mark.parametrize("line", ["nonsense", json.dumps({"neighbor": {}, "type": "state"})])
def test_exabgp_that_writes_something_else(tmp_path: Path, line: str) -> None:
    (tmp_path / "lines").write_text(line + "\n")
    found = look(bgp.BgpParams(VIP, "exabgp", file=str(tmp_path / "lines")))
    assert isinstance(found, Failed) and found.reason.startswith("protocol:")


@pytest.mark.parametrize(
    "wrong", [{"prefix": "203.0.113.53/24"}, {"prefix": "x"}, {"prefix": VIP, "source": "exabgp"}]
)
def test_parameters_that_do_not_fit(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"prefix|file"):
        bgp.BgpParams(**wrong)
