# SPDX-License-Identifier: Apache-2.0
"""``tcp-connect``: does a node accept connections at a port, and how fast. Nodes: Python 3.9."""

from __future__ import annotations

import socket
from dataclasses import dataclass
from typing import Callable, Literal, Optional

from gameday import clock
from gameday.probes.base import Failed, Outcome, Schedule, Target, Value
from gameday.probes.deadline import Deadline, failure_word


@dataclass(frozen=True)
class TcpConnectParams:
    """Parameters of ``tcp-connect``.

    Attributes:
        port: that is connected to.
        family: at which of the target's addresses; else at the one listed first.
    """

    port: int
    family: Optional[Literal[4, 6]] = None


class TcpConnect:
    """A connection that is opened and closed, without a byte in between."""

    kind = "tcp-connect"
    Params: type = TcpConnectParams
    summary = "a TCP connection to a port: time to connect, refused or silent"
    fan_out = "each"
    listens = False

    def sampler(
        self, params: TcpConnectParams, node: str, target: Target, schedule: Schedule
    ) -> Callable[[], Outcome]:
        """Each look opens a connection of its own; a kernel may accept for a process that hangs."""
        address = target.addresses[0]

        def look() -> Outcome:
            deadline = Deadline(schedule.timeout_ns)
            start = clock.mono_ns()
            try:
                with socket.create_connection((address, params.port), timeout=deadline.left_s()):
                    spent = clock.mono_ns() - start
            except OSError as error:
                return Failed(failure_word(error, deadline))
            return Value({"connect_ns": spent, "address": address})

        return look


PROBE = TcpConnect()
