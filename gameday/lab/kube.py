# SPDX-License-Identifier: Apache-2.0
"""A real kube-apiserver and the etcd under it: where the program is, how both are started, CRDs.

Of the lab's part kubernetes and of tests/kube. It is Kubernetes 1.20, the newest that can be built
from a Debian 12 source package, and no supported version: docs/lab.md says what it lacks.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from gameday.errors import CannotRun

VERSION = "1.20.2"
"""scripts/kube-apiserver.sh has the same; a unit test compares them."""

CRDS = Path(__file__).parent / "files" / "crds"
SERVICES = "10.96.0.0/24"
"""Cluster addresses of services; nobody routes them here."""

ISSUER = "https://kubernetes.default.svc"
"""Of service accounts' tokens."""


def program() -> Path:
    """Where scripts/kube-apiserver.sh puts the program; it may not be there."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or "/var/cache")
    return cache / "gameday" / f"kube-apiserver-{VERSION}"


@dataclass(frozen=True)
class Ports:
    """Of one API server (https) and of the one etcd member under it (http, client and peer)."""

    https: int
    etcd: int
    etcd_peer: int


@dataclass(frozen=True)
class Files:
    """What an API server is started with, by path.

    Attributes:
        cert: its certificate, with all names it is asked by. key: of that certificate.
        client_ca: signs clients' certificates: a user is a common name, a group an organisation.
        service_accounts: RSA key that signs and checks service accounts' tokens.
        tokens: CSV of token, user, uid, groups; empty for none.
        certs: directory for what it makes itself.
    """

    cert: str
    key: str
    client_ca: str
    service_accounts: str
    certs: str
    tokens: str = ""


def etcd_argv(data: str, ports: Ports) -> list[str]:
    """One member, for one API server on the same host only."""
    client, peer = f"http://127.0.0.1:{ports.etcd}", f"http://127.0.0.1:{ports.etcd_peer}"
    return [
        "etcd", "--name=kubernetes", f"--data-dir={data}",
        f"--listen-client-urls={client}", f"--advertise-client-urls={client}",
        f"--listen-peer-urls={peer}", f"--initial-advertise-peer-urls={peer}",
        f"--initial-cluster=kubernetes={peer}",
        # What it holds need not outlive the machine; its death it does outlive.
        "--unsafe-no-fsync",
    ]  # fmt: skip


def apiserver_argv(binary: str, address: str, ports: Ports, files: Files) -> list[str]:
    """The API server; ``address`` is told to clients inside, it listens on all of them.

    No controller, scheduler or kubelet runs beside it: a pod needs no service account's secret,
    and nobody but the lab's own controllers and the tests write a status.
    """
    listen = address if address.startswith("127.") else "0.0.0.0"  # noqa: S104 - in its own namespace
    tokens = [f"--token-auth-file={files.tokens}"] if files.tokens else []
    return [
        binary, f"--etcd-servers=http://127.0.0.1:{ports.etcd}",
        f"--bind-address={listen}", f"--advertise-address={address}",
        f"--secure-port={ports.https}", "--insecure-port=0", f"--cert-dir={files.certs}",
        f"--tls-cert-file={files.cert}", f"--tls-private-key-file={files.key}",
        f"--client-ca-file={files.client_ca}", *tokens, "--authorization-mode=Node,RBAC",
        f"--service-account-key-file={files.service_accounts}",
        f"--service-account-signing-key-file={files.service_accounts}",
        f"--service-account-issuer={ISSUER}", f"--service-cluster-ip-range={SERVICES}",
        "--disable-admission-plugins=ServiceAccount", "--profiling=false",
    ]  # fmt: skip


def crds(kinds: Iterable[str] = ()) -> list[dict[str, Any]]:
    """Custom resource definitions of these kinds, all where none is named.

    Raises:
        CannotRun: for a kind that there is none of.
    """
    found: dict[str, dict[str, Any]] = {}
    for path in sorted(CRDS.glob("*.yaml")):
        one = yaml.safe_load(path.read_text(encoding="utf-8"))
        found[one["spec"]["names"]["kind"]] = one
    wanted = list(kinds) or list(found)
    unknown = [kind for kind in wanted if kind not in found]
    if unknown:
        raise CannotRun(
            f"no custom resource definition of {', '.join(unknown)}", f"kinds: {', '.join(found)}"
        )
    return [found[kind] for kind in wanted]
