# SPDX-License-Identifier: Apache-2.0
"""Prometheus and Alertmanager, with alerts on etcd and the ingresses, all at one second."""

from __future__ import annotations

import json
from typing import Any

from gameday.lab import topology as t
from gameday.lab.parts import Part, service

ALERTS = (
    ("EtcdMemberUnreachable", 'up{job="etcd"} == 0', "an etcd member cannot be scraped"),
    ("EtcdNoLeader", "etcd_server_has_leader == 0", "an etcd member follows no leader"),
    ("IngressUnreachable", 'up{job="ingress"} == 0', "a site's ingress does not answer"),
)


def part(node: t.Node) -> Part:
    """Both servers on role monitoring. Their files are JSON, which is YAML too."""
    if "monitoring" not in node.roles:
        return Part()
    prometheus = {
        "global": {"scrape_interval": "1s", "scrape_timeout": "500ms", "evaluation_interval": "1s"},
        "rule_files": ["/etc/gameday-lab/alerts.yml"],
        "alerting": {
            "alertmanagers": [{"static_configs": [{"targets": ["127.0.0.1:9093"]}]}],
        },
        "scrape_configs": [_job("etcd", "etcd", t.ETCD_CLIENT), _job("ingress", "ingress", 80)],
    }
    rules = [
        {"alert": name, "expr": expression, "for": "0s", "labels": {"severity": "page"},
         "annotations": {"summary": summary}}
        for name, expression, summary in ALERTS
    ]  # fmt: skip
    alertmanager = {
        "route": {
            "receiver": "gameday", "group_by": ["alertname", "site", "node"],
            "group_wait": "0s", "group_interval": "1s", "repeat_interval": "1h",
        },
        "receivers": [
            {
                "name": "gameday",
                "webhook_configs": [
                    {"url": f"http://127.0.0.1:{t.WEBHOOK_PORT}/", "send_resolved": True}
                ],
            }
        ],
    }  # fmt: skip
    return Part(
        {
            "gameday-lab/prometheus.yml": json.dumps(prometheus, indent=1),
            "gameday-lab/alerts.yml": json.dumps(
                {"groups": [{"name": "estate", "interval": "1s", "rules": rules}]}, indent=1
            ),
            "gameday-lab/alertmanager.yml": json.dumps(alertmanager, indent=1),
        },
        [
            service("prometheus", "prometheus", "--config.file=/etc/gameday-lab/prometheus.yml",
                    "--storage.tsdb.path=/var/lib/prometheus", "--web.listen-address=:9090"),
            service("alertmanager", "prometheus-alertmanager",
                    "--config.file=/etc/gameday-lab/alertmanager.yml",
                    "--storage.path=/var/lib/alertmanager", "--cluster.listen-address=",
                    "--web.listen-address=:9093"),
        ],
        ("prometheus", "prometheus-alertmanager"),
    )  # fmt: skip


def _job(name: str, role: str, port: int) -> dict[str, Any]:
    targets = [
        {
            "targets": [f"{t.v4(one)}:{port}"],
            "labels": {"site": one.site, "node": one.name},
        }
        for one in t.with_role(role)
    ]
    return {"job_name": name, "static_configs": targets}
