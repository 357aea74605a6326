# SPDX-License-Identifier: Apache-2.0
"""``etcd-write``, ``etcd-read`` and ``etcd-status``: a member asked through its own HTTP gateway.

They look at the member on the vantage node itself, so what they see does not depend on any
network but the members' own. Nodes: Python 3.9 syntax.
"""

from __future__ import annotations

import base64
import http.client
import itertools
from dataclasses import dataclass
from typing import Any, Callable, Dict, Optional, Tuple, Union

from gameday.probes.base import Failed, Outcome, Schedule, Target, Value
from gameday.probes.deadline import Deadline, failure_word, post_json, request
from gameday.probes.stream import Credentials, Secure, connect

KEY_PREFIX = "gameday/probe/"
"""The only keys that gameday writes; one per vantage, overwritten each time."""


@dataclass(frozen=True)
class EtcdParams:
    """Parameters of the etcd probes.

    Attributes:
        port: the member's client port.
        address: where it is asked, such as 127.0.0.1; else at the node's first data address.
        ca_file: of the authority that signed the member's certificate, on the vantage; with it
            the member is asked over TLS.
        cert_file: the client's certificate, on the vantage.
        key_file: the certificate's key, without a password, on the vantage.
        server_name: the name in the member's certificate; else the address must be in it.
    """

    port: int = 2379
    address: str = ""
    ca_file: str = ""
    cert_file: str = ""
    key_file: str = ""
    server_name: str = ""

    def __post_init__(self) -> None:
        if bool(self.cert_file) != bool(self.key_file):
            raise ValueError("cert_file and key_file belong together; give both or neither")
        if not self.ca_file and (self.cert_file or self.server_name):
            raise ValueError("ca_file is missing; without it the member is asked without TLS")


@dataclass(frozen=True)
class EtcdReadParams(EtcdParams):
    """Parameters of ``etcd-read``.

    Attributes:
        serializable: answered by the member alone, from what it has; else linearizable, which
            takes a quorum.
    """

    serializable: bool = False


class Member:
    """The member that one sampler asks."""

    def __init__(self, params: EtcdParams, target: Target) -> None:
        self._where: Tuple[str, int] = (params.address or target.addresses[0], params.port)
        self._name = params.server_name or self._where[0]
        self._credentials: Optional[Credentials] = None
        if params.ca_file:
            self._credentials = Credentials(params.ca_file, params.cert_file, params.key_file)

    def post(
        self, path: str, data: Dict[str, Any], schedule: Schedule
    ) -> Union[Dict[str, Any], Failed]:
        """The gateway's answer, or why there is none."""
        deadline = Deadline(schedule.timeout_ns)
        try:
            stream = connect(self._where, deadline.left_s, self._secure())
        except (OSError, ValueError) as error:
            return Failed(failure_word(error, deadline), sent=False)
        try:
            with stream:
                status, answer = post_json(stream, path, data)
        except (OSError, http.client.HTTPException, ValueError) as error:
            return Failed(failure_word(error, deadline))
        if status != 200:
            return Failed(f"status: {status} {answer.get('error', '')}"[:200])
        return answer

    def get(self, path: str, schedule: Schedule) -> Union[bytes, Failed]:
        """What a path holds, or why nothing came."""
        deadline = Deadline(schedule.timeout_ns)
        try:
            status, _, content = request(
                self._where, "GET", path, deadline, secure=self._secure()
            )  # fmt: skip
        except (OSError, http.client.HTTPException, ValueError) as error:
            return Failed(failure_word(error, deadline))
        return content if status == 200 else Failed(f"status: {status}")

    def _secure(self) -> Optional[Secure]:
        return None if self._credentials is None else self._credentials.secure(self._name)


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
        member, key = Member(params, target), _own_key(node)
        count = itertools.count()

        def look() -> Outcome:
            put = {"key": key, "value": _encoded(str(next(count)))}
            answer = member.post("/v3/kv/put", put, schedule)
            if isinstance(answer, Failed):
                return answer
            return Value({"revision": int(answer["header"]["revision"])})

        return look


class EtcdRead:
    """A read of one key: by a quorum, or from what the member has."""

    kind = "etcd-read"
    Params: type = EtcdReadParams
    summary = "a linearizable or serializable range through the member on the vantage node"
    fan_out = "self"
    listens = False

    def sampler(
        self, params: EtcdReadParams, node: str, target: Target, schedule: Schedule
    ) -> Callable[[], Outcome]:
        """Each look reads this vantage's own key, which need not be there."""
        member = Member(params, target)
        read = {"key": _own_key(node), "serializable": params.serializable}

        def look() -> Outcome:
            answer = member.post("/v3/kv/range", read, schedule)
            if isinstance(answer, Failed):
                return answer
            found = answer.get("kvs") or [{}]
            return Value(
                {
                    "revision": int(answer["header"]["revision"]),
                    "mod_revision": int(found[0].get("mod_revision", 0)),
                }
            )

        return look


class EtcdStatus:
    """What the member says of itself; answered without a quorum."""

    kind = "etcd-status"
    Params: type = EtcdParams
    summary = "leader, term, Raft index and lag as the member on the vantage node has them"
    fan_out = "self"
    listens = False

    def sampler(
        self, params: EtcdParams, node: str, target: Target, schedule: Schedule
    ) -> Callable[[], Outcome]:
        """Each look asks the maintenance API of the local member."""
        member = Member(params, target)

        def look() -> Outcome:
            answer = member.post("/v3/maintenance/status", {}, schedule)
            if isinstance(answer, Failed):
                return answer
            raft_index = int(answer.get("raftIndex", 0))
            index = int(answer.get("raftAppliedIndex", 0))
            return Value(
                {
                    "member": _hex(answer["header"]["member_id"]),
                    "leader": _hex(answer.get("leader", "0")),
                    "term": int(answer.get("raftTerm", 0)),
                    "raft_index": raft_index,
                    "index": index,
                    "raft_lag": raft_index - index,
                }
            )

        return look


def _own_key(node: str) -> str:
    return _encoded(f"{KEY_PREFIX}{node}")


def _encoded(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


def _hex(decimal: str) -> str:
    return f"{int(decimal):x}"


WRITE = EtcdWrite()
READ = EtcdRead()
STATUS = EtcdStatus()
