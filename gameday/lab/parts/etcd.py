# SPDX-License-Identifier: Apache-2.0
"""Five etcd members, two in each main site and a witness."""

from __future__ import annotations

from gameday.lab import topology as t
from gameday.lab.parts import Part, service

DATA = "/var/lib/etcd"


def part(node: t.Node) -> Part:
    """A member on a node with role etcd, with the defaults of etcd for its timeouts."""
    if "etcd" not in node.roles:
        return Part()
    address = t.v4(node)
    cluster = ",".join(
        f"{one.name}=http://{t.v4(one)}:{t.ETCD_PEER}" for one in t.with_role("etcd")
    )
    return Part(
        services=[
            service(
                "etcd", "etcd", f"--name={node.name}", f"--data-dir={DATA}",
                f"--listen-client-urls=http://{address}:{t.ETCD_CLIENT},"
                f"http://127.0.0.1:{t.ETCD_CLIENT}",
                f"--advertise-client-urls=http://{address}:{t.ETCD_CLIENT}",
                f"--listen-peer-urls=http://{address}:{t.ETCD_PEER}",
                f"--initial-advertise-peer-urls=http://{address}:{t.ETCD_PEER}",
                f"--initial-cluster={cluster}", "--initial-cluster-token=gameday-lab",
                f"--heartbeat-interval={t.HEARTBEAT_MS}", f"--election-timeout={t.ELECTION_MS}",
                # As etcd does by itself since 3.5: who comes back unseats no leader.
                "--pre-vote=true",
            )
        ],
        packages=("etcd-server",),
        disks=(DATA,),
    )  # fmt: skip
