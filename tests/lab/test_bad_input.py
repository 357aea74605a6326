# SPDX-License-Identifier: Apache-2.0
"""Bad input and bad nodes: a clear message, the right exit code, and nothing armed."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.lab.drill import SHIPPED, Drill

Change = Callable[[dict[str, Any]], None]


def check(drill: Drill, done: Any, code: int, *words: str) -> None:
    """Exit code, words in the message, no traceback, nothing armed."""
    said = done.stdout + done.stderr
    assert done.returncode == code, said
    assert "Traceback" not in said, said
    for word in words:
        assert word in said, f"{word!r} is not in: {said}"
    assert drill.leftovers() == []
    assert not any(event["kind"] == "lease.arm-intent" for event in drill.events())


def fault(data: dict[str, Any]) -> dict[str, Any]:
    """The experiment's one fault."""
    found: dict[str, Any] = data["faults"][0]
    return found


def add_overlap(data: dict[str, Any]) -> None:
    """A second cut of the same pairs, half a window later."""
    data["faults"].append({**fault(data), "name": "again", "at_s": 4})


def lose_quorum(data: dict[str, Any]) -> None:
    """Three ways apart: 2, 2 and 1 of 5."""
    fault(data)["params"] = {"side_a": {"site": "frankfurt"}, "side_b": {"site": "london"}}
    data["faults"].append(
        {**fault(data), "name": "witness",
         "params": {"side_a": {"site": "amsterdam"}, "side_b": {"site": ["frankfurt", "london"]}}}
    )  # fmt: skip


EXPERIMENTS: list[tuple[str, Change, list[str]]] = [
    ("unknown key", lambda d: fault(d).update(fro_s=3), ["x.yaml:", "fro_s", "for_s"]),
    ("unknown site", lambda d: fault(d)["params"].update(side_a={"site": "frankfrut"}),
     ["x.yaml:", "frankfrut", "frankfurt"]),
    ("unknown node", lambda d: d["probes"][2].update({"from": {"node": "cli-9"}}),
     ["x.yaml:", "cli-9", "cli-1"]),
    ("unknown kind", lambda d: fault(d).update(kind="partitoin"), ["partitoin", "partition"]),
    ("overlapping faults", add_overlap, ["faults[1]", "overlaps cut-frankfurt"]),
    ("quorum lost silently", lose_quorum, ["accept_quorum_loss", "main"]),
    ("too long", lambda d: fault(d).update(for_s=999999), ["for_s"]),
]  # fmt: skip


@pytest.mark.parametrize(("name", "change", "words"), EXPERIMENTS, ids=[x[0] for x in EXPERIMENTS])
def test_bad_experiment(drill: Drill, name: str, change: Change, words: list[str]) -> None:
    check(drill, drill.run(drill.experiment(change)), 2, *words)
    assert not drill.reports.exists(), "a refused run leaves no directory"


def test_broken_yaml_and_many_mistakes_at_once(drill: Drill) -> None:
    broken = drill.home / "broken.yaml"
    broken.write_text("schema: gameday/v1\nfaults: [\n")
    check(drill, drill.run(broken), 2, "broken.yaml:")

    def many(data: dict[str, Any]) -> None:
        fault(data)["kind"] = "partitoin"
        data["probes"][0]["perod_ms"] = 1
        data["objectives"][0]["measure"] = "time-to-detekt"

    check(drill, drill.run(drill.experiment(many)), 2, "partitoin", "perod_ms", "time-to-detekt")


def test_missing_files(drill: Drill) -> None:
    check(drill, drill.run(drill.home / "nowhere.yaml"), 2, "nowhere.yaml")
    done = drill.run(SHIPPED, drill.home / "no-inventory.yaml")
    check(drill, done, 2, "no-inventory.yaml")
    missing = drill.inventory(lambda a: a["vars"].update(gameday_known_hosts="/nowhere/known"))
    check(drill, drill.run(SHIPPED, missing), 2, "/nowhere/known")


def test_management_path_would_be_cut(drill: Drill) -> None:
    def change(everything: dict[str, Any]) -> None:
        hosts = everything["children"]["sites"]["children"]["london"]["hosts"]
        hosts["lon-1"]["gameday_addresses"].append("198.19.0.21")

    check(drill, drill.run(SHIPPED, drill.inventory(change)), 2, "198.19.0.21", "our own way")


