# SPDX-License-Identifier: Apache-2.0
"""Whatever dies during the fault, it ends on time; seen by ping, which gameday does not run."""

from __future__ import annotations

import signal
import time

from gameday import clock
from gameday.record.record import load
from tests.lab.drill import Drill, Ping, assert_cut_exactly, wait


def until(wall_s: float) -> None:
    """Wait for a moment of the wall clock: the window's end is what is waited for."""
    time.sleep(max(0.0, wall_s - clock.wall_ns() / clock.NS_PER_S))


def test_controller_killed(drill: Drill) -> None:
    ping = Ping(drill.lab, "cli-1", "198.18.10.12")
    process = drill.start(drill.experiment(lambda data: None))
    drill.wait_step("faults")
    process.kill()
    process.wait()
    fire, expire = drill.window()
    until(expire + 3)
    assert_cut_exactly(ping.replies(), fire, expire)

    listed = drill.gameday("status", "--reports", str(drill.reports))
    assert listed.returncode == 3 and "gameday recover" in listed.stdout
    done = drill.gameday("recover", "--reports", str(drill.reports))
    assert done.returncode == 0, done.stdout + done.stderr
    assert "ABORTED" in done.stdout.upper()
    assert drill.report()["clean"]["proven"] is True
    assert drill.leftovers() == []
    assert drill.gameday("verify", str(drill.run_directory)).returncode == 0
    assert drill.report()["verdict"]["verdict"] != "met"
    # Vantages went on looking while nobody fetched: their samples reach past the fault's end.
    record = load(drill.run_directory)
    for looks in record.seen("dns").values():
        assert looks[-1].end.lo > record.window().end.hi
    again = drill.gameday("recover", "--reports", str(drill.reports))
    assert again.returncode == 0 and "nothing to recover" in again.stdout


def test_controller_killed_and_recovered_inside_the_window(drill: Drill) -> None:
    ping = Ping(drill.lab, "cli-1", "198.18.10.12")
    process = drill.start(drill.experiment(lambda data: data["faults"][0].update(for_s=40)))
    drill.wait_step("faults")
    process.kill()
    process.wait()
    done = drill.gameday("recover", "--reports", str(drill.reports))
    assert done.returncode == 0, done.stdout + done.stderr
    healed = clock.wall_ns() / clock.NS_PER_S
    until(healed + 1)
    _, expire = drill.window()
    assert healed < expire, "recover is meant to end the fault early here"
    assert [r for r in ping.replies() if r > healed], "the fault went on after recover"
    assert drill.leftovers() == []


def test_every_process_on_a_node_killed(drill: Drill) -> None:
    ping = Ping(drill.lab, "fra-1", "198.18.20.11")
    process = drill.start(drill.experiment(lambda data: None))
    drill.wait_step("faults")
    for node in ("fra-1", "lon-1"):
        killed = drill.lab.exec(node, ["pkill", "-9", "-c", "-f", "/var/lib/gameday/agent/"])
        assert int(killed.stdout or 0) >= 3, f"{node}: serve, reap and probe are processes"
    fire, expire = drill.window()
    process.wait(timeout=90)
    assert_cut_exactly(ping.replies(), fire, expire)
    report = drill.report()
    assert report["clean"]["proven"] is True
    assert drill.leftovers() == []
    # The probes died too: what they would have seen is unknown, and unknown is not met.
    assert process.returncode == 3, (drill.home / "run.log").read_text()


def test_node_processes_and_controller_killed_nobody_tidies(drill: Drill) -> None:
    ping = Ping(drill.lab, "fra-1", "198.18.20.11")
    process = drill.start(drill.experiment(lambda data: None))
    drill.wait_step("faults")
    process.kill()
    process.wait()
    for node in ("fra-1", "fra-2", "lon-1", "lon-2", "ams-1"):
        drill.lab.exec(node, ["pkill", "-9", "-f", "/var/lib/gameday/agent/"])
    fire, expire = drill.window()
    until(expire + 2)
    assert_cut_exactly(ping.replies(), fire, expire)
    assert drill.leftovers() != [], "inert rules stay where nobody is left to remove them"
    blocked = drill.run(drill.experiment(lambda data: None, "second.yaml"))
    assert blocked.returncode == 3 and "gameday recover" in blocked.stderr
    done = drill.gameday("recover", "--reports", str(drill.reports))
    assert done.returncode == 0, done.stdout + done.stderr
    assert drill.leftovers() == []


