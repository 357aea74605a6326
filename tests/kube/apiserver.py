# SPDX-License-Identifier: Apache-2.0
"""A real kube-apiserver with an etcd of its own, on loopback: one cluster for tests.

It is Kubernetes 1.20 (December 2020), which is not a supported version; scripts/kube-apiserver.sh
builds it, docs/lab.md says why that one. What it lacks beside a supported one: policy/v1 (eviction
and disruption budgets are policy/v1beta1), discovery.k8s.io/v1 (EndpointSlice is v1beta1), batch/v1
CronJob (v1beta1), CEL and ValidatingAdmissionPolicy, server-side apply as a stable feature,
AdminNetworkPolicy, SelfSubjectReview. No controller runs beside it: no scheduler, no kubelet, no
garbage collection, and a namespace that is deleted stays in Terminating. Whoever needs a status
writes it.

    with ApiServer(tmp_path) as server:
        server.crds("Gslb", "GitRepo")
        server.request("GET", "/api/v1/nodes")
"""

from __future__ import annotations

import base64
import contextlib
import http.client
import json
import os
import secrets
import signal
import socket
import ssl
import subprocess
from collections.abc import Callable, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

import yaml
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa

from gameday import clock
from gameday.lab import kube
from tests.certificates import Authority

MERGE_PATCH = "application/merge-patch+json"
LEEWAY_S = 60
"""The server takes a token for a minute after its end."""

TRIES, PAUSE_NS = 2400, 50 * clock.NS_PER_MS
"""Two minutes. Tries are counted, not seconds: a machine that stood still owes them all."""


