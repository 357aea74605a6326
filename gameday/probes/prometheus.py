# SPDX-License-Identifier: Apache-2.0
"""``prometheus``: whether an alert fires, or a query finds anything, as Prometheus tells.

One instant query a look, over the HTTP API. Nodes: Python 3.9 syntax.
"""

from __future__ import annotations

import http.client
import json
from dataclasses import dataclass, field
from typing import Any, Callable, Dict, List, Mapping, Optional
from urllib.parse import urlencode, urlsplit

from gameday.errors import InvalidInput
from gameday.probes.base import Failed, Outcome, Schedule, Target, Value
from gameday.probes.deadline import Deadline, failure_word, request
from gameday.probes.secret import check_reference, read_secret
from gameday.probes.stream import Credentials

LABELS_MAX = 20
TEXT_MAX = 200
STATES = ("firing", "pending")


@dataclass(frozen=True)
class PrometheusParams:
    """Parameters of ``prometheus``.

    Attributes:
        url: of the server, as in http://127.0.0.1:9090; a path before /api is kept.
        alert: name of an alerting rule whose state is asked for.
        labels: labels that the alert must carry.
        query: PromQL instead of an alert; it fires while it finds a series, or a scalar other
            than 0.
        token: where a bearer token is, as env:NAME or file:/path on the vantage.
        ca_file: of the authority that signed the server's certificate, on the vantage; else the
            system's authorities count.
    """

    url: str
    alert: str = ""
    labels: Mapping[str, str] = field(default_factory=dict)
    query: str = ""
    token: str = ""
    ca_file: str = ""

    def __post_init__(self) -> None:
        url = urlsplit(self.url)
        if url.scheme not in ("http", "https") or not url.hostname or url.query:
            raise ValueError(f"url {self.url!r} is not http://host:port or https://host:port")
        if url.username or url.password:
            raise ValueError("url holds credentials; name them by reference in token")
        if bool(self.alert) == bool(self.query):
            raise ValueError("give either alert or query")
        if self.query and self.labels:
            raise ValueError("labels belong to alert; a query names its own")
        check_reference("token", self.token)


class Prometheus:
    """The state of one alert, or of one query."""

    kind = "prometheus"
    Params: type = PrometheusParams
    summary = "whether an alert fires, or a PromQL query finds anything"
    fan_out = "none"
    listens = False

    def sampler(
        self, params: PrometheusParams, node: str, target: Target, schedule: Schedule
    ) -> Callable[[], Outcome]:
        """Each look is one instant query, over a connection of its own."""
        url = urlsplit(params.url)
        host, path = url.hostname or "", url.path.rstrip("/") + "/api/v1/query"
        where = (host, url.port or (80 if url.scheme == "http" else 443))
        credentials = Credentials(params.ca_file, "", "")
        body = urlencode({"query": params.query or alert_query(params)}).encode()

        def look() -> Outcome:
            deadline = Deadline(schedule.timeout_ns)
            headers = {"Content-Type": "application/x-www-form-urlencoded"}
            try:
                if params.token:
                    headers["Authorization"] = f"Bearer {read_secret(params.token)}"
                secure = credentials.secure(host) if url.scheme == "https" else None
                status, _, content = request(where, "POST", path, deadline, body, headers, secure)
            except (InvalidInput, OSError, http.client.HTTPException) as error:
                return Failed(failure_word(error, deadline))
            return parse(status, content)

        return look


def alert_query(params: PrometheusParams) -> str:
    """The selector of an alert's own series; values are quoted as PromQL wants them."""
    wanted = {"alertname": params.alert, **params.labels}
    inside = ",".join(f"{k}={json.dumps(v, ensure_ascii=False)}" for k, v in wanted.items())
    return f"ALERTS{{{inside}}}"


def parse(status: int, content: bytes) -> Outcome:
    """What an answer of /api/v1/query says; ``Failed`` where it proves nothing."""
    try:
        answer: Dict[str, Any] = json.loads(content)
        if answer["status"] != "success":
            return Failed(f"query: {answer.get('errorType')}: {answer.get('error')}"[:TEXT_MAX])
        kind, result = answer["data"]["resultType"], answer["data"]["result"]
        found = _state(kind, result)
    except (ValueError, KeyError, TypeError, AttributeError, IndexError):
        return Failed(f"protocol: status {status}, not an answer of the query API")
    if found is None:
        return Failed(f"query: its result is a {kind}; a vector or a scalar is wanted"[:TEXT_MAX])
    if found["state"] == "inactive" and answer.get("warnings"):
        # A part of the estate did not answer: nothing found is not nothing there.
        return Failed(f"partial: {answer['warnings'][0]}"[:TEXT_MAX])
    return Value(found)


def _state(kind: str, result: List[Any]) -> Optional[Dict[str, Any]]:
    if kind == "scalar":
        value = str(result[1])
        state = "inactive" if value == "NaN" or float(value) == 0 else "firing"
        return _value(state, 1, {}, value)
    if kind != "vector":
        return None
    alike = [series for series in result if series["metric"].get("alertstate") in STATES]
    for state in STATES:
        having = [s for s in alike if s["metric"]["alertstate"] == state]
        if having:
            return _value(state, len(having), having[0]["metric"], str(having[0]["value"][1]))
    if not result:
        return _value("inactive", 0, {}, "")
    return _value("firing", len(result), result[0]["metric"], str(result[0]["value"][1]))


def _value(state: str, series: int, labels: Mapping[str, str], value: str) -> Dict[str, Any]:
    listed = sorted(f"{k}={v}"[:TEXT_MAX] for k, v in labels.items())[:LABELS_MAX]
    return {"state": state, "series": series, "labels": listed, "value": value[:TEXT_MAX]}


PROBE = Prometheus()
