# SPDX-License-Identifier: Apache-2.0
"""Objects of an API server as kubeadm's clusters have them, written by hand."""

from __future__ import annotations

from typing import Any

REGION, ZONE = "topology.kubernetes.io/region", "topology.kubernetes.io/zone"


def node(
    name: str, number: int, region: str = "", zone: str = "", roles: tuple[str, ...] = (),
    **spec: Any,
) -> dict[str, Any]:  # fmt: skip
    """A node with both address families, whose last byte is ``number``."""
    labels = {"kubernetes.io/hostname": name}
    labels |= {f"node-role.kubernetes.io/{role}": "" for role in roles}
    labels |= {REGION: region} if region else {}
    labels |= {ZONE: zone} if zone else {}
    cidrs = [f"10.244.{number}.0/24", f"fd00:244:{number}::/64"]
    return {
        "metadata": {"name": name, "labels": labels},
        "spec": {"podCIDR": cidrs[0], "podCIDRs": cidrs, **spec},
        "status": {
            "addresses": [
                {"type": "InternalIP", "address": f"10.1.0.{number}"},
                {"type": "InternalIP", "address": f"fd00:1:0:0::{number:x}"},
                {"type": "Hostname", "address": name},
            ],
            "conditions": [{"type": "Ready", "status": "True"}],
        },
    }


def etcd_pod(on: str, *flags: str, env: dict[str, str] | None = None) -> dict[str, Any]:
    """The static pod that kubeadm writes."""
    container = {
        "name": "etcd", "command": ["etcd", *flags],
        "env": [{"name": name, "value": value} for name, value in (env or {}).items()],
    }  # fmt: skip
    return {
        "metadata": {"name": f"etcd-{on}", "namespace": "kube-system",
                     "labels": {"component": "etcd", "tier": "control-plane"}},
        "spec": {"nodeName": on, "hostNetwork": True, "containers": [container]},
    }  # fmt: skip


def pod(on: str, *addresses: str, **spec: Any) -> dict[str, Any]:
    """A running pod with addresses of its own."""
    return {
        "metadata": {"name": "p", "namespace": "default"}, "spec": {"nodeName": on, **spec},
        "status": {"phase": "Running", "podIPs": [{"ip": one} for one in addresses]},
    }  # fmt: skip
