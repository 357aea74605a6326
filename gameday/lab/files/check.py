# SPDX-License-Identifier: Apache-2.0
"""Checks a lab from inside one of its nodes. Standard library only.

    python3 check.py check|estate|leader|place:<node> <targets as JSON>

Prints JSON; everything is asked at once, in threads.
"""

import http.client
import json
import socket
import ssl
import struct
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

TIMEOUT_S = 1.0
SSH_TIMEOUT_S = 6.0  # A fork in user-mode-linux is dear; asking again would add to its load.
TARGETS = json.loads(sys.argv[2])


def fetch(
    host: str,
    method: str,
    path: str,
    body: str | None = None,
    headers: dict[str, str] | None = None,
) -> tuple[int, bytes]:
    """(status, body) of one HTTP request."""
    connection = http.client.HTTPConnection(host, timeout=TIMEOUT_S)
    try:
        connection.request(method, path, body, headers or {})
        answer = connection.getresponse()
        content = answer.read()
        return answer.status, content
    finally:
        connection.close()


def etcd_status(name: str) -> dict[str, Any]:
    status, content = fetch(TARGETS["etcd"][name], "POST", "/v3/maintenance/status", "{}")
    if status != 200:
        raise OSError(f"status {status}")
    found: dict[str, Any] = json.loads(content)
    return found


def check_etcd(name: str) -> str | None:
    found = etcd_status(name)
    if found.get("leader", "0") == "0":
        return f"etcd {name} follows no leader"
    return None


def check_ingress(name: str) -> str | None:
    headers = {"Host": TARGETS["name"]}
    status, _ = fetch(TARGETS["ingress"][name], "GET", "/healthz/deep", None, headers)
    return None if status == 200 else f"ingress {name} answers {status} to the deep check"


def answers(server: str, port: int, recursion: bool) -> int:
    """How many addresses a name server gives for the app's name."""
    query = struct.pack("!HHHHHH", 7, 0x100 if recursion else 0, 1, 0, 0, 0)
    for label in TARGETS["name"].split("."):
        query += bytes([len(label)]) + label.encode()
    query += b"\0" + struct.pack("!HH", 1, 1)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as udp:
        udp.settimeout(TIMEOUT_S)
        udp.sendto(query, (server, port))
        answer = udp.recv(512)
    count: int = struct.unpack("!HHHHHH", answer[:12])[3]
    return count


def check_gslb(name: str) -> str | None:
    return told(f"gslb {name}", answers(TARGETS["gslb"][name], 53, False))


def check_resolver(name: str) -> str | None:
    return told(f"resolver {name}", answers(TARGETS["resolver"][name], 53, True))


def check_powerdns(name: str) -> str | None:
    found = answers(TARGETS["powerdns"][name], TARGETS["powerdns_port"], False)
    return told(f"powerdns {name}", found)


def told(who: str, count: int) -> str | None:
    wanted = len(TARGETS["ingress"])
    return None if count == wanted else f"{who} answers {count} of {wanted}"


def check_postgresql(name: str) -> str | None:
    """A server that is starting up answers with an error; one that serves asks who is there."""
    words = b"user\0gameday\0database\0postgres\0\0"
    address = (TARGETS["postgresql"][name], TARGETS["postgresql_port"])
    with socket.create_connection(address, TIMEOUT_S) as tcp:
        tcp.settimeout(TIMEOUT_S)
        tcp.sendall(struct.pack("!II", 8 + len(words), 3 << 16) + words)
        kind = tcp.recv(1)
    return None if kind == b"R" else f"postgresql {name} answers {kind!r}"


def check_galera(name: str) -> str | None:
    """A member that is not part of the cluster yet closes the line or greets nobody."""
    address = (TARGETS["galera"][name], TARGETS["galera_port"])
    with socket.create_connection(address, TIMEOUT_S) as tcp:
        tcp.settimeout(TIMEOUT_S)
        greeting = tcp.recv(64)
    return None if greeting[4:5] == b"\x0a" else f"galera {name} greets with {greeting[:8]!r}"


def check_anycast(name: str) -> str | None:
    connection = http.client.HTTPConnection(TARGETS["vip"], timeout=TIMEOUT_S)
    try:
        connection.request("GET", "/healthz/deep")
        answer = connection.getresponse()
        site = answer.getheader("X-Gameday-Site")
    finally:
        connection.close()
    if answer.status != 200 or site != "frankfurt":
        return f"the anycast address answers {answer.status} from {site}"
    return None


def check_kubernetes(name: str) -> str | None:
    """The API server is ready, every node of the site is, and the ingress serves."""
    own = TARGETS["kubernetes"][name]
    nodes = asked(own, "/api/v1/nodes")["items"]
    good = {one["metadata"]["name"] for one in nodes if is_ready(one)}
    if silent := sorted(set(own["nodes"]) - good):
        return f"Kubernetes of {name}: not ready: {', '.join(silent)}"
    if not own["ingress"]:
        return None
    deployment = asked(own, "/apis/apps/v1/namespaces/ingress/deployments/ingress")
    if not deployment.get("status", {}).get("readyReplicas"):
        return f"Kubernetes of {name}: the ingress has no ready replica"
    gslb = asked(own, "/apis/k8gb.absa.oss/v1beta1/namespaces/ingress/gslbs/app")
    records = gslb.get("status", {}).get("healthyRecords", {}).get(TARGETS["name"], [])
    wanted = len(TARGETS["ingress"])
    if len(records) != wanted:
        return f"Kubernetes of {name}: its Gslb has {len(records)} of {wanted} addresses"
    return None


