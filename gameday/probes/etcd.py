# SPDX-License-Identifier: Apache-2.0
"""``etcd-write`` and ``etcd-status``: a member asked through its own HTTP gateway.

Both look at the member on the vantage node itself, so what they see does not depend on any
network but the members' own. Nodes: Python 3.9 syntax.
"""

from __future__ import annotations

import base64
import http.client
import itertools
from dataclasses import dataclass
from typing import Any, Callable, Dict, Union

from gameday.probes.base import Failed, Outcome, Schedule, Target, Value
from gameday.probes.deadline import Deadline, failure_word, post_json

KEY_PREFIX = "gameday/probe/"
"""The only keys that gameday writes; one per vantage, overwritten each time."""


@dataclass(frozen=True)
class EtcdParams:
    """Parameters of the etcd probes.

    Attributes:
        port: the member's client port (plain HTTP).
    """

    port: int = 2379


def _ask(
    target: Target, params: EtcdParams, path: str, data: Dict[str, Any], schedule: Schedule
) -> Union[Dict[str, Any], Failed]:
    deadline = Deadline(schedule.timeout_ns)
    try:
        status, answer = post_json(target.addresses[0], params.port, path, data, deadline)
    except (OSError, http.client.HTTPException, ValueError) as error:
        return Failed(failure_word(error, deadline))
    if status != 200:
        return Failed(f"status: {status} {answer.get('error', '')}"[:200])
    return answer


class EtcdWrite:
    """A linearizable write: acknowledged only by a quorum."""

    kind = "etcd-write"
    Params: type = EtcdParams
    summary = "a linearizable put through the member on the vantage node"
    fan_out = "self"
    listens = False

    def sampler(
        self, params: EtcdParams, node: str, target: Target, schedule: Schedule
    ) -> Callable[[], Outcome]:
        """Each look puts a new value under this vantage's own key."""
        key = base64.b64encode(f"{KEY_PREFIX}{node}".encode()).decode()
        count = itertools.count()

        def look() -> Outcome:
            value = base64.b64encode(str(next(count)).encode()).decode()
            put = {"key": key, "value": value}
            answer = _ask(target, params, "/v3/kv/put", put, schedule)
            if isinstance(answer, Failed):
                return answer
            return Value({"revision": int(answer["header"]["revision"])})

        return look


class EtcdStatus:
    """What the member says of itself; answered without a quorum."""

    kind = "etcd-status"
    Params: type = EtcdParams
    summary = "leader, term and Raft index as the member on the vantage node has them"
    fan_out = "self"
    listens = False

    def sampler(
        self, params: EtcdParams, node: str, target: Target, schedule: Schedule
    ) -> Callable[[], Outcome]:
        """Each look asks the maintenance API of the local member."""

        def look() -> Outcome:
            answer = _ask(target, params, "/v3/maintenance/status", {}, schedule)
            if isinstance(answer, Failed):
                return answer
            return Value(
                {
                    "member": _hex(answer["header"]["member_id"]),
                    "leader": _hex(answer.get("leader", "0")),
                    "term": int(answer.get("raftTerm", 0)),
                    "raft_index": int(answer.get("raftIndex", 0)),
                    "index": int(answer.get("raftAppliedIndex", 0)),
                }
            )

        return look


def _hex(decimal: str) -> str:
    return f"{int(decimal):x}"


WRITE = EtcdWrite()
STATUS = EtcdStatus()
