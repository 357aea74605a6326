# SPDX-License-Identifier: Apache-2.0
"""``gslb-state``: what a GSLB server itself holds for healthy. Nodes: Python 3.9 syntax."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any, Callable, Dict, List, Mapping

from gameday.probes.base import Failed, Outcome, Schedule, Target, Value
from gameday.probes.deadline import Deadline, failure_word, run

PATIENCE_S = 5
"""The least that gdnsdctl takes for its own timeout; a look ends it earlier."""


@dataclass(frozen=True)
class GslbStateParams:
    """Parameters of ``gslb-state``.

    Attributes:
        config: directory of gdnsd's configuration, which names its control socket.
        gdnsdctl: the program.
    """

    config: str = "/etc/gdnsd"
    gdnsdctl: str = "gdnsdctl"


class GslbState:
    """gdnsd's monitored states."""

    kind = "gslb-state"
    Params: type = GslbStateParams
    summary = "which addresses the local gdnsd holds for up and down, by its own checks"
    fan_out = "self"
    listens = False

    def sampler(
        self, params: GslbStateParams, node: str, target: Target, schedule: Schedule
    ) -> Callable[[], Outcome]:
        """Each look is one question over gdnsd's control socket."""
        argv = [params.gdnsdctl, "-o", "-t", str(PATIENCE_S), "-c", params.config, "states"]

        def look() -> Outcome:
            deadline = Deadline(schedule.timeout_ns)
            try:
                return Value(states_of(_printed(argv, deadline)))
            except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
                return Failed(failure_word(error, deadline))

        return look


def _printed(argv: List[str], deadline: Deadline) -> str:
    done = run(argv, deadline)
    if done.returncode != 0:
        said = done.stderr.decode(errors="replace").strip().rpartition("\n")[2]
        raise OSError(f"gdnsdctl: {said}"[:200])
    return done.stdout.decode(errors="replace")


def states_of(text: str) -> Dict[str, Any]:
    """``gdnsdctl states`` as a sample's value.

    Raises:
        ValueError, KeyError, TypeError: where it is not what gdnsd prints.
    """
    found: Mapping[str, Mapping[str, str]] = json.loads(text)
    states = {what: str(one["state"]).partition("/")[0] for what, one in found.items()}
    real = {what: str(one["real_state"]).partition("/")[0] for what, one in found.items()}
    return {
        "up": sorted(what for what, state in states.items() if state == "UP"),
        "down": sorted(what for what, state in states.items() if state != "UP"),
        # Somebody told gdnsd what to hold it for, whatever its checks say.
        "forced": sorted(what for what, state in states.items() if state != real[what]),
        "addresses_up": sorted({w.partition("/")[0] for w, s in states.items() if s == "UP"}),
    }


PROBE = GslbState()
