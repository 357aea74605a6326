# SPDX-License-Identifier: Apache-2.0
"""Runs the jobs that appear in the share: as process 1, or as a service of systemd.

A job that is a Python file gets fresh namespaces (``job.sh``); when it ends or its time is
over, everything in its PID namespace goes with it. A job that is a command ("argv") runs as it
is, in the machine's own namespaces.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import traceback
from pathlib import Path
from typing import Any

from gameday import clock

JOB_SHELL = Path(__file__).with_name("job.sh")
JOB_PYTHON = Path(__file__).with_name("job.py")
POLL_NS = 30 * clock.NS_PER_MS
NAMESPACES = ("--net", "--mount", "--pid", "--ipc", "--uts", "--fork", "--kill-child")


def main(share: Path) -> None:
    """Serve for ever."""
    put(share / "ready.result", {"ok": os.uname().release})
    done: set[str] = set()
    while True:
        for path in sorted(share.glob("*.job")):
            if path.stem not in done:
                done.add(path.stem)
                try:
                    run(path)
                except Exception:  # noqa: BLE001 - process 1 must not end
                    put(path.with_suffix(".result"), {"error": traceback.format_exc()})
        reap()
        clock.sleep_until_mono(clock.mono_ns() + POLL_NS)


def run(path: Path) -> None:
    """Run one job; its answer appears beside it."""
    job = json.loads(path.read_bytes())
    if "argv" in job:
        put(path.with_suffix(".result"), command(job, path.with_suffix(".log")))
        return
    # Written in memory first: a file that a job wrote half must not look like an answer.
    answer = Path("/dev/shm") / f"{path.stem}.answer"
    with open(path.with_suffix(".log"), "wb") as log:
        child = subprocess.Popen(
            ["unshare", *NAMESPACES, "sh", str(JOB_SHELL), sys.executable, str(JOB_PYTHON),
             str(path), str(answer)],
            stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True,
        )  # fmt: skip
        try:
            status = child.wait(job["timeout_s"])
            missing = f"died with status {status}"
        except subprocess.TimeoutExpired:
            child.kill()
            child.wait()
            missing = f"not done in {job['timeout_s']} s"
    if answer.exists():
        put(path.with_suffix(".result"), json.loads(answer.read_bytes()))
    else:
        put(path.with_suffix(".result"), {"error": missing})


def command(job: dict[str, Any], log: Path) -> dict[str, Any]:
    """Run a command of the machine to its end."""
    try:
        done = subprocess.run(
            job["argv"], input=job.get("stdin", ""), capture_output=True, text=True,
            errors="replace", timeout=job["timeout_s"], check=False,
        )  # fmt: skip
    except (OSError, subprocess.TimeoutExpired) as error:
        log.write_text("", encoding="utf-8")
        return {"error": str(error)}
    log.write_text(done.stderr, encoding="utf-8")
    return {"ok": {"status": done.returncode, "out": done.stdout}}


def put(path: Path, content: object) -> None:
    """Write a file that appears whole or not at all."""
    draft = path.with_suffix(".writing")
    draft.write_text(json.dumps(content), encoding="utf-8")
    draft.rename(path)


def reap() -> None:
    """Collect what jobs left behind."""
    try:
        while os.waitpid(-1, os.WNOHANG)[0]:
            continue
    except ChildProcessError:
        return


if __name__ == "__main__":
    main(Path(sys.argv[1]))
