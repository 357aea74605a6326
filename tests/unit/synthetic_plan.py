# SPDX-License-Identifier: Apache-2.0
"""The plan of the synthetic run: the lab's estate and the WAN partition of Frankfurt."""

from __future__ import annotations

from typing import Any

MS = 1_000_000

SITES = {
    "frankfurt": ["fra-1", "fra-2", "fra-rtr"],
    "london": ["lon-1", "lon-2", "lon-rtr"],
    "amsterdam": ["ams-1", "ams-rtr"],
    "clients": ["cli-1", "mon-1", "cli-rtr"],
}
NODES = {node: site for site, nodes in SITES.items() for node in nodes}
ROUTERS = ("fra-rtr", "lon-rtr", "ams-rtr", "cli-rtr")
MEMBERS = ("ams-1", "fra-1", "fra-2", "lon-1", "lon-2")
SERVERS = ("ams-1", "fra-2", "lon-2")
ADDRESSES = {
    "fra-1": "198.18.10.11", "fra-2": "198.18.10.12", "lon-1": "198.18.20.11",
    "lon-2": "198.18.20.12", "ams-1": "198.18.30.11", "cli-1": "198.18.40.11",
    "mon-1": "198.18.40.12", "fra-rtr": "198.18.10.1", "lon-rtr": "198.18.20.1",
    "ams-rtr": "198.18.30.1", "cli-rtr": "198.18.40.1",
}  # fmt: skip
CUT = [[a, b] for a in ("fra-1", "fra-2") for b in ("ams-1", "lon-1", "lon-2")]
CUT += [[b, a] for a, b in CUT]
CONTROL = [["fra-1", "fra-2"], ["lon-1", "lon-2"], ["lon-1", "ams-1"], ["ams-1", "lon-2"]]
MESH = [["fra-1", "lon-1"], ["lon-1", "fra-1"], ["fra-1", "ams-1"], ["ams-1", "lon-1"]]
ASKED_US = 24_000
OBJECTIVES = [
    ("time to detect", "time-to-detect", {"at_most_ms": 10000},
     {"probe": "alerts", "alerts": ["EtcdMemberUnreachable", "IngressUnreachable"],
      "labels": {"site": "frankfurt"}}),
    ("time to withdraw Frankfurt from DNS", "time-to-withdraw", {"at_most_ms": 15000},
     {"probe": "dns", "site": "frankfurt"}),
    ("majority writes again", "re-election", {"at_most_ms": 5000},
     {"probe": "etcd-write", "group": "main"}),
    ("quorum recovered after healing", "quorum-recovery", {"at_most_ms": 10000},
     {"probe": "etcd-status", "group": "main"}),
    ("failed user requests", "client-failure-share", {"at_most_percent": 40},
     {"probe": "user-http"}),
    ("longest user outage", "client-failure-longest", {"at_most_ms": 15000},
     {"probe": "user-http"}),
    ("total user outage", "client-failure-total", {}, {"probe": "user-http"}),
]  # fmt: skip
WHY = (
    "Five etcd members in three cities (2+2+1) are meant to survive the loss of any one site. "
    "This drill cuts Frankfurt, where the leader usually sits, off from everybody else, and "
    "measures whether the majority elects a new leader, whether GSLB stops sending users "
    "there, and how long it takes until somebody is told."
)


def make_plan(truth: Any) -> dict[str, Any]:
    """The plan as ``plan.json`` holds it."""
    return {
        "schema": "gameday/v1",
        "experiment": _experiment(truth),
        "sites": SITES,
        "nodes": {
            node: {
                "site": site, "racks": [], "roles": _roles(node),
                "addresses": [ADDRESSES[node]], "vantage_only": node in ("cli-1", "mon-1"),
            }
            for node, site in NODES.items()
        },
        "faults": [_fault(truth)],
        "probes": _probes(truth),
        "effect": {
            "cut-frankfurt": {
                "probe": "effect:cut-frankfurt", "cut": CUT, "control": CONTROL, **_shifted(truth),
            }
        },
        "groups": [_group()],
        "predictions": _predictions(),
        "timeline": {
            "steady_s": truth.steady_s, "faults_end_s": truth.fault_s,
            "recover_s": truth.recover_s,
        },
        "widths": {},
    }  # fmt: skip


