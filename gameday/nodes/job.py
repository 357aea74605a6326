# SPDX-License-Identifier: Apache-2.0
"""One playbook over some nodes, through ansible-runner.

Ansible reads the user's own inventory, so whatever it knows of the way to a node (jump hosts,
vaulted passwords, plugins) holds here too. Only two things are put before it: who logs in, and
that host keys must be the pinned ones, those of jump hosts as well.
"""

from __future__ import annotations

import os
import shlex
import shutil
import sys
import tempfile
import threading
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from gameday.errors import CannotRun, RequirementFailed
from gameday.nodes.outcome import Outcome, Progress
from gameday.transport import netns
from gameday.transport.worker_job import runner

FORKS_MAX = 50
"""Nodes that Ansible works on at once: it forks a process for each, and one for each ssh."""

CONNECT_S, PERSIST_S = 10, 15
SAID_MAX = 600
PREPARING = "preparing nodes needs"


@dataclass(frozen=True)
class Job:
    """What to run, and where.

    Attributes:
        playbook: its file name. inventory: path. nodes: their names.
        variables: extra variables of the play. files: more files beside the playbook, by name.
        known_hosts: pinned host keys. controller_netns: namespace to work from, or None.
        login: the user that logs in; "" for each node's own. login_key: path of that user's
            private key; "" for each node's own.
        sudo_password: "" where sudo asks for none.
        check: change nothing, and say what would be changed. diff: say how.
        workers: remote workers' commands, by name. via: node to the worker that it is behind.
    """

    playbook: str
    inventory: Path
    nodes: Sequence[str]
    variables: Mapping[str, Any]
    known_hosts: Path
    controller_netns: str | None = None
    login: str = ""
    # Never shown where a job is.
    sudo_password: str = field(default="", repr=False)
    check: bool = False
    diff: bool = False
    files: Mapping[str, bytes] = field(default_factory=dict)
    login_key: str = ""
    workers: Mapping[str, Sequence[str]] = field(default_factory=dict)
    via: Mapping[str, str] = field(default_factory=dict)

    def parts(self) -> list[tuple[str, list[str]]]:
        """(worker, its nodes), with "" for those that are reached from here."""
        found: dict[str, list[str]] = {}
        for name in self.nodes:
            found.setdefault(self.via.get(name, ""), []).append(name)
        return sorted(found.items())


def playbooks() -> Path:
    """Directory of the playbooks: inside the installed package, or beside it in a checkout."""
    here = Path(__file__).parent
    for found in (here / "playbooks", here.parents[1] / "playbooks"):
        if (found / "prepare.yaml").is_file():
            return found
    raise RequirementFailed(f"the playbooks are neither in {here} nor beside the package")


def run(
    job: Job, tell: Callable[[str], None], stop: threading.Event | None = None
) -> dict[str, Outcome]:
    """Run a job to its end; outcomes by node, of all its nodes whatever happens.

    Args:
        tell: told each step. stop: set to end the playbooks where they are; Ctrl-C sets it.

    Raises:
        CannotRun: where ansible-runner or Ansible are missing, or the playbook could not begin.
    """
    from gameday.nodes.relayed import run_all

    directory = Path(tempfile.mkdtemp(prefix="gameday-nodes-"))
    try:
        progress = Progress(job.nodes, tell, job.diff, stop or threading.Event())
        # Only this thread, and the processes that it starts, move to the namespace.
        with ThreadPoolExecutor(1, initializer=enter, initargs=(job.controller_netns,)) as pool:
            playing = pool.submit(run_all, directory, job, job.parts(), progress)
            try:
                status = playing.result()
            except KeyboardInterrupt:
                tell("stopping: nodes that were not finished are told below")
                progress.stop.set()
                status = playing.result()
        if not progress.stop.is_set():
            _check_begun(progress, status)
        return progress.outcomes
    finally:
        shutil.rmtree(directory, ignore_errors=True)


def write(directory: Path, job: Job) -> None:
    """The directory that ansible-runner works on."""
    project = directory / "project"
    shutil.copytree(playbooks(), project, ignore=shutil.ignore_patterns("README.md", "__pycache__"))
    for name, content in job.files.items():
        (project / name).write_bytes(content)
    (project / "limit").write_text("\n".join(job.nodes) + "\n", encoding="utf-8")
    (project / "ssh_config").write_text(ssh_config(job.known_hosts), encoding="utf-8")


def ssh_config(known_hosts: Path) -> str:
    """What ssh shall do, whoever else says otherwise: the first value that it finds counts.

    A file instead of options, since ssh hands the file on to the ssh that goes to a jump host.
    """
    own = Path.home() / ".ssh" / "config"
    lines = ["StrictHostKeyChecking yes", f'UserKnownHostsFile "{known_hosts}"',
             "GlobalKnownHostsFile none", "KnownHostsCommand none", "UpdateHostKeys no",
             f"ConnectTimeout {CONNECT_S}", f'Include "{own}"',
             "Include /etc/ssh/ssh_config"]  # fmt: skip
    return "\n".join(lines) + "\n"


