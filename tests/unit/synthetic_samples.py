# SPDX-License-Identifier: Apache-2.0
"""The samples that the truth leaves: each looks at one random moment between start and end."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from random import Random
from typing import Any

from gameday.record.types import Sample
from tests.unit.synthetic_plan import CONTROL, CUT, MESH, SERVERS

MS = 1_000_000
BOTH = ["198.18.10.12", "198.18.20.12"]
LONDON = ["198.18.20.12"]

Look = Callable[[int], tuple[bool, dict[str, Any], str]]
"""What a look at a true moment (controller's clock) sees: ok, value, reason."""


def make_samples(truth: Any, clocks: Any, members: Sequence[str]) -> list[Sample]:
    """Every sample of every probe."""
    random = Random(truth.seed + 2)  # noqa: S311 - reproducible, not secret
    made: list[Sample] = []

    def stream(probe: str, node: str, target: str, period: int, look: Look) -> None:
        made.extend(_stream(truth, random, (probe, node, target, clocks.mono[node]), period, look))

    for member in members:
        stream("etcd-write", member, member, truth.period_ns, _write(truth, member))
        stream("etcd-status", member, member, truth.period_ns, _status(truth, member))
    for server in SERVERS:
        stream("dns", "cli-1", server, truth.period_ns, _dns(truth, server))
    stream("user-http", "cli-1", "app.gameday.test", 500 * MS, _http(truth))
    stream("alerts", "mon-1", "listener", 1000 * MS, lambda _: (True, {}, ""))
    if truth.detected_ns is not None:
        made += _alert(truth, clocks)
    if truth.others:
        stream("no-leader", "mon-1", "prometheus", 500 * MS, _polled(truth))
        stream("etcd-log", "lon-1", "listener", 1000 * MS, lambda _: (True, {}, ""))
        made += _line(truth, clocks)
    for node, target in [*CUT, *CONTROL]:
        look = _icmp(truth, node, target)
        stream("effect:cut-frankfurt", node, target, 250 * MS, look)
    if truth.counted:
        for member in members:
            stream("etcd-metrics", member, member, 1000 * MS, _metrics(truth, member))
    if truth.added_us is not None:
        for node, target in MESH:
            stream("mesh", node, target, truth.period_ns, _mesh(truth, node, target))
    return [s for s in made if (s.probe, s.node, s.target, s.seq) not in truth.drop]


def _stream(
    truth: Any, random: Random, key: tuple[str, str, str, int], period: int, look: Look
) -> list[Sample]:
    probe, node, target, offset = key
    made = []
    start, seq = truth.probes_ns + random.randrange(period), 0
    while start < truth.until_ns:
        spent = random.randrange(2 * MS, 20 * MS)
        ok, value, reason = look(start + random.randrange(spent))
        if reason.startswith("timeout"):
            spent = period
        made.append(
            Sample(
                probe, node, target, seq, start + offset, start + spent + offset, ok, value, reason
            )
        )
        seq += 1
        start += period
    return made


def _during(truth: Any, at: int) -> bool:
    return bool(truth.onset_ns <= at < truth.end_ns)


def _write(truth: Any, member: str) -> Look:
    cut_off = member.startswith("fra") and not truth.minority_writes

    def look(at: int) -> tuple[bool, dict[str, Any], str]:
        waiting = truth.onset_ns <= at < truth.onset_ns + truth.reelected_ns
        if (cut_off and truth.onset_ns <= at < truth.end_ns + truth.writes_back_ns) or (
            not member.startswith("fra") and waiting
        ):
            return False, {}, "timeout: 250 ms"
        return True, {"revision": at // MS}, ""

    return look


def _status(truth: Any, member: str) -> Look:
    far = member.startswith("fra")

    def look(at: int) -> tuple[bool, dict[str, Any], str]:
        index = at // (10 * MS)
        new = truth.onset_ns + truth.reelected_ns
        healed = truth.rejoined_ns is not None and at >= truth.end_ns + truth.rejoined_ns
        leader, term = ("a1", 2) if at < truth.onset_ns else ("0", 2)
        if (not far and at >= new) or (far and healed):
            leader, term = "b2", 3 + truth.terms_lost
        if far and truth.onset_ns <= at and not healed:
            index = truth.onset_ns // (10 * MS)
        value = {
            "member": member, "leader": leader, "term": term, "index": index, "raft_index": index,
        }  # fmt: skip
        return True, value, ""

    return look


def _dns(truth: Any, server: str) -> Look:
    def look(at: int) -> tuple[bool, dict[str, Any], str]:
        if server == "fra-2" and _during(truth, at):
            return False, {}, "timeout: 250 ms"
        gone = truth.withdrawn_ns.get(server)
        returned = truth.end_ns
        if truth.returned_ns is not None:
            returned = truth.onset_ns + truth.returned_ns
        without = gone is not None and truth.onset_ns + gone <= at < returned
        addresses = LONDON if without else BOTH
        return True, {"addresses": list(addresses), "ttl": 5, "rcode": "NOERROR"}, ""

    return look


def _http(truth: Any) -> Look:
    def look(at: int) -> tuple[bool, dict[str, Any], str]:
        went = _went(truth, at)
        if any(truth.onset_ns + a <= at < truth.onset_ns + b for a, b in truth.users_ns):
            return False, went, "status: 503 from 198.18.10.12"
        value = {"status": 200, "address": LONDON[0], "site": "london", "server": "lon-2"}
        return True, {**value, **went}, ""

    return look


def _went(truth: Any, at: int) -> dict[str, Any]:
    """Whom a request of one that takes the addresses of an answer in turn went to."""
    if truth.left_ns is None:
        return {}
    gone = truth.onset_ns + truth.left_ns <= at < truth.end_ns
    return {"went": [LONDON[0] if gone else BOTH[at // (500 * MS) % 2]]}


def _icmp(truth: Any, node: str, target: str) -> Look:
    cut = [node, target] in CUT and (node, target) not in truth.cut_leak

    def look(at: int) -> tuple[bool, dict[str, Any], str]:
        if cut and _during(truth, at):
            return False, {}, "timeout: 250 ms"
        return True, {}, ""

    return look


def _polled(truth: Any) -> Look:
    def look(at: int) -> tuple[bool, dict[str, Any], str]:
        begin = None if truth.polled_ns is None else truth.onset_ns + truth.polled_ns
        state = "firing" if begin is not None and begin <= at < truth.end_ns else "inactive"
        labels = ["alertname=EtcdNoLeader"] if state == "firing" else []
        return True, {"state": state, "series": len(labels), "labels": labels, "value": "1"}, ""

    return look


def _metrics(truth: Any, member: str) -> Look:
    """Who is cut off hears of the new leader when it is back."""
    new = truth.onset_ns + truth.reelected_ns
    if member.startswith("fra"):
        new = truth.end_ns + (truth.rejoined_ns or 0)

    def look(at: int) -> tuple[bool, dict[str, Any], str]:
        return True, {"leader_changes": 1 + int(at >= new)}, ""

    return look


def _mesh(truth: Any, node: str, target: str) -> Look:
    """12 ms and what is added, of which the prober spends up to 1 ms."""
    slowed = {node[:3], target[:3]} == {"fra", "lon"}

    def look(at: int) -> tuple[bool, dict[str, Any], str]:
        wait_ns = at // 1000 % MS
        added = truth.added_us * 1000 if slowed and _during(truth, at) else 0
        return True, {"rtt_ns": 12 * MS + added + wait_ns, "wait_ns": wait_ns}, ""

    return look


def _line(truth: Any, clocks: Any) -> list[Sample]:
    """A file's line, read up to 50 ms after it was written."""
    if truth.logged_ns is None:
        return []
    at = truth.onset_ns + truth.logged_ns + clocks.mono["lon-1"]
    value = {"line": "lost leader a1"}
    return [Sample("etcd-log", "lon-1", "line", 0, at - 30 * MS, at + 20 * MS, True, value, "")]


def _alert(truth: Any, clocks: Any) -> list[Sample]:
    made = []
    moments = [
        ("firing", truth.onset_ns + truth.detected_ns),
        ("resolved", truth.end_ns + 3000 * MS),
    ]
    for seq, (status, at) in enumerate(moments):
        labels = ["alertname=EtcdMemberUnreachable", "severity=page", "site=frankfurt"]
        value = {"status": status, "labels": labels, "starts_at": "2026-01-01T00:00:13Z"}
        stamp = at + clocks.mono["mon-1"]
        made.append(
            Sample("alerts", "mon-1", "EtcdMemberUnreachable", seq, stamp, stamp, True, value, "")
        )
    return made
