# SPDX-License-Identifier: Apache-2.0
"""The agent's command line: serve | prepare | probe RUN, and the guards of ``agent.keeper``.

Started from the zip file that the controller pushed, it unpacks itself once, into a
directory named by its digest that only root can write, and goes on from there: Python keeps
byte code of a directory, but not of a zip. Nothing is imported here that a role may not need.
"""

from __future__ import annotations

import os
import sys

from gameday.agent import vigil

if vigil.TYPE_CHECKING:
    from typing import List


def main(arguments: List[str]) -> int:
    """Dispatch; returns the exit code."""
    if os.path.isfile(sys.argv[0]):
        from gameday.agent.unpack import unpack, zipped

        if zipped(sys.argv[0]):
            sys.argv[0] = str(unpack(sys.argv[0]))
            vigil.go_on_as(*arguments)
    # Started by the controller in its user's home, which nobody shall find in use for hours.
    os.chdir("/")
    if arguments == ["serve"]:
        from gameday.agent.front import serve

        return serve()
    if arguments == ["prepare"]:
        from gameday.agent.unpack import prepare

        return prepare()
    if len(arguments) == 2 and arguments[0] == "probe":
        from gameday.agent.ledger import Ledger
        from gameday.agent.prober import run
        from gameday.agent.vigil import prefer

        prefer()
        return run(Ledger().run_directory(arguments[1]))
    from gameday.agent.keeper import guard

    return guard(arguments)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
