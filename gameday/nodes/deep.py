# SPDX-License-Identifier: Apache-2.0
"""``gameday nodes check --deep``: testinfra's suites over an inventory's nodes, over SSH.

pytest runs in a process of its own, as a user would start it: what it loads and prints stays there.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from xml.etree import ElementTree

from gameday.errors import EXIT_NOT_MET, EXIT_UNKNOWN, CannotRun, InvalidInput
from gameday.nodes.job import Job, enter, environment, ssh_config

SUITES = Path(__file__).parent / "suites"
TOLD = "GAMEDAY_SUITES"
"""Environment variable with the path of what the suites must know."""

TIMEOUT_S = 3600
"""Two seconds a test on a slow path: a hundred nodes take half an hour."""

SAID_MAX, WHY_MAX = 600, 300
NOT_PROVEN, CANNOT_SAY = "not proven", "cannot say"


@dataclass(frozen=True)
class Proof:
    """One test on one node.

    Attributes:
        name: of the node and what was tried. outcome: "proven", ``NOT_PROVEN``, or
            ``CANNOT_SAY`` where it could not be tried. why: of the two others.
    """

    name: str
    outcome: str
    why: str = ""

    def __str__(self) -> str:
        return f"{self.name}: {self.outcome}" + (f": {self.why}" if self.why else "")


def prove(job: Job, expect: str, tell: Callable[[str], None]) -> int:
    """Run a suite over the nodes of a job; returns the exit code: 0, 1 not proven, 3 cannot say.

    Args:
        expect: "prepared", "armed", "ended" or "clean".

    Raises:
        CannotRun: where testinfra is missing, or nothing was tried.
        InvalidInput: with a password for sudo, which testinfra does not hand on.
    """
    if job.sudo_password:
        raise InvalidInput("--deep cannot give sudo a password",
                           "log in --as somebody whom sudo asks for none")  # fmt: skip
    with tempfile.TemporaryDirectory(prefix="gameday-deep-") as name:
        directory = Path(name)
        result = directory / "result.xml"
        # Only this thread, and the processes that it starts, move to the namespace.
        with ThreadPoolExecutor(1, initializer=enter, initargs=(job.controller_netns,)) as pool:
            said = pool.submit(_pytest, directory, job, expect, result).result()
        if not result.exists():
            raise CannotRun(f"testinfra did not begin: {said}", "pip install 'gameday[nodes]'")
        proofs = read(result.read_text(encoding="utf-8"), job.nodes)
    if not proofs:
        raise CannotRun(f"testinfra tried nothing: {said}")
    for one in proofs:
        tell(str(one))
    return judged(proofs)


def judged(proofs: Iterable[Proof]) -> int:
    """The exit code of all proofs together; what is not proven wins over what nobody could try."""
    outcomes = {one.outcome for one in proofs}
    if NOT_PROVEN in outcomes:
        return EXIT_NOT_MET
    return EXIT_UNKNOWN if CANNOT_SAY in outcomes else 0


def read(junit: str, nodes: Sequence[str]) -> list[Proof]:
    """Proofs from pytest's JUnit XML, in order of the nodes."""
    found = []
    # It was written by the pytest that we started, and by nobody else.
    for case in ElementTree.fromstring(junit).iter("testcase"):  # noqa: S314
        what, _, told = str(case.get("name")).removeprefix("test_").partition("[")
        told = told.removeprefix("ansible://").removesuffix("]")
        node = max((n for n in nodes if f"{told}-".startswith(f"{n}-")), key=len, default=told)
        which = told[len(node) + 1 :]
        name = f"{node}: {what.replace('_', ' ')}" + (f" ({which})" if which else "")
        bad = [one for one in case if one.tag in ("failure", "error", "skipped")]
        if not bad:
            found.append(Proof(name, "proven"))
            continue
        why = " ".join(str(bad[0].get("message")).split()).removeprefix("AssertionError: ")
        outcome = NOT_PROVEN if bad[0].tag == "failure" else CANNOT_SAY
        found.append(Proof(name, outcome, why[:WHY_MAX]))
    return sorted(found, key=lambda one: one.name.split(":")[0])


def _pytest(directory: Path, job: Job, expect: str, result: Path) -> str:
    config = directory / "ssh_config"
    key = f'IdentityFile "{job.login_key}"\n' if job.login_key else ""
    config.write_text(ssh_config(job.known_hosts) + key, encoding="utf-8")
    told = directory / "told.json"
    told.write_text(json.dumps(dict(job.variables)), encoding="utf-8")
    hosts = ",".join(f"ansible://{name}" for name in job.nodes)
    own = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST_")}
    # Relative paths of keys are meant from there.
    base = job.inventory if job.inventory.is_dir() else job.inventory.parent
    more = {TOLD: str(told), "ANSIBLE_BECOME": "true"}
    if job.login:
        more["ANSIBLE_REMOTE_USER"] = job.login
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-p", "no:xdist",
         "-c", os.devnull, "--rootdir", str(SUITES), "--import-mode=importlib", "--assert=plain",
         "--junitxml", str(result), "--hosts", hosts, "--ansible-inventory", str(job.inventory),
         "--ssh-config", str(config), str(SUITES / f"test_{expect}.py")],
        env={**own, **environment(directory), **more}, cwd=base,
        capture_output=True, text=True, check=False, timeout=TIMEOUT_S,
    )  # fmt: skip
    return " ".join((done.stdout + done.stderr).split())[-SAID_MAX:]
