# SPDX-License-Identifier: Apache-2.0
"""``http``: what a user does: look the name up, then ask one of the addresses.

Nodes: Python 3.9 syntax.
"""

from __future__ import annotations

import hashlib
import http.client
import ipaddress
from dataclasses import dataclass, field
from typing import Any, Callable, List, Literal, Mapping, Optional, Tuple, Union
from urllib.parse import SplitResult, urlsplit

from gameday import clock
from gameday.probes.base import Failed, Outcome, Schedule, Target, Value
from gameday.probes.deadline import Deadline, exchange, failure_word
from gameday.probes.dns import Question
from gameday.probes.resolving import Addresses, Fixed, Resolver
from gameday.probes.stream import Credentials, Stream, connect

DAY_S = 86_400
PORTS = {"http": 80, "https": 443}


@dataclass(frozen=True)
class HttpParams:
    """Parameters of ``http``.

    Attributes:
        url: http or https. Its host is looked up at the nodes that ``to`` selects, unless it is
            an address.
        status: the status that counts as success.
        body: text that the answer must hold, in its first MiB.
        dns_port: of the name servers.
        resolvers: addresses of resolvers to ask instead of the nodes that ``to`` selects.
        family: 6 asks for AAAA records, at IPv6 addresses of the nodes; else for A records.
        client: honours-ttl asks again when the TTL has run out; caches-forever keeps the first
            answer; tries-next honours the TTL, and goes on to the next address where one does
            not answer.
        ca_file: of the authority that signed the server's certificate, on the vantage; else the
            system's authorities count.
        server_name: the name in the certificate, if it is not the URL's host.
        certificate_sha256: of the certificate that the server must show, in hexadecimal.
    """

    url: str
    status: int = 200
    body: str = ""
    dns_port: int = 53
    resolvers: Tuple[str, ...] = ()
    family: Optional[Literal[4, 6]] = None
    client: Literal["honours-ttl", "caches-forever", "tries-next"] = "honours-ttl"
    ca_file: str = ""
    server_name: str = ""
    certificate_sha256: str = field(default="", metadata={"pattern": "^([0-9a-f]{64})?$"})

    def __post_init__(self) -> None:
        url = urlsplit(self.url)
        if url.scheme not in PORTS or not url.hostname or url.port == 0:
            raise ValueError(f"url {self.url!r} is not http://host/path or https://host/path")
        if url.scheme == "http" and (self.ca_file or self.server_name or self.certificate_sha256):
            raise ValueError(
                "ca_file, server_name and certificate_sha256 are for an https:// url"
            )  # fmt: skip
        for resolver in self.resolvers:
            if _address(resolver) is None:
                raise ValueError(f"resolvers: {resolver!r} is not an address")


class Http:
    """A user's request through DNS."""

    kind = "http"
    Params: type = HttpParams
    summary = "a user's request: DNS, then HTTP or HTTPS, as one of three kinds of client"
    fan_out = "all"
    listens = False

    def needs_target(self, params: Mapping[str, Any]) -> bool:
        """Nobody is looked up at nodes where resolvers are named or the host is an address."""
        return not params.get("resolvers") and _address(_host(params.get("url", ""))) is None

    def sampler(
        self, params: HttpParams, node: str, target: Target, schedule: Schedule
    ) -> Callable[[], Outcome]:
        """Each look is one request, with a DNS query where the client's kind wants one."""
        client, addresses = Client(params), _addresses(params, target)

        def look() -> Outcome:
            deadline = Deadline(schedule.timeout_ns)
            try:
                found, server = addresses.next(deadline)
            except LookupError as error:
                return Failed(f"dns: {error}"[:200])
            except TimeoutError:
                return Failed(f"dns: {deadline.word()}")
            return client.visit(found, server, deadline)

        return look


class Client:
    """Asks for one URL at given addresses."""

    def __init__(self, params: HttpParams) -> None:
        self._params = params
        self._url: SplitResult = urlsplit(params.url)
        self._port = self._url.port or PORTS[self._url.scheme]
        self._path = (self._url.path or "/") + (f"?{self._url.query}" if self._url.query else "")
        self._credentials: Optional[Credentials] = None
        if self._url.scheme == "https":
            self._credentials = Credentials(params.ca_file, "", "")

    def visit(self, addresses: Tuple[str, ...], server: str, deadline: Deadline) -> Outcome:
        """What the first address says; of a client that tries the next, the first that answers."""
        tries = len(addresses) if self._params.client == "tries-next" else 1
        reason = ""
        went: List[str] = []
        for number, address in enumerate(addresses[:tries]):
            step, went = deadline, [*went, address]
            try:
                step = deadline.share(tries - number) if tries > 1 else deadline
                answer = self._ask(address, step)
            except (OSError, http.client.HTTPException, ValueError) as error:
                reason = f"{failure_word(error, step)} from {address}"
                continue
            if isinstance(answer, Failed):
                return Failed(answer.reason, {"went": went})
            more = {"address": address, "server": server, "tried": number + 1, "went": went}
            return Value({**answer.value, **more, "client": self._params.client})
        reason = f"{reason}, {tries} tried" if tries > 1 else reason
        return Failed(reason[:200], {"went": went})

    def _ask(self, address: str, deadline: Deadline) -> Union[Value, Failed]:
        params, secure = self._params, None
        if self._credentials is not None:
            secure = self._credentials.secure(params.server_name or self._url.hostname or "")
        with connect((address, self._port), deadline.left_s, secure) as stream:
            seen = _certificate(stream) if secure is not None else {}
            wanted = params.certificate_sha256
            if wanted and seen["certificate_sha256"] != wanted:
                other = seen["certificate_sha256"]
                return Failed(f"certificate: is {other}, not {wanted}, from {address}"[:200])
            headers = {"Host": self._url.netloc.rpartition("@")[2]}
            status, found, content = exchange(stream, "GET", self._path, headers=headers)
        if status != params.status:
            return Failed(f"status: {status} from {address}")
        if params.body and params.body.encode() not in content:
            return Failed(f"body: lacks {params.body!r} from {address}"[:200])
        return Value({"status": status, "site": found.get("x-gameday-site", ""), **seen})


def _certificate(stream: Stream) -> Mapping[str, Any]:
    left_s = stream.expires_s() - clock.wall_ns() // clock.NS_PER_S
    digest = hashlib.sha256(stream.certificate).hexdigest()
    return {"certificate_sha256": digest, "certificate_days": left_s // DAY_S}


def _addresses(params: HttpParams, target: Target) -> Addresses:
    host = _host(params.url)
    if _address(host) is not None:
        return Fixed(host)
    named = tuple((resolver, resolver) for resolver in params.resolvers)
    rrtype = "AAAA" if params.family == 6 else "A"
    question = Question(host, rrtype, params.dns_port, recursion=bool(named))
    return Resolver(question, named or target.peers, params.client == "caches-forever")


def _host(url: Any) -> str:
    try:
        return urlsplit(str(url)).hostname or ""
    except ValueError:
        return ""


def _address(text: str) -> Any:
    try:
        return ipaddress.ip_address(text)
    except ValueError:
        return None


PROBE = Http()