def is_ready(one: dict[str, Any]) -> bool:
    conditions = one.get("status", {}).get("conditions", [])
    return ("Ready", "True") in {(each["type"], each["status"]) for each in conditions}


def asked(own: dict[str, Any], path: str) -> dict[str, Any]:
    """JSON of one request to an API server, as the lab's administrator."""
    files = TARGETS["kubernetes_files"]
    trust = ssl.create_default_context(cafile=f"{files}/ca.crt")
    trust.load_cert_chain(f"{files}/admin.crt", f"{files}/admin.key")
    connection = http.client.HTTPSConnection(
        own["address"], own["port"], timeout=TIMEOUT_S, context=trust
    )
    try:
        connection.request("GET", path)
        answer = connection.getresponse()
        found: dict[str, Any] = json.loads(answer.read())
    finally:
        connection.close()
    if answer.status != 200:
        raise OSError(f"{path}: {found.get('message', answer.status)}")
    return found


def check_ssh(name: str) -> str | None:
    with socket.create_connection((TARGETS["ssh"][name], 22), SSH_TIMEOUT_S) as tcp:
        tcp.settimeout(SSH_TIMEOUT_S)
        banner = tcp.recv(64)
    return None if banner.startswith(b"SSH-2.0") else f"ssh {name} says {banner!r}"


def check_prometheus(name: str) -> str | None:
    _, content = fetch("127.0.0.1:9090", "GET", "/api/v1/query?query=up")
    up = [one for one in json.loads(content)["data"]["result"] if one["value"][1] == "1"]
    if len(up) != TARGETS["jobs"]:
        return f"Prometheus sees {len(up)} of {TARGETS['jobs']} targets up"
    _, content = fetch("127.0.0.1:9090", "GET", "/api/v1/query?query=ALERTS")
    firing = json.loads(content)["data"]["result"]
    return f"alerts fire: {firing[0]['metric'].get('alertname')}" if firing else None


def check_alertmanager(name: str) -> str | None:
    status, _ = fetch("127.0.0.1:9093", "GET", "/api/v2/alerts")
    return None if status == 200 else f"Alertmanager answers {status}"


def guarded(what: str, function: Callable[[str], str | None], name: str) -> str | None:
    try:
        return function(name)
    except (OSError, ValueError, KeyError, http.client.HTTPException) as error:
        return f"{what} {name}: {str(error) or type(error).__name__}"


def check(everything: bool) -> dict[str, Any]:
    jobs: list[tuple[str, Callable[[str], str | None], str]]
    jobs = [("etcd", check_etcd, n) for n in TARGETS["etcd"]]
    jobs += [("ingress", check_ingress, n) for n in TARGETS["ingress"]]
    if everything:
        jobs += [("gslb", check_gslb, n) for n in TARGETS["gslb"]]
        jobs += [("ssh", check_ssh, n) for n in TARGETS["ssh"]]
    if everything and "monitoring" in TARGETS["parts"]:
        jobs += [("Prometheus", check_prometheus, ""), ("Alertmanager", check_alertmanager, "")]
    if everything and "unbound" in TARGETS["parts"]:
        jobs += [("resolver", check_resolver, n) for n in TARGETS["resolver"]]
    if everything and "powerdns" in TARGETS["parts"]:
        jobs += [("powerdns", check_powerdns, n) for n in TARGETS["powerdns"]]
    if everything and "postgresql" in TARGETS["parts"]:
        jobs += [("postgresql", check_postgresql, n) for n in TARGETS["postgresql"]]
    if everything and "galera" in TARGETS["parts"]:
        jobs += [("galera", check_galera, n) for n in TARGETS["galera"]]
    if everything and "kubernetes" in TARGETS["parts"]:
        jobs += [("Kubernetes", check_kubernetes, n) for n in TARGETS["kubernetes"]]
    if everything and "bird2" in TARGETS["parts"]:
        jobs += [("anycast", check_anycast, "")]
    with ThreadPoolExecutor(len(jobs)) as pool:
        found = list(pool.map(lambda job: guarded(*job), jobs))
    return {"problems": [one for one in found if one]}


def leader() -> dict[str, Any]:
    for name in TARGETS["etcd"]:
        try:
            found = etcd_status(name)
        except (OSError, ValueError):
            continue
        if found.get("leader") == found["header"]["member_id"]:
            return {"leader": name}
    return {"leader": ""}


def place(wanted: str) -> dict[str, Any]:
    now = leader()["leader"]
    if now == wanted:
        return {"done": f"the etcd leader is {wanted}"}
    target = etcd_status(wanted)["header"]["member_id"]
    body = json.dumps({"targetID": target})
    status, content = fetch(
        TARGETS["etcd"][now], "POST", "/v3/maintenance/transfer-leadership", body
    )
    if status != 200:
        return {"problems": [f"moving the leader: {status} {content[:200]!r}"]}
    return {"done": f"the etcd leader was moved from {now} to {wanted}"}


command = sys.argv[1]
if command in ("check", "estate"):
    result = check(command == "check")
elif command == "leader":
    result = leader()
else:
    result = place(command.split(":")[1])
sys.stdout.write(json.dumps(result))
