# SPDX-License-Identifier: Apache-2.0
"""Kubernetes: a cluster per main site, of a real API server; kubelets and controllers of our own.

Each API server has an etcd of its own on its node, as real clusters have; the five members that
span the sites are the app's. kube_objects.py has what a cluster begins with.
"""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

import yaml

from gameday.errors import CannotRun
from gameday.lab import kube
from gameday.lab import topology as t
from gameday.lab.parts import Part, kube_objects, service

ROLE = "control-plane"
KUBE = "gameday-lab/kube"
"""Below a node's /etc."""

MADE = "kube"
"""Below the lab's directory: certificates, keys and programs that nodes have links to."""

BINARIES = "kubernetes"
"""Below a node's /var/lib."""

DATA = "/var/lib/kube-etcd"
ETCD = "kube-etcd"
"""The program is called otherwise than the app's etcd, so that a fault of one spares the other."""

PORTS = kube.Ports(t.KUBERNETES_PORT, 12379, 12380)
FILES = ("kube_api.py", "kube_node.py", "kube_played.py", "kube_site.py")


def sites() -> dict[str, t.Node]:
    """Sites that have a cluster, each with the node of its API server."""
    return {one.site: one for one in t.with_role(ROLE)}


def members(site: str) -> list[t.Node]:
    """Nodes of a site's cluster."""
    return [one for one in t.NODES if one.site == site]


def server_names(site: str) -> tuple[str, ...]:
    """Every name and address that a site's API server is asked by."""
    node = sites()[site]
    return (node.management, t.v4(node), t.v6(node), "127.0.0.1", node.name, "localhost",
            "kubernetes.default.svc")  # fmt: skip


def part(node: t.Node) -> Part:
    """A kubelet on every node of a main site; etcd, API server and controllers on one of them."""
    if node.site not in sites():
        return Part()
    own = Part(
        files={name: content for name, content in _programs().items() if "site" not in name}
        | {f"{KUBE}/node.json": json.dumps(_node(node))},
        services=[_python("kube-node", "node")],
        links={f"etc/{KUBE}/{name}": f"{MADE}/{name}" for name in
               ("ca.crt", f"{node.name}.crt", f"{node.name}.key")},
    )  # fmt: skip
    if ROLE not in node.roles:
        return own
    made = {f"server.{end}": f"server-{node.site}.{end}" for end in ("crt", "key")}
    made |= {name: name for name in ("sa.key", "site.crt", "site.key")}
    objects = kube_objects.objects(node.site)
    binaries = {f"lib/{BINARIES}/{name}": f"{MADE}/{name}" for name in (ETCD, "kube-apiserver")}
    return Part(
        files=own.files | _programs() | {
            f"{KUBE}/site.json": json.dumps(_site(node.site)),
            f"{KUBE}/objects.json": json.dumps(objects),
        },
        services=[*_servers(node), _python("kube-site", "site"), *own.services],
        packages=("etcd-server",),
        disks=(DATA,),
        links=own.links | {f"etc/{KUBE}/{name}": f"{MADE}/{source}"
                           for name, source in made.items()} | binaries,
    )  # fmt: skip


def _programs() -> dict[str, str]:
    return {f"gameday-lab/{name}": (t.FILES / name).read_text(encoding="utf-8") for name in FILES}


def _python(name: str, what: str) -> dict[str, object]:
    program = f"/etc/gameday-lab/kube_{what}.py"
    return service(name, "/usr/bin/python3", program, f"/etc/{KUBE}/{what}.json")


def _servers(node: t.Node) -> list[dict[str, object]]:
    certs = f"/etc/{KUBE}"
    files = kube.Files(
        f"{certs}/server.crt", f"{certs}/server.key", f"{certs}/ca.crt", f"{certs}/sa.key",
        f"/var/lib/{BINARIES}/certs",
    )  # fmt: skip
    etcd = kube.etcd_argv(DATA, PORTS)[1:]
    api = kube.apiserver_argv(f"/var/lib/{BINARIES}/kube-apiserver", t.v4(node), PORTS, files)
    return [service(ETCD, f"/var/lib/{BINARIES}/{ETCD}", *etcd), service("kube-apiserver", *api)]


def _node(node: t.Node) -> dict[str, object]:
    """What its kubelet is told."""
    at = t.site(node.site).number
    return {
        "name": node.name, "server": t.v4(sites()[node.site]), "port": t.KUBERNETES_PORT,
        "address": t.v4(node), "version": f"v{kube.VERSION}",
        "pod_cidr": f"10.{at}.{node.number}.0/24",
        "addresses": [
            {"type": "InternalIP", "address": t.v4(node)},
            {"type": "InternalIP", "address": t.v6(node)},
            {"type": "Hostname", "address": node.name},
        ],
        "labels": kube_objects.labels(node),
    }  # fmt: skip


def _site(site: str) -> dict[str, object]:
    """What its controllers are told."""
    ingress = {one.site: t.v4(one) for one in t.with_role("ingress")}
    return {
        "site": site, "port": t.KUBERNETES_PORT,
        "ingress": ingress.get(site, ""),
        "others": {name: address for name, address in ingress.items() if name != site},
    }  # fmt: skip


# ---- What a lab makes for all of its nodes ----


def missing() -> list[str]:
    """What this machine lacks beside programs from packages, in words."""
    if os.access(kube.program(), os.X_OK):
        return []
    return [f"{kube.program()} is missing: run scripts/kube-apiserver.sh (5 to 10 minutes, once)"]


def prepare(state: Path) -> None:
    """Certificates, keys and programs, and the kubeconfig of whoever drives the lab.

    Raises:
        CannotRun: where the API server's program is missing.
    """
    # It takes a tenth of a second to import, which nobody else shall wait for.
    from gameday.lab.certificates import Authority, write, write_rsa_key

    if problems := missing():
        raise CannotRun("this machine cannot run the lab", problems=problems)
    made = state / MADE
    made.mkdir(mode=0o700)
    # Nodes do not see all of this machine's directories; links in memory cost no more memory.
    shutil.copy(kube.program(), made / "kube-apiserver")
    shutil.copy("/usr/bin/etcd", made / ETCD)
    authority = Authority(made)
    for site, node in sites().items():
        authority.sign(f"server-{site}", node.name, names=server_names(site), server=True)
        for one in members(site):
            authority.sign(one.name, f"system:node:{one.name}", "system:nodes")
    authority.sign("site", "gameday-lab:site", "system:masters")
    authority.sign("admin", "gameday-lab:admin", "system:masters")
    write_rsa_key(made / "sa.key")
    write(state / "kubeconfig", kubeconfig(made).encode(), 0o600)


def kubeconfig(made: Path) -> str:
    """A context per site, of an administrator; servers by their management addresses."""
    user = {"client-certificate": str(made / "admin.crt"), "client-key": str(made / "admin.key")}
    names = list(sites())
    return yaml.safe_dump({
        "apiVersion": "v1", "kind": "Config",
        "clusters": [{"name": site, "cluster": {
            "server": f"https://{node.management}:{t.KUBERNETES_PORT}",
            "certificate-authority": str(made / "ca.crt"),
        }} for site, node in sites().items()],
        "users": [{"name": "admin", "user": user}],
        "contexts": [{"name": site, "context": {"cluster": site, "user": "admin"}}
                     for site in names],
    }, sort_keys=False)  # fmt: skip
