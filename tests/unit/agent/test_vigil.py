# SPDX-License-Identifier: Apache-2.0
"""Guards that wait: they end with the lease, and start each other again."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from gameday.agent import vigil
from gameday.agent.vigil import Watch
from gameday.ticks import NS_PER_MS, mono_ns

LEASE = "1a2b3c4d"


def watch(entries: Path, driven: bool = True) -> Watch:
    now = mono_ns()
    return Watch(LEASE, now, now + 300 * NS_PER_MS, "process", driven, str(entries))


def test_a_watch_travels_as_words(tmp_path: Path) -> None:
    one = watch(tmp_path)
    two = Watch.parse(one.words())
    assert two.words() == one.words() and two.driven and two.entries == vigil.ENTRIES
    with pytest.raises(ValueError, match="not a lease's id"):
        Watch.parse(["../../x", "1", "2", "kernel", "still"])


def test_waiting_ends_with_the_lease(tmp_path: Path) -> None:
    one = watch(tmp_path)
    assert not one.wait(one.expire_ns, "reap"), "the ledger does not have it as open"
    (tmp_path / f"{LEASE}.json").touch()
    assert one.wait(one.expire_ns, "reap")
    assert mono_ns() >= one.expire_ns


def test_a_dead_guard_is_started_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(vigil, "LOOK_NS", 50 * NS_PER_MS)
    (tmp_path / f"{LEASE}.json").touch()
    started: list[tuple[str, ...]] = []

    def start(*arguments: str) -> int:
        started.append(arguments)
        return vigil.detach(["/bin/sh", "-c", "sleep 5; :", LEASE])

    monkeypatch.setattr(vigil, "start_detached", start)
    one = watch(tmp_path)
    assert one.wait(one.expire_ns, "keep")
    assert started == [("reap", *one.words())], "once: then it lives"
    pid = vigil.process(str(tmp_path), LEASE, "reap")
    assert pid is not None and os.getsid(pid) == pid
    os.killpg(pid, 9)
    os.waitpid(pid, 0)
    assert not vigil.lives(str(tmp_path), LEASE, "reap")


def test_somebody_else_with_that_process_id_is_not_ours() -> None:
    other = subprocess.Popen(["sleep", "5"])
    assert not vigil.is_ours(other.pid, LEASE)
    other.kill()
    os.waitid(os.P_PID, other.pid, os.WEXITED | os.WNOWAIT)
    assert not vigil.is_ours(other.pid, "sleep"), "a zombie is dead"
    other.wait()


@pytest.mark.parametrize(
    ("look", "may_be"),
    [
        (("R", 0x400000, b""), True),
        (("S", 0x400000, b"python\0keep\0" + LEASE.encode()), True),
        (("S", 0x400000, b"sleep\0"), False),
        (("S", 0x200040, b""), False),
        (("R", 0x40000C, b""), False),
        (("Z", 0x40000C, b""), False),
    ],
    ids=["being started", "ours", "somebody else", "a kernel thread", "ending", "a zombie"],
)
def test_who_has_no_arguments_yet_may_be_ours(
    monkeypatch: pytest.MonkeyPatch, look: tuple[str, int, bytes], may_be: bool
) -> None:
    """On a starved machine a program is between two lives for tenths of a second."""
    monkeypatch.setattr(vigil, "look_at", lambda pid: look)
    monkeypatch.setattr(vigil, "STARTING_S", 0)
    assert vigil.may_be_ours(1, LEASE) is may_be
    assert vigil.is_ours(1, LEASE) is (LEASE.encode() in look[2]), "only who certainly is"


ASKS = """\
import os, sys
from gameday.agent import vigil
vigil.prefer()
sys.stdout.write(str(os.getpriority(os.PRIO_PROCESS, 0)))
"""


def test_who_may_not_take_more_stays_as_everybody() -> None:
    """Not an error: probes look as well as their node allows."""
    argv = [sys.executable, "-c", ASKS]
    if os.geteuid() == 0:
        argv = ["setpriv", "--bounding-set=-sys_nice", "--inh-caps=-sys_nice", *argv]
    out = subprocess.run(argv, capture_output=True, text=True, check=True).stdout
    assert int(out) == os.getpriority(os.PRIO_PROCESS, 0)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may ask")
def test_probe_loops_take_a_larger_share() -> None:
    argv = [sys.executable, "-c", ASKS]
    out = subprocess.run(argv, capture_output=True, text=True, check=True).stdout
    assert int(out) == vigil.NICE
