# SPDX-License-Identifier: Apache-2.0
"""Leftovers on real nodes whose ledger and run record are lost, found and removed."""

from __future__ import annotations

import json
import re

from tests.lab.drill import Drill

NODES = ("fra-1", "fra-2", "lon-1", "lon-2", "ams-1")
COUNTS = re.compile(r" ?\[\d+:\d+\]")


def rules(drill: Drill) -> dict[str, list[str]]:
    """Rules and sets of every node, by the node's own tools; counters and times cut off."""
    found = {}
    for node in NODES:
        lines: list[str] = []
        for argv in (["iptables-save"], ["ip6tables-save"], ["ipset", "list", "-n"]):
            out = drill.lab.exec(node, argv).stdout.splitlines()
            lines += [COUNTS.sub("", line) for line in out if not line.startswith("#")]
        found[node] = lines
    return found


def test_lost_ledger_and_living_leases(drill: Drill) -> None:
    drill.lab.exec(
        "fra-1", ["iptables", "-A", "INPUT", "-p", "tcp", "--dport", "9999", "-j", "DROP"]
    )
    try:
        _test_lost_ledger(drill)
    finally:
        drill.lab.exec(
            "fra-1", ["iptables", "-D", "INPUT", "-p", "tcp", "--dport", "9999", "-j", "DROP"]
        )


def _test_lost_ledger(drill: Drill) -> None:
    was = rules(drill)
    process = drill.start(drill.experiment(lambda data: data["faults"][0].update(for_s=120)))
    drill.wait_step("faults")
    process.kill()
    process.wait()
    assert drill.leftovers()
    drill.lab.exec("fra-1", ["sh", "-c", "rm -f /var/lib/gameday/ledger/*"])
    inventory = str(drill.lab.inventory)

    # Only what no ledger knows is removed: the leases of the others are inside their windows.
    done = drill.gameday("sweep", "-i", inventory, "--yes")
    assert done.returncode == 4, done.stdout + done.stderr
    assert "fra-1: ended IPv4 raw: chain GD-" in done.stdout
    assert "its run may be alive; end it with --force" in done.stderr
    assert not [line for line in drill.leftovers() if line.startswith("fra-1")]
    assert [line for line in drill.leftovers() if line.startswith("lon-1")]

    done = drill.gameday("sweep", "-i", inventory, "--yes", "--force")
    assert done.returncode == 0, done.stdout + done.stderr
    assert drill.leftovers() == []
    assert rules(drill) == was
    again = drill.gameday("sweep", "-i", inventory)
    assert again.returncode == 0 and "ended" not in again.stdout


def test_a_node_that_does_not_answer_is_not_clean(drill: Drill) -> None:
    inventory = drill.inventory(
        lambda data: data["children"]["sites"]["children"]["london"]["hosts"]["lon-1"].update(
            ansible_host="198.19.0.99"
        )
    )
    done = drill.gameday("sweep", "-i", str(inventory), "--yes", "lon-1", "fra-1")
    assert done.returncode == 4 and "lon-1: not read back" in done.stderr
    checked = drill.gameday("faults", "check", "-i", str(inventory), "lon-1", "fra-1", "--json")
    assert checked.returncode == 3
    found = json.loads(checked.stdout)
    assert set(found["nodes"]) == {"fra-1"} and set(found["errors"]) == {"lon-1"}
    assert "partition" not in found["nodes"]["fra-1"]["reasons"]
