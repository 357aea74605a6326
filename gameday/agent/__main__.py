# SPDX-License-Identifier: Apache-2.0
"""The agent's command line: serve | keep LEASE | reap LEASE | end LEASE | boot | probe RUN.

Started from the zip file that the controller pushed, it unpacks itself once, into a
directory named by its digest that only root can write, and goes on from there: Python keeps
byte code of a directory, but not of a zip.
"""

from __future__ import annotations

import hashlib
import os
import sys
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING, List

if TYPE_CHECKING:
    from gameday.agent.leases import Leases
    from gameday.agent.ledger import Ledger

HOME = Path("/var/lib/gameday")


def unpack(package: Path) -> Path:
    """Directory with the package's files, made if it is not there yet; atomically."""
    digest = hashlib.sha256(package.read_bytes()).hexdigest()
    target = HOME / "agent" / digest
    if not target.is_dir():
        draft = target.with_name(f"{digest}.{os.getpid()}")
        draft.mkdir(mode=0o700, parents=True)
        os.chmod(HOME, 0o700)
        with zipfile.ZipFile(package) as archive:
            archive.extractall(draft)
        try:
            os.replace(draft, target)
        except OSError:
            # Another call unpacked the same bytes first; a directory is not replaced.
            if not target.is_dir():
                raise
    return target


def main(arguments: List[str]) -> int:
    """Dispatch; returns the exit code."""
    started_as = Path(sys.argv[0]).resolve()
    if started_as.is_file() and zipfile.is_zipfile(started_as):
        target = unpack(started_as)
        # No shell is wanted: this process goes on as the unpacked program.
        os.execv(sys.executable, [sys.executable, str(target), *arguments])  # noqa: S606
    from gameday.agent.leases import Leases
    from gameday.agent.ledger import Ledger
    from gameday.agent.system.host import RealHost

    if arguments == ["serve"]:
        from gameday.agent.serve import serve

        return serve()
    ledger = Ledger()
    if len(arguments) == 2 and arguments[0] == "probe":
        from gameday.agent.prober import run

        return run(ledger.run_directory(arguments[1]))
    return guard(arguments, Leases(ledger, RealHost()), ledger)


def guard(arguments: List[str], leases: Leases, ledger: Ledger) -> int:
    """Be one of the processes that end leases; returns the exit code."""
    from gameday.agent import keeper

    roles = {"keep": keeper.keep, "reap": keeper.reap, "end": keeper.end}
    if arguments == ["boot"]:
        return keeper.boot(leases, ledger)
    if len(arguments) == 2 and arguments[0] in roles:
        return roles[arguments[0]](arguments[1], leases, ledger)
    sys.stderr.write("usage: serve | keep LEASE | reap LEASE | end LEASE | boot | probe RUN\n")
    return 2


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