def set_host(node: str, site: str, **variables: object) -> Change:
    """Change host variables of one node."""

    def change(everything: dict[str, Any]) -> None:
        everything["children"]["sites"]["children"][site]["hosts"][node].update(variables)

    return change


def test_unreachable_node(drill: Drill) -> None:
    gone = drill.inventory(set_host("lon-1", "london", ansible_port=2222))
    check(drill, drill.run(SHIPPED, gone), 3, "lon-1", "cannot connect")


def test_changed_host_key(drill: Drill) -> None:
    lab = drill.lab
    lines = (lab.state / "known_hosts").read_text().splitlines()
    keys = {line.split()[0]: line.split()[2] for line in lines}
    known = drill.home / "known_hosts"
    known.write_text("\n".join(lines).replace(keys["198.19.0.21"], keys["198.19.0.22"]) + "\n")
    changed = drill.inventory(lambda a: a["vars"].update(gameday_known_hosts=str(known)))
    check(drill, drill.run(SHIPPED, changed), 3, "lon-1", "host key is not the pinned one")


def test_unknown_host_key(drill: Drill) -> None:
    known = drill.home / "known_hosts"
    lines = (drill.lab.state / "known_hosts").read_text().splitlines()
    known.write_text("\n".join(x for x in lines if not x.startswith("198.19.0.21 ")) + "\n")
    unknown = drill.inventory(lambda a: a["vars"].update(gameday_known_hosts=str(known)))
    check(drill, drill.run(SHIPPED, unknown), 3, "lon-1", str(known))


def test_refused_key(drill: Drill) -> None:
    other = drill.home / "other_key"
    argv = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(other)]
    subprocess.run(argv, check=True)
    refused = drill.inventory(lambda a: a["vars"].update(ansible_ssh_private_key_file=str(other)))
    check(drill, drill.run(SHIPPED, refused), 3, "fra-1", "refused our key", str(other))


def test_sudo_asks_for_a_password(drill: Drill) -> None:
    asks = drill.inventory(set_host("ams-1", "amsterdam", ansible_user="ops"))
    check(drill, drill.run(SHIPPED, asks), 3, "ams-1", "sudo asks ops for a password", "NOPASSWD")


SHIFTED = """\
#!/usr/bin/python3
import runpy
import sys
import time

real = time.time_ns
time.time_ns = lambda: real() + 120_000_000_000
sys.executable = "/home/gameday/python-shifted"
rest = [word for word in sys.argv[1:] if word not in ("-I", "-S")]
if rest[0] == "-c":
    exec(rest[1])
else:
    sys.argv = rest
    runpy.run_path(rest[0], run_name="__main__")
"""
"""A Python whose wall clock is two minutes ahead, and which starts itself again as such."""


def test_clock_two_minutes_off(drill: Drill) -> None:
    """The nodes share this machine's clock, so one node's Python is given a shifted one."""
    home = drill.lab.state / "nodes" / "lon-1" / "home" / "gameday"
    wrapper = home / "python-shifted"
    wrapper.write_text(SHIFTED)
    wrapper.chmod(0o755)
    shifted = drill.inventory(
        set_host("lon-1", "london", ansible_python_interpreter="/home/gameday/python-shifted")
    )
    done = drill.run(SHIPPED, shifted)
    check(drill, done, 3, "lon-1: its clock is 1", "ahead of the controller's")


def test_unsteady_estate_is_not_touched(drill: Drill) -> None:
    def change(data: dict[str, Any]) -> None:
        one = next(p for p in data["probes"] if p["name"] == "user-http")
        one["params"]["status"] = 204

    check(drill, drill.run(drill.experiment(change)), 3, "not steady", "user-http")


def test_no_signing_key(drill: Drill, tmp_path: Path) -> None:
    shutil.rmtree(drill.home / "config")
    check(drill, drill.run(SHIPPED), 2, "gameday keygen")


def test_rehearsal_of_the_procedure(drill: Drill) -> None:
    done = drill.run(SHIPPED.with_name("rehearsal.yaml"))
    assert done.returncode == 0, done.stdout + done.stderr
    assert drill.report()["clean"]["proven"] is True