def variables(job: Job, config: str, known_hosts: str) -> dict[str, Any]:
    """The play's extra variables, which win over those of any inventory.

    Args:
        config: path of the configuration for ssh. known_hosts: of the pinned host keys.
    """
    # What follows after ours still counts: ansible_ssh_common_args, as with a jump host.
    args = [f"-F '{config}'", f"-o UserKnownHostsFile='{known_hosts}'",
            "-o StrictHostKeyChecking=yes", "-o GlobalKnownHostsFile=none",
            f"-o ControlMaster=auto -o ControlPersist={PERSIST_S}"]  # fmt: skip
    # Ansible would take a relative path from where it runs; the inventory's directory is meant.
    key = job.login_key or "{{ gameday_nodes[inventory_hostname].key_file }}"
    return {**job.variables, "ansible_ssh_args": " ".join(args),
            "ansible_ssh_private_key_file": key,
            # The one that the sudo rule names, not one that Ansible would discover.
            "ansible_python_interpreter": "{{ gameday_nodes[inventory_hostname].python }}",
            **({"ansible_user": job.login} if job.login else {})}  # fmt: skip


def environment(directory: Path) -> dict[str, str]:
    """For Ansible: ours, with the programs beside this Python, and the user's own ansible.cfg."""
    # A virtual environment that nobody activated has ansible-playbook, but not on its PATH.
    beside = str(Path(sys.executable).parent)
    found = {
        **settings(),
        "PATH": os.pathsep.join([beside, os.environ.get("PATH", os.defpath)]),
        "ANSIBLE_SSH_CONTROL_PATH_DIR": str(directory / "cp"),
    }
    own = Path("ansible.cfg").resolve()
    if own.is_file() and "ANSIBLE_CONFIG" not in os.environ:
        # ansible-runner works in a directory of its own, where it would not be found.
        found["ANSIBLE_CONFIG"] = str(own)
    return found


def settings() -> dict[str, str]:
    """Ansible's settings, here and on workers."""
    return {
        "ANSIBLE_HOST_KEY_CHECKING": "true", "ANSIBLE_PIPELINING": "true",
        "ANSIBLE_RETRY_FILES_ENABLED": "false", "ANSIBLE_DEPRECATION_WARNINGS": "false",
        # Its own directory in the administrator's home would stay there.
        "ANSIBLE_REMOTE_TEMP": "/tmp",  # noqa: S108 - each task makes one of its own, for itself
        "ANSIBLE_LOCALHOST_WARNING": "false", "ANSIBLE_INVENTORY_UNPARSED_WARNING": "false",
    }  # fmt: skip


def command_line(job: Job) -> str:
    """Options of ansible-playbook."""
    words = ["--forks", str(max(1, min(FORKS_MAX, len(job.nodes))))]
    words += ["--check"] if job.check else []
    words += ["--diff"] if job.diff else []
    words += ["--ask-become-pass"] if job.sudo_password else []
    return shlex.join(words)


def run_playbook(directory: Path, job: Job, progress: Progress) -> str:
    """Run the playbook from here; returns ansible-runner's word for how it ended."""
    limit = shlex.join(["--limit", f"@{directory}/project/limit"])
    passwords = {r"BECOME password.*:\s*?$": job.sudo_password} if job.sudo_password else None
    done = runner(PREPARING)(
        private_data_dir=str(directory), playbook=job.playbook, inventory=str(job.inventory),
        extravars=variables(job, f"{directory}/project/ssh_config", str(job.known_hosts)),
        envvars=environment(directory), cmdline=f"{command_line(job)} {limit}",
        passwords=passwords, quiet=True, event_handler=progress.event,
        cancel_callback=progress.stop.is_set,
    )  # fmt: skip
    return str(done.status)


def _check_begun(progress: Progress, status: str) -> None:
    """Where no node heard anything, the reason is not any node's.

    Raises:
        CannotRun: with what Ansible said.
    """
    touched = any(one.done or one.failed or one.changed for one in progress.outcomes.values())
    if touched or not progress.outcomes:
        return
    said = " ".join(" ".join(progress.said).split())[-SAID_MAX:]
    raise CannotRun(f"the playbook did not begin ({status}): {said or 'Ansible said nothing'}",
                    "is ansible-core installed beside gameday?")  # fmt: skip


def enter(path: str | None) -> None:
    """Move this thread into the controller's network namespace, where it has one."""
    if path:
        netns.enter(path)
