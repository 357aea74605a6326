# SPDX-License-Identifier: Apache-2.0
"""``etcd-workload``: calls on a few keys of etcd, through the member on the vantage node.

All keys hang on etcd leases that end a minute after the run was to end, so they go by themselves
whoever dies. Nodes: Python 3.9 syntax.
"""

from __future__ import annotations

import base64
from dataclasses import dataclass, field
from typing import Any, Callable, Dict, List, Optional, Tuple

from gameday import clock
from gameday.probes.base import Failed, Outcome, Schedule, Target
from gameday.probes.etcd import EtcdParams, Member
from gameday.probes.workload import KEYS, CallFailed, Mix, Workload, check_mix

PREFIX = "gameday/workload/"
KEPT_S = 60
"""How long keys stay after the planned end of the run: for the last reads of all vantages."""

TRUSTED_S = 50
"""An answer that comes later is not believed, since keys may be gone."""

PAGE = 1000
"""Names read at once; with what etcd says about each, a quarter of a megabyte."""

NOT_APPLIED = ("requested lease not found", "too many requests")
"""Errors after which etcd certainly did nothing; all others leave it open."""


@dataclass(frozen=True)
class EtcdWorkloadParams(EtcdParams):
    """Parameters of ``etcd-workload``.

    Attributes:
        keys: how many registers all vantages share.
        read_percent: share of reads.
        swap_percent: share of writes that want a certain value to be there; the rest write.
        serializable: reads are answered by the member alone, from what it has.
    """

    keys: int = field(default=5, metadata=KEYS)
    read_percent: int = 50
    swap_percent: int = 25
    serializable: bool = False

    def __post_init__(self) -> None:
        super().__post_init__()
        check_mix(self)


class Cells:
    """Registers in etcd; see ``Store``."""

    def __init__(
        self, params: EtcdWorkloadParams, node: str, target: Target, schedule: Schedule
    ) -> None:
        self._member, self._schedule = Member(params, target), schedule
        self._node, self._serializable = node, params.serializable
        self._prefix = f"{PREFIX}{schedule.run}/{schedule.probe}/"
        self._lease = ""

    def prepare(self) -> bool:
        """A lease for everything that is written."""
        left = max(0, self._schedule.until_ns - clock.mono_ns()) // clock.NS_PER_S
        self._lease = str(self._post("/v3/lease/grant", {"TTL": left + KEPT_S})["ID"])
        return True

    def read(self, key: str) -> str:
        """A range of one key."""
        asked = {"key": self._key(key), "serializable": self._serializable}
        return _value(self._post("/v3/kv/range", asked))

    def write(self, key: str, number: int, value: str) -> None:
        """A transaction of two puts."""
        self._post("/v3/kv/txn", {"success": self._puts(key, number, value)})

    def swap(self, key: str, number: int, value: str, was: str) -> Optional[str]:
        """A transaction of two puts where the value fits, else of a range."""
        compare = {"key": self._key(key), "result": "EQUAL", "target": "VALUE", "value": _b64(was)}
        if not was:
            compare = {
                "key": self._key(key), "result": "EQUAL", "target": "VERSION", "version": "0"
            }  # fmt: skip
        found = self._post(
            "/v3/kv/txn",
            {
                "compare": [compare], "success": self._puts(key, number, value),
                "failure": [{"request_range": {"key": self._key(key)}}],
            },
        )  # fmt: skip
        if found.get("succeeded"):
            return None
        return _value(found["responses"][0]["response_range"])

    def written(self, after: str) -> Tuple[List[Tuple[str, int]], str]:
        """A range of names; later pages ask for the revision of the first."""
        first = f"{self._prefix}by/"
        revision, _, begin = after.partition(" ")
        found = self._post(
            "/v3/kv/range",
            {
                "key": _b64(begin or first), "range_end": _b64(first[:-1] + "0"),
                "limit": PAGE, "keys_only": True, "revision": revision or "0",
            },
        )  # fmt: skip
        keys = [base64.b64decode(one["key"]).decode() for one in found.get("kvs", [])]
        names = [key[len(first) :].rpartition("/") for key in keys]
        after = ""
        if found.get("more"):
            after = f"{revision or found['header']['revision']} {keys[-1]}\0"
        return [(node, int(number)) for node, _, number in names], after

    def _puts(self, key: str, number: int, value: str) -> List[Dict[str, Any]]:
        name = f"{self._prefix}by/{self._node}/{number:08d}"
        return [
            {"request_put": {"key": self._key(key), "value": _b64(value), "lease": self._lease}},
            {"request_put": {"key": _b64(name), "lease": self._lease}},
        ]

    def _key(self, key: str) -> str:
        return _b64(f"{self._prefix}{key}")

    def _post(self, path: str, data: Dict[str, Any]) -> Dict[str, Any]:
        answer = self._member.post(path, data, self._schedule)
        if isinstance(answer, Failed):
            sure = not answer.sent or any(word in answer.reason for word in NOT_APPLIED)
            raise CallFailed(answer.reason, "no" if sure else "maybe")
        until = self._schedule.until_ns
        if until and clock.mono_ns() > until + TRUSTED_S * clock.NS_PER_S:
            raise CallFailed("late: the keys may have ended with their lease", "maybe")
        return answer


def _value(found: Dict[str, Any]) -> str:
    kvs = found.get("kvs") or [{}]
    return base64.b64decode(kvs[0].get("value", "")).decode()


def _b64(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


class EtcdWorkload:
    """Reads, writes and compare-and-set on shared keys, each call recorded."""

    kind = "etcd-workload"
    Params: type = EtcdWorkloadParams
    summary = "a call on shared keys through the member on the vantage node, each with its own name"
    fan_out = "self"
    listens = False

    def sampler(
        self, params: EtcdWorkloadParams, node: str, target: Target, schedule: Schedule
    ) -> Callable[[], Outcome]:
        """Each look makes one call; the last ones read everything."""
        mix = Mix(params.keys, params.read_percent, params.swap_percent)
        return Workload(Cells(params, node, target, schedule), mix, node, schedule)


WORKLOAD = EtcdWorkload()
