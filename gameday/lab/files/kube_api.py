# SPDX-License-Identifier: Apache-2.0
"""One API server, asked by the lab's own kubelet and controllers. Standard library only.

A connection is kept for many requests, as client-go keeps it; one that breaks is made anew at the
next request.
"""

import http.client
import json
import ssl
import time
from typing import Any

TIMEOUT_S = 4.0
PATIENT_TRIES, PATIENT_S = 100, 0.1
MERGE_PATCH = "application/merge-patch+json"
CONFLICTS = (404, 409)
"""Somebody else was faster; the next look sees what is there."""

Json = dict[str, Any]


class Failed(Exception):
    """No answer, or one that says no; status 0 where there was none."""

    def __init__(self, status: int, text: str) -> None:
        super().__init__(f"{status}: {text}")
        self.status = status


class Api:
    """Asks as the user of a client certificate, ``<user>.crt`` in ``directory``."""

    def __init__(self, host: str, port: int, directory: str, user: str) -> None:
        trust = ssl.create_default_context(cafile=f"{directory}/ca.crt")
        trust.load_cert_chain(f"{directory}/{user}.crt", f"{directory}/{user}.key")
        self._connection = http.client.HTTPSConnection(host, port, timeout=TIMEOUT_S, context=trust)

    def ask(self, method: str, path: str, body: Json | None = None) -> Json:
        """JSON of one answer.

        Raises:
            Failed: where it is not a good one.
        """
        kind = MERGE_PATCH if method == "PATCH" else "application/json"
        try:
            self._connection.request(
                method, path, None if body is None else json.dumps(body), {"Content-Type": kind}
            )
            answer = self._connection.getresponse()
            data = answer.read()
        except (OSError, http.client.HTTPException) as error:
            self._connection.close()
            raise Failed(0, f"{method} {path}: {error or type(error).__name__}") from error
        if answer.status >= 300:
            raise Failed(answer.status, f"{method} {path}: {data[:300]!r}")
        found: Json = json.loads(data) if data else {}
        return found

    def get(self, path: str) -> Json:
        """See ``ask``."""
        return self.ask("GET", path)

    def items(self, path: str) -> list[Json]:
        """Objects of a list."""
        return list(self.ask("GET", path)["items"])

    def change(self, method: str, path: str, body: Json | None = None) -> bool:
        """Ask for a change; False where somebody else was faster.

        Raises:
            Failed: for any other answer.
        """
        try:
            self.ask(method, path, body)
        except Failed as error:
            if error.status in CONFLICTS:
                return False
            raise
        return True

    def make(self, path: str, body: Json) -> None:
        """Make an object that may be there already.

        Raises:
            Failed: for any other answer.
        """
        try:
            self.ask("POST", path, body)
        except Failed as error:
            if error.status != 409:
                raise

    def patiently(self, method: str, path: str, body: Json | None = None) -> None:
        """Ask until what is asked for is there: for ten seconds. Making it again is no mistake.

        Raises:
            Failed: for any other answer, and where it is not there by then.
        """
        for attempt in range(PATIENT_TRIES):
            try:
                self.ask(method, path, body)
                return
            except Failed as error:
                if error.status == 409 and method == "POST":
                    return
                if error.status != 404 or attempt == PATIENT_TRIES - 1:
                    raise
                time.sleep(PATIENT_S)


def now() -> str:
    """The time as Kubernetes writes it, to the second."""
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())


def now_micro() -> str:
    """The same, to the microsecond, as in a Lease."""
    moment = time.time_ns() // 1000
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(moment // 1_000_000)) + (
        f".{moment % 1_000_000:06d}Z"
    )


def condition(kind: str, status: str, reason: str, message: str, before: list[Json]) -> Json:
    """A condition whose transition time is kept where its status is what it was."""
    known = {one["type"]: one for one in before}.get(kind, {})
    same = known.get("status") == status
    return {
        "type": kind, "status": status, "reason": reason, "message": message,
        "lastTransitionTime": known.get("lastTransitionTime") if same else now(),
    }  # fmt: skip


def said(conditions: list[Json], kind: str) -> str:
    """Status of a condition; empty where there is none."""
    return next((str(one["status"]) for one in conditions if one["type"] == kind), "")