class ApiServer:
    """One cluster; nothing of it is left after ``close``, or after this process.

    Attributes:
        kubeconfig: path of a file whose ``context`` is an administrator's (``system:masters``).
        context: name of the context, and of the cluster in it.
        url: where it listens, on port ``port``. ca: path of the authority of its certificate, PEM.
        admin: the administrator's token.
    """

    def __init__(
        self, directory: Path, context: str = "frankfurt", more: Sequence[str] = ()
    ) -> None:  # fmt: skip
        """``more``: arguments of kube-apiserver beside those of the lab's."""
        if not os.access(kube.program(), os.X_OK):
            raise RuntimeError(f"{kube.program()} is missing: run scripts/kube-apiserver.sh")
        self._directory, self.context, self._more = directory, context, more
        directory.mkdir(parents=True, exist_ok=True)
        self._ports = kube.Ports(*_free_ports(3))
        self.port = self._ports.https
        self.url = f"https://127.0.0.1:{self.port}"
        authority = Authority(directory, "kubernetes ca")
        pair = authority.sign("127.0.0.1", "localhost", "kubernetes.default.svc")
        self.ca, self.admin = authority.ca, secrets.token_hex(16)
        self._clients = directory / "client-ca.pem"
        self.trust(self.ca)
        self._key = rsa.generate_private_key(65537, 2048)
        self._files = kube.Files(
            str(pair.cert), str(pair.key), str(self._clients), str(directory / "sa.key"),
            str(directory / "certs"), str(directory / "tokens.csv"),
        )  # fmt: skip
        _private(directory / "sa.key", self._key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        ))  # fmt: skip
        _private(directory / "tokens.csv", f'{self.admin},admin,admin,"system:masters"\n'.encode())
        self.kubeconfig = self.write_kubeconfig(directory / "kubeconfig", self.admin)
        self._running: dict[str, subprocess.Popen[bytes]] = {}

    def __enter__(self) -> ApiServer:
        try:
            self.start()
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:  # fmt: skip
        self.close()

    def trust(self, authority: Path) -> None:
        """Before the start: take client certificates of this authority too (PEM)."""
        with open(self._clients, "ab") as file:
            file.write(authority.read_bytes())

    # ---- Life and death ----

    def start(self) -> None:
        """Start what does not run, with the data that it had; returns once it is ready.

        Watches of before are over, and resourceVersions of before are too old to watch from (410).
        """
        if "etcd" not in self._running:
            self._spawn("etcd", kube.etcd_argv(str(self._directory / "etcd"), self._ports))
        if "kube-apiserver" not in self._running:
            argv = kube.apiserver_argv(
                str(kube.program()), "127.0.0.1", self._ports, self._files
            )  # fmt: skip
            self._spawn("kube-apiserver", [*argv, *self._more])
        self.wait(self._ready, "the API server is ready")

    def stop(self) -> None:
        """The API server dies: its port refuses. Its etcd, with all data, stays."""
        self._end("kube-apiserver")

    def pause(self) -> None:
        """It hangs: connections are taken, and nobody answers; no watch says a word."""
        self._running["kube-apiserver"].send_signal(signal.SIGSTOP)

    def resume(self) -> None:
        """It goes on where it was."""
        self._running["kube-apiserver"].send_signal(signal.SIGCONT)

    def close(self) -> None:
        """End both; their files stay in the directory."""
        for name in list(self._running):
            self._end(name)

    def compact(self) -> None:
        """etcd forgets every earlier revision: a list that goes on by ``continue`` gets 410.

        So does a watch that goes on where it was, but for the API server's own cache, which
        remembers what it has seen itself: ``--watch-cache=false`` takes it away.
        """
        revision = int(self._etcd("/v3/kv/range", {"key": _b64(b"a")})["header"]["revision"])
        self._etcd("/v3/kv/compaction", {"revision": str(revision), "physical": True})

    # ---- Asking ----

    def request(
        self, method: str, path: str, body: Any = None, *, token: str = "",
        content_type: str = "", timeout_s: float = 60.0,
    ) -> tuple[int, dict[str, Any]]:  # fmt: skip
        """Status and JSON of one request, as the administrator or by another token.

        A body of PATCH is a merge patch unless ``content_type`` says otherwise.

        Raises:
            OSError: where no answer comes.
        """
        connection = self._connection(timeout_s)
        kind = content_type or (MERGE_PATCH if method == "PATCH" else "application/json")
        headers = {"Authorization": f"Bearer {token or self.admin}", "Content-Type": kind}
        try:
            connection.request(method, path, json.dumps(body) if body else None, headers)
            answer = connection.getresponse()
            data = answer.read()
        except http.client.HTTPException as error:
            raise ConnectionError(str(error)) from error
        finally:
            connection.close()
        if not answer.headers.get("Content-Type", "").startswith("application/json"):
            return answer.status, {"text": data.decode(errors="replace")}
        # A watch answers with an event a line, if any, of which the first will do.
        if "watch=" in path:
            data = data.partition(b"\n")[0] or b"{}"
        return answer.status, json.loads(data)

    def done(self, method: str, path: str, body: Any = None) -> dict[str, Any]:
        """What an administrator's request answers, that must succeed."""
        status, found = self.request(method, path, body)
        assert status < 300, f"{method} {path}: {status}: {found.get('message', found)}"
        return found

    def crds(self, *kinds: str) -> None:
        """Make custom resources of these kinds known (all that the lab has, where none is named)
        and wait until they are served."""
        for one in kube.crds(kinds):
            spec = one["spec"]
            path = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
            status, found = self.request("POST", path, one)
            assert status in (201, 409), found
            for version in spec["versions"]:
                url = f"/apis/{spec['group']}/{version['name']}/{spec['names']['plural']}"
                self.wait(
                    lambda url=url: self.request("GET", url)[0] == 200,  # type: ignore[misc]
                    f"{url} is served",
                )

    # ---- Who asks ----

    def token(self, user: str, lifetime_s: float = 3600) -> str:
        """A service account's token, as TokenRequest makes them; RBAC knows ``subject(user)``.

        The account is in the namespace default, and is made where it is missing. The server takes
        a token that it knows for up to 10 s longer, since it remembers those it has checked.

        Args:
            lifetime_s: from now on, also negative for one that has expired; TokenRequest itself
                gives none under ten minutes.
        """
        path = "/api/v1/namespaces/default/serviceaccounts"
        self.request("POST", path, {"metadata": {"name": user}})
        account = self.done("GET", f"{path}/{user}")
        now = clock.wall_ns() // clock.NS_PER_S
        claims = {
            "iss": kube.ISSUER, "aud": [kube.ISSUER], "sub": self.subject(user),
            "iat": now - 600, "nbf": now - 600, "exp": int(now + lifetime_s) - LEEWAY_S,
            "kubernetes.io": {
                "namespace": "default",
                "serviceaccount": {"name": user, "uid": account["metadata"]["uid"]},
            },
        }  # fmt: skip
        head = {"alg": "RS256", "typ": "JWT"}
        signed = ".".join(_b64url(json.dumps(one).encode()) for one in (head, claims))
        signature = self._key.sign(signed.encode(), padding.PKCS1v15(), hashes.SHA256())
        return f"{signed}.{_b64url(signature)}"

    def subject(self, user: str) -> str:
        """Name of that service account as a user."""
        return f"system:serviceaccount:default:{user}"

    def allow(self, user: str, *rules: dict[str, Any]) -> None:
        """A ClusterRole and its binding for that service account, with exactly these rules."""
        path, name = "/apis/rbac.authorization.k8s.io/v1", {"metadata": {"name": user}}
        role = {**name, "rules": list(rules)}
        if self.request("POST", f"{path}/clusterroles", role)[0] == 409:
            self.done("PUT", f"{path}/clusterroles/{user}", role)
        bound = {
            **name,
            "subjects": [{"kind": "ServiceAccount", "name": user, "namespace": "default"}],
            "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole",
                        "name": user},
        }  # fmt: skip
        status, found = self.request("POST", f"{path}/clusterrolebindings", bound)
        assert status in (201, 409), found

    def write_kubeconfig(self, path: Path, token: str) -> Path:
        """A kubeconfig with one context, ``context``, that asks by this token."""
        cluster = {"server": self.url, "certificate-authority-data": _b64(self.ca.read_bytes())}
        names = {"cluster": self.context, "user": self.context}
        data = {
            "apiVersion": "v1", "kind": "Config",
            "clusters": [{"name": self.context, "cluster": cluster}],
            "users": [{"name": self.context, "user": {"token": token}}],
            "contexts": [{"name": self.context, "context": names}],
        }  # fmt: skip
        _private(path, yaml.safe_dump(data, sort_keys=False).encode())
        return path

    # ---- Inside ----

    def wait(self, condition: Callable[[], bool], what: str) -> None:
        """Until it holds; an OSError is a no.

        Raises:
            AssertionError: where it does not for two minutes, or a process is dead.
        """
        for _ in range(TRIES):
            with contextlib.suppress(OSError):
                if condition():
                    return
            for name, process in self._running.items():
                assert process.poll() is None, f"{name} ended: {self._log(name)}"
            clock.sleep_until_mono(clock.mono_ns() + PAUSE_NS)
        raise AssertionError(f"not in time: {what}: {self._log('kube-apiserver')}")

    def _ready(self) -> bool:
        """Ready by its own word, and the namespaces that it makes by itself are there."""
        return all(
            self.request("GET", path)[0] == 200
            for path in ("/readyz", "/api/v1/namespaces/default", "/api/v1/namespaces/kube-system")
        )

    def _connection(self, timeout_s: float) -> http.client.HTTPSConnection:
        trust = ssl.create_default_context(cafile=str(self.ca))
        return http.client.HTTPSConnection("127.0.0.1", self.port, timeout=timeout_s, context=trust)

    def _etcd(self, path: str, body: dict[str, Any]) -> dict[str, Any]:
        connection = http.client.HTTPConnection("127.0.0.1", self._ports.etcd, timeout=10)
        with contextlib.closing(connection):
            connection.request("POST", path, json.dumps(body))
            answer = connection.getresponse()
            found: dict[str, Any] = json.loads(answer.read())
        assert answer.status == 200, found
        return found

    def _spawn(self, name: str, argv: list[str]) -> None:
        with open(self._directory / f"{name}.log", "ab") as log:
            # A test process that is killed takes its servers along.
            self._running[name] = subprocess.Popen(
                ["setpriv", "--pdeathsig", "KILL", "--", *argv],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd=self._directory,
            )  # fmt: skip

    def _end(self, name: str) -> None:
        process = self._running.pop(name, None)
        if process is not None:
            process.kill()
            process.wait()

    def _log(self, name: str) -> str:
        path = self._directory / f"{name}.log"
        return path.read_text(errors="replace")[-2000:] if path.exists() else "no log"


def _free_ports(number: int) -> list[int]:
    """Ports of loopback that nobody has at the moment."""
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(number)]
        for one in sockets:
            one.bind(("127.0.0.1", 0))
        return [one.getsockname()[1] for one in sockets]


def _private(path: Path, data: bytes) -> None:
    """Write a file that nobody else may read."""
    path.touch(mode=0o600)
    path.write_bytes(data)


def _b64(data: bytes) -> str:
    return base64.b64encode(data).decode()


def _b64url(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()
