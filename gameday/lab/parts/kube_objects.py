# SPDX-License-Identifier: Apache-2.0
"""What a site's cluster begins with: objects, each with the path that it is made at. Pure."""

from __future__ import annotations

from typing import Any

from gameday.lab import kube
from gameday.lab import topology as t

REGION = "europe"
ZONE_LABEL, REGION_LABEL = "topology.kubernetes.io/zone", "topology.kubernetes.io/region"
RACK_LABEL = "topology.gameday.test/rack"
"""Kubernetes has no label of its own for racks."""

ROLE_LABEL = "node-role.kubernetes.io"
ROLES = ("control-plane", "etcd", "app", "ingress", "gslb")
"""Roles that nodes of every lab with clusters have."""

KINDS = ("Gslb", "GitRepo", "Bundle", "Cluster")
"""Custom resources that the lab has objects of. Each definition more costs every API server a
second of a processor; whoever needs another makes it."""

NAMESPACE, NAME = "ingress", "ingress"
FLEET = "fleet-local"
REPOSITORY = "https://git.gameday.test/platform"
"""Nobody clones it: Fleet's controllers are played."""

Json = dict[str, Any]


def labels(node: t.Node) -> dict[str, str]:
    """Of a node, as its kubelet has them."""
    own = {
        "kubernetes.io/hostname": node.name, "kubernetes.io/os": "linux",
        "kubernetes.io/arch": "amd64", REGION_LABEL: REGION, ZONE_LABEL: node.site,
        RACK_LABEL: t.rack(node),
    }  # fmt: skip
    return own | {f"{ROLE_LABEL}/{role}": "" for role in ROLES if role in node.roles}


def objects(site: str) -> list[Json]:
    """In the order in which they are made: {"path", "object"}."""
    definitions = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
    found = [{"path": definitions, "object": one} for one in kube.crds(KINDS)]
    ingress = next((one for one in t.with_role("ingress") if one.site == site), None)
    if ingress is not None:
        found += _ingress()
    return found + _fleet(site, ingress is not None)


def _namespace(name: str) -> Json:
    return {"path": "/api/v1/namespaces", "object": {"metadata": {"name": name}}}


def _ingress() -> list[Json]:
    """Deployment, Service, Ingress and Gslb of the site's ingress."""
    meta = {"name": NAME, "labels": {"app": NAME}}
    template = {
        "metadata": {"labels": {"app": NAME}},
        "spec": {
            # The node's own nginx on the node's own address.
            "hostNetwork": True, "nodeSelector": {f"{ROLE_LABEL}/ingress": ""},
            "terminationGracePeriodSeconds": 2,
            "containers": [{
                "name": "nginx", "image": "nginx:lab",
                "ports": [{"name": "http", "containerPort": 80, "hostPort": 80}],
                "readinessProbe": {"httpGet": {"path": "/healthz", "port": "http"},
                                   "periodSeconds": 1},
            }],
        },
    }  # fmt: skip
    deployment = {"metadata": meta, "spec": {
        "replicas": 1, "selector": {"matchLabels": {"app": NAME}}, "template": template,
    }}  # fmt: skip
    ports = [{"name": "http", "port": 80, "targetPort": "http"}]
    backend = {"service": {"name": NAME, "port": {"name": "http"}}}
    paths = [{"path": "/", "pathType": "Prefix", "backend": backend}]
    rules = [{"host": t.APP_NAME, "http": {"paths": paths}}]
    gslb = {
        "apiVersion": "k8gb.absa.oss/v1beta1", "kind": "Gslb", "metadata": {"name": "app"},
        "spec": {
            "ingress": {"rules": rules},
            "strategy": {"type": "roundRobin", "dnsTtlSeconds": 5},
        },
    }  # fmt: skip
    of = f"namespaces/{NAMESPACE}"
    return [
        _namespace(NAMESPACE),
        {"path": f"/apis/apps/v1/{of}/deployments", "object": deployment},
        {"path": f"/api/v1/{of}/services",
         "object": {"metadata": meta, "spec": {"selector": {"app": NAME}, "ports": ports}}},
        {"path": f"/apis/networking.k8s.io/v1/{of}/ingresses",
         "object": {"metadata": {"name": "app"}, "spec": {"rules": rules}}},
        {"path": f"/apis/k8gb.absa.oss/v1beta1/{of}/gslbs", "object": gslb},
    ]  # fmt: skip


def _fleet(site: str, ingress: bool) -> list[Json]:
    """The local cluster, a GitRepo, and its Bundle: the ingress, where the site has one."""
    version = "fleet.cattle.io/v1alpha1"
    path = f"/apis/{version}/namespaces/{FLEET}"
    deployed = {
        "gameday.test/path": f"/apis/apps/v1/namespaces/{NAMESPACE}/deployments/{NAME}",
        "gameday.test/replicas": "1",
    }  # fmt: skip
    targets = [{"clusterName": "local"}]
    bundle = {
        "apiVersion": version, "kind": "Bundle",
        "metadata": {
            "name": "platform-ingress", "labels": {"fleet.cattle.io/repo-name": "platform"},
            "annotations": deployed if ingress else {},
        },
        "spec": {"defaultNamespace": NAMESPACE, "targets": targets},
    }  # fmt: skip
    return [
        _namespace(FLEET),
        {"path": f"{path}/clusters", "object": {
            "apiVersion": version, "kind": "Cluster",
            "metadata": {"name": "local", "labels": {"site": site}}, "spec": {},
        }},
        {"path": f"{path}/gitrepos", "object": {
            "apiVersion": version, "kind": "GitRepo", "metadata": {"name": "platform"},
            "spec": {"repo": REPOSITORY, "branch": "main", "paths": ["ingress"],
                     "targets": targets},
        }},
        {"path": f"{path}/bundles", "object": bundle},
    ]  # fmt: skip
