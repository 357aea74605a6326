# SPDX-License-Identifier: Apache-2.0
"""A playbook over nodes behind one of ansible-runner's remote workers: transmit, worker, process.

The worker is the command that the inventory's ``gameday_workers`` names. It gets the playbooks,
the pinned host keys, and an inventory of its nodes alone, as Ansible resolved it here.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import subprocess
import threading
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from gameday import clock
from gameday.errors import InvalidInput
from gameday.nodes.job import (
    PREPARING,
    Job,
    command_line,
    run_playbook,
    settings,
    variables,
    write,
)
from gameday.nodes.outcome import Progress
from gameday.plan.ansible_source import connection_variables
from gameday.transport.worker_job import end, runner, search_path

TIMEOUT_S = 3600.0
"""A worker's whole play: packages for a hundred nodes over a slow path."""

LOOK_S = 0.2
SAID_MAX = 300
HERE = "{{ playbook_dir }}"


def run(directory: Path, job: Job, worker: str, progress: Progress) -> None:
    """Run a job's playbook on a worker; nodes that it did not finish are marked as lost.

    Raises:
        InvalidInput: where a password for sudo would have to be handed on.
    """
    if job.sudo_password:
        raise InvalidInput(
            f"worker {worker} cannot be given a password for sudo",
            "log in --as somebody whom sudo asks for none",
        )
    there, back = directory / "there", directory / "back"
    prepare(there, job)
    why = ""
    try:
        process = subprocess.Popen(
            job.workers[worker], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL, start_new_session=True, env=search_path(),
        )  # fmt: skip
    except OSError as error:
        why = f"cannot start {job.workers[worker][0]}: {error.strerror or error}"
    else:
        why = _through(process, there, back, job, progress)
    for name in job.nodes:
        one = progress.outcomes[name]
        if not one.done and one.failed is None:
            one.lost = True
            one.failed = (f"worker {worker} was lost", why or "it ended early")


def prepare(there: Path, job: Job) -> None:
    """What is transmitted."""
    write(there, job)
    shutil.copy(job.known_hosts, there / "project" / "known_hosts")
    (there / "inventory").mkdir()
    wanted = connection_variables(job.inventory)
    hosts = {name: wanted[name] for name in job.nodes}
    path = there / "inventory" / "hosts.json"
    path.touch(mode=0o600)
    path.write_text(json.dumps({"all": {"hosts": hosts}}), encoding="utf-8")


def _through(
    process: subprocess.Popen[bytes], there: Path, back: Path, job: Job, progress: Progress
) -> str:
    """Why the worker was lost; "" where it came to its end."""
    over = threading.Event()
    watch = threading.Thread(target=_watch, args=(process, progress.stop, over), daemon=True)
    watch.start()
    ident = os.urandom(8).hex()
    said: list[str] = []

    def status(found: dict[str, Any], runner_config: object) -> None:
        if found.get("job_explanation"):
            said.append(str(found["job_explanation"]))

    try:
        runner(PREPARING)(
            streamer="transmit", _output=process.stdin, private_data_dir=str(there),
            playbook=job.playbook, ident=ident, extravars=_extra(job), envvars=settings(),
            cmdline=command_line(job),
        )  # fmt: skip
        if process.stdin is not None:
            process.stdin.close()
        runner(PREPARING)(streamer="process", _input=process.stdout, private_data_dir=str(back),
                 ident=ident, quiet=True, event_handler=progress.event,
                 status_handler=status)  # fmt: skip
    except Exception as error:  # noqa: BLE001 - ansible-runner has none of its own for a broken stream
        said.append(f"{type(error).__name__}: {error}")
    finally:
        over.set()
        watch.join()
        end(process)
    return " ".join(" ".join(said).split())[:SAID_MAX]


def _watch(process: subprocess.Popen[bytes], stop: threading.Event, over: threading.Event) -> None:
    """End a worker that takes too long, or when somebody wants it to stop."""
    deadline = clock.mono_ns() + int(TIMEOUT_S * clock.NS_PER_S)
    while not over.wait(LOOK_S):
        if stop.is_set() or clock.mono_ns() > deadline:
            end(process)
            return


def _extra(job: Job) -> dict[str, Any]:
    """Extra variables with paths as the worker will have them."""
    return variables(job, f"{HERE}/ssh_config", f"{HERE}/known_hosts")


def run_all(directory: Path, job: Job, via: Sequence[tuple[str, Sequence[str]]],
            progress: Progress) -> str:  # fmt: skip
    """Run a job from here for the nodes without a worker, and on their workers for the others.

    Args:
        via: (worker, or "" for none; its nodes).

    Returns:
        ansible-runner's word for how the play from here ended.
    """
    status = ""
    for number, (worker, names) in enumerate(via):
        if progress.stop.is_set():
            break
        part = replace(job, nodes=list(names))
        place = directory / str(number)
        if worker:
            run(place, part, worker, progress)
        else:
            write(place, part)
            status = run_playbook(place, part, progress)
        with contextlib.suppress(OSError):
            shutil.rmtree(place)
    return status
