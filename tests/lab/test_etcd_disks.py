# SPDX-License-Identifier: Apache-2.0
"""The disk of an etcd member turns read-only in the lab, seen by the node's own tools as well.

Slow disks need device-mapper, which the lab's nodes do not have: tests/uml has those.
"""

from __future__ import annotations

import time
from typing import Any

import yaml

from gameday.clock import NS_PER_S, wall_ns
from tests.lab.drill import ROOT, Drill, wait

NAME = "etcd-disk-readonly-frankfurt"
LASTS_S = 10
CLIENTS = ("honours-ttl", "caches-forever", "tries-next")


def shape(data: dict[str, Any]) -> None:
    """The shipped experiment, shorter, with every kind of client and a mesh beside it."""
    data.clear()
    path = ROOT / "experiments" / f"{NAME}.yaml"
    data.update(yaml.safe_load(path.read_text(encoding="utf-8")))
    data["steady_state"]["for_s"] = 2
    killed, read_only = data["faults"]
    killed["for_s"], read_only["for_s"] = LASTS_S + 6, LASTS_S
    (user,) = [p for p in data["probes"] if p["name"] == "user-http"]
    for client in CLIENTS[1:]:
        params = {**user["params"], "client": client}
        data["probes"].append({**user, "name": f"user-{client}", "params": params})
    mesh = {"name": "mesh", "kind": "rtt-mesh", "from": {"role": "etcd"}, "to": {"role": "etcd"}}
    data["probes"].append({**mesh, "period_ms": 500})


def test_the_leaders_disk_turns_read_only(drill: Drill) -> None:
    """It is the leader that loses its disk: the others elect one of them, and it comes back."""
    before = elections(drill)
    process = drill.start(drill.experiment(shape))
    drill.wait_step("faults")
    _, expire = drill.window()
    wait(lambda: read_only(drill) is True, 5, lambda: "fra-1 can still write to its disk")
    expire = next(
        e["data"]["lease"]["expire_at_ns"] / NS_PER_S
        for e in drill.events()
        if e["kind"] == "lease.arm-intent" and e["data"]["lease"]["kind"] == "disk-readonly"
    )
    time.sleep(max(0.0, expire - 0.5 - wall_ns() / NS_PER_S))
    assert read_only(drill) is True, "up to the end"
    time.sleep(max(0.0, expire + 1.5 - wall_ns() / NS_PER_S))
    assert read_only(drill) is False, "a second after the end"
    process.wait(timeout=90)
    log = (drill.home / "run.log").read_text()
    assert process.returncode == 0, log
    report = drill.report()
    assert report["clean"]["proven"] is True
    assert drill.leftovers() == []
    found = {o["measurement"]["kind"]: o["measurement"] for o in report["objectives"]}
    won = elections(drill) - before
    assert won >= 1, "fra-1 led, and cannot have led throughout"
    assert found["leader-changes"]["lo"] <= won <= found["leader-changes"]["hi"]
    assert found["quorum-loss"]["hi"] > 0
    assert {row["client"] for row in report["clients"]} == set(CLIENTS)
    assert all(client in log for client in CLIENTS)
    far = round_trips_ms(drill, "fra-1", "lon-1")
    assert len(far) > 20 and min(far) >= 11, "12 ms of wire"


def elections(drill: Drill) -> int:
    """How often a member became the leader, by the members' own logs."""
    found = 0
    for node in ("fra-1", "fra-2", "lon-1", "lon-2", "ams-1"):
        lines = drill.lab.exec(node, ["cat", "/var/log/etcd.log"]).stdout.splitlines()
        found += sum("became leader at term" in line for line in lines)
    return found


def read_only(drill: Drill) -> bool:
    """What the node's own mount table says of its member's disk."""
    out = drill.lab.exec("fra-1", ["findmnt", "-no", "OPTIONS", "/var/lib/etcd"]).stdout
    return "ro" in out.strip().split(",")


def round_trips_ms(drill: Drill, node: str, target: str) -> list[float]:
    """What the mesh saw between two nodes."""
    from gameday.record.record import load

    looks = load(drill.run_directory).seen("mesh")[(node, target)]
    return [look.sample.value["rtt_ns"] / 1e6 for look in looks if look.sample.ok]