def test_ctrl_c_ends_the_fault_at_once(drill: Drill) -> None:
    ping = Ping(drill.lab, "cli-1", "198.18.10.12")
    process = drill.start(drill.experiment(lambda data: data["faults"][0].update(for_s=60)))
    drill.wait_step("faults")
    asked = clock.wall_ns() / clock.NS_PER_S
    process.send_signal(signal.SIGINT)
    process.wait(timeout=60)
    log = (drill.home / "run.log").read_text()
    assert process.returncode == 3, log
    assert "Traceback" not in log
    back = [r for r in ping.replies() if r > asked]
    assert back and min(back) - asked < 10, "the fault did not end on Ctrl-C"
    assert drill.report()["clean"]["proven"] is True
    assert drill.leftovers() == []


def test_abort_condition_ends_the_fault(drill: Drill) -> None:
    def change(data: dict) -> None:
        data["faults"][0].update(for_s=60)
        data["abort"] = [{"name": "Frankfurt is unreachable", "probe": "dns-fra",
                          "failed_for_s": 3}]  # fmt: skip
        one = next(p for p in data["probes"] if p["name"] == "dns")
        data["probes"].append({**one, "name": "dns-fra", "to": {"node": "fra-2"}})

    process = drill.start(drill.experiment(change))
    drill.wait_step("faults")
    process.wait(timeout=60)
    _, expire = drill.window()
    assert clock.wall_ns() / clock.NS_PER_S < expire - 20
    assert "Frankfurt is unreachable" in (drill.home / "run.log").read_text()
    assert drill.leftovers() == []


def test_reaper_tidies_when_only_the_controller_is_dead(drill: Drill) -> None:
    process = drill.start(drill.experiment(lambda data: data["faults"][0].update(for_s=3)))
    drill.wait_step("fire")
    process.kill()
    process.wait()
    _, expire = drill.window()
    until(expire)
    wait(lambda: drill.leftovers() == [], 10, lambda: f"left: {drill.leftovers()}")
    assert drill.gameday("recover", "--reports", str(drill.reports)).returncode == 0


def test_controller_killed_half_way_through_arming(drill: Drill) -> None:
    """One node is armed, another waits: its ledger's lock is held until the controller is dead."""
    lock = "/var/lib/gameday/ledger/.lock"
    drill.lab.exec("lon-1", ["mkdir", "-p", "-m", "700", "/var/lib/gameday/ledger"])
    holder = drill.lab.popen("lon-1", ["flock", "--no-fork", lock, "sleep", "120"])
    process = drill.start(drill.experiment(lambda data: None))
    wait(lambda: any(e["kind"] == "lease.armed" for e in drill.events()), 90,
         lambda: (drill.home / "run.log").read_text()[-2000:])  # fmt: skip
    process.kill()
    process.wait()
    kinds = [(e["kind"], e["data"]["node"]) for e in drill.events() if "lease" in e["data"]]
    assert ("lease.arm-intent", "lon-1") in kinds and ("lease.armed", "lon-1") not in kinds
    holder.kill()
    holder.wait(timeout=10)
    _, expire = drill.window()
    until(expire + 1)
    done = drill.gameday("recover", "--reports", str(drill.reports))
    assert done.returncode == 0, done.stdout + done.stderr
    assert drill.report()["clean"]["proven"] is True
    assert drill.report()["verdict"]["verdict"] != "met"
    assert drill.leftovers() == []


def test_ctrl_c_before_arming_leaves_an_aborted_report(drill: Drill) -> None:
    process = drill.start(drill.experiment(lambda data: data["steady_state"].update(for_s=20)))
    drill.wait_step("steady-state")
    process.send_signal(signal.SIGINT)
    process.wait(timeout=60)
    log = (drill.home / "run.log").read_text()
    assert process.returncode == 3 and "Traceback" not in log, log
    assert drill.leftovers() == []
    assert not any(event["kind"] == "lease.arm-intent" for event in drill.events())
    assert drill.gameday("verify", str(drill.run_directory)).returncode == 0


def test_controller_killed_before_arming(drill: Drill) -> None:
    process = drill.start(drill.experiment(lambda data: data["steady_state"].update(for_s=20)))
    drill.wait_step("steady-state")
    process.kill()
    process.wait()
    done = drill.gameday("recover", "--reports", str(drill.reports))
    assert done.returncode == 0, done.stdout + done.stderr
    assert "Traceback" not in done.stderr
    assert drill.report()["verdict"]["verdict"] != "met"
    assert drill.gameday("verify", str(drill.run_directory)).returncode == 0