def _experiment(truth: Any) -> dict[str, Any]:
    return {
        "schema": "gameday/v1",
        "metadata": {
            "name": "wan-partition-frankfurt", "title": "Frankfurt loses its WAN", "why": WHY,
            "owner": "platform-team@corp.example",
            "links": {
                "adr": "https://wiki.corp.example/adr/0012-etcd-two-two-one",
                "runbook": "https://wiki.corp.example/runbooks/site-isolated",
            },
        },
        "steady_state": {"for_s": truth.steady_s, "checks": []},
        "faults": [],
        "probes": [],
        "recover_s": truth.recover_s,
        "objectives": [
            {"name": name, "measure": measure, "at_most_ms": None, "at_most_percent": None,
             "at_most": None, **limit, "params": params}
            for name, measure, limit, params in OBJECTIVES
        ],
        "abort": [{"name": "users are down everywhere", "probe": "user-http", "failed_for_s": 20}],
    }  # fmt: skip


def _roles(node: str) -> list[str]:
    if node in ROUTERS:
        return ["router"]
    if node in ("cli-1", "mon-1"):
        return ["user" if node == "cli-1" else "monitoring"]
    return ["etcd"]


def _fault(truth: Any) -> dict[str, Any]:
    frankfurt = ["fra-1", "fra-2"]
    others = ["ams-1", "cli-1", "lon-1", "lon-2", "mon-1"]
    return {
        "name": "cut-frankfurt", "kind": "partition", "at_s": 0, "for_s": truth.fault_s,
        "sides": {"side_a": frankfurt, "side_b": others},
        "leases": [
            {"node": node, "id": f"1a2b3c{number:02x}", "spec": {}, "claims": [], "rules": [],
             "undo": []}
            for number, node in enumerate(MEMBERS)
        ],
    }  # fmt: skip


def _probes(truth: Any) -> list[dict[str, Any]]:
    def probe(
        name: str, kind: str, pairs: list[tuple[str, str]], period: int, **params: Any
    ) -> dict[str, Any]:
        return {
            "name": name, "kind": kind, "period_ns": period, "timeout_ns": period,
            "params": params,
            "samplers": [
                {"node": node, "target": target, "addresses": [], "peers": []}
                for node, target in pairs
            ],
        }  # fmt: skip

    own = [(m, m) for m in MEMBERS]
    pairs = [(a, b) for a, b in [*CUT, *CONTROL]]
    return [
        probe("etcd-write", "etcd-write", own, truth.period_ns, port=2379),
        probe("etcd-status", "etcd-status", own, truth.period_ns, port=2379),
        probe("dns", "dns", [("cli-1", s) for s in SERVERS], truth.period_ns),
        probe("user-http", "http", [("cli-1", "app.gameday.test")], 500 * MS),
        probe("alerts", "alertmanager-webhook", [("mon-1", "listener")], 1000 * MS, port=9099),
        probe("effect:cut-frankfurt", "icmp", pairs, 250 * MS),
        *([
            probe("no-leader", "prometheus", [("mon-1", "prometheus")], 500 * MS),
            probe("etcd-log", "log-line", [("lon-1", "listener")], 1000 * MS),
        ] if truth.others else []),
        *([probe("etcd-metrics", "etcd-metrics", own, 1000 * MS)] if truth.counted else []),
        *([probe("mesh", "rtt-mesh", [(a, b) for a, b in MESH], truth.period_ns)]
          if truth.added_us is not None else []),
    ]  # fmt: skip


def _shifted(truth: Any) -> dict[str, Any]:
    """What a fault that slows down asks for; the synthetic one does both."""
    if truth.added_us is None:
        return {}
    profile = {"shape": "constant", "rtt_us": ASKED_US, "loss_ppm": 0, "rate_kbit": 0}
    return {"shifted": [["fra-1", "lon-1"]], "profile": profile, "spread_us": 0}


def _group() -> dict[str, Any]:
    sides = [
        {"members": ["fra-1", "fra-2"], "quorum": False},
        {"members": ["ams-1", "lon-1", "lon-2"], "quorum": True},
    ]
    return {
        "name": "main", "kind": "etcd", "members": list(MEMBERS), "majority": 3,
        "heartbeat_ms": 100, "election_ms": 1000,
        "cuts": [{"fault": "cut-frankfurt", "sides": sides}],
    }  # fmt: skip


def _predictions() -> list[dict[str, Any]]:
    return [
        {"id": "main:cut-frankfurt:0", "fault": "cut-frankfurt", "group": "main",
         "members": ["fra-1", "fra-2"], "expect": "writes-stop",
         "text": "main: fra-1 and fra-2 are 2 of 5, under the majority of 3: they must stop "
                 "acknowledging writes"},
        {"id": "main:cut-frankfurt:1", "fault": "cut-frankfurt", "group": "main",
         "members": ["ams-1", "lon-1", "lon-2"], "expect": "writes-continue",
         "text": "main: ams-1, lon-1 and lon-2 are 3 of 5, the majority of 3: they must go on "
                 "acknowledging writes"},
    ]  # fmt: skip
