# SPDX-License-Identifier: Apache-2.0
"""Checks a lab from inside one of its nodes. Standard library only.

    python3 check.py check|leader|place:<node> <targets as JSON>

Prints JSON; everything is asked at once, in threads.
"""

import http.client
import json
import socket
import struct
import sys
from concurrent.futures import ThreadPoolExecutor

TIMEOUT_S = 2.0
TARGETS = json.loads(sys.argv[2])


def http_json(host, method, path, body=None, headers=None):
    connection = http.client.HTTPConnection(host, timeout=TIMEOUT_S)
    try:
        connection.request(method, path, body, headers or {})
        answer = connection.getresponse()
        content = answer.read()
        return answer.status, content
    finally:
        connection.close()


def etcd_status(name):
    status, content = http_json(TARGETS["etcd"][name], "POST", "/v3/maintenance/status", "{}")
    if status != 200:
        raise OSError("status %d" % status)
    return json.loads(content)


def check_etcd(name):
    found = etcd_status(name)
    if found.get("leader", "0") == "0":
        return "etcd %s follows no leader" % name
    return None


def check_ingress(name):
    headers = {"Host": TARGETS["name"]}
    status, _ = http_json(TARGETS["ingress"][name], "GET", "/healthz/deep", None, headers)
    return None if status == 200 else "ingress %s answers %d to /healthz/deep" % (name, status)


def check_gslb(name):
    query = struct.pack("!HHHHHH", 7, 0, 1, 0, 0, 0)
    for label in TARGETS["name"].split("."):
        query += bytes([len(label)]) + label.encode()
    query += b"\0" + struct.pack("!HH", 1, 1)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as udp:
        udp.settimeout(TIMEOUT_S)
        udp.sendto(query, (TARGETS["gslb"][name], 53))
        answer = udp.recv(512)
    count = struct.unpack("!HHHHHH", answer[:12])[3]
    wanted = len(TARGETS["ingress"])
    return None if count == wanted else "gslb %s answers %d of %d addresses" % (name, count, wanted)


def check_ssh(name):
    with socket.create_connection((TARGETS["ssh"][name], 22), TIMEOUT_S) as tcp:
        tcp.settimeout(TIMEOUT_S)
        banner = tcp.recv(64)
    return None if banner.startswith(b"SSH-2.0") else "ssh %s says %r" % (name, banner)


def check_prometheus(_):
    status, content = http_json("127.0.0.1:9090", "GET", "/api/v1/query?query=up")
    up = [one for one in json.loads(content)["data"]["result"] if one["value"][1] == "1"]
    if len(up) != TARGETS["jobs"]:
        return "Prometheus sees %d of %d targets up" % (len(up), TARGETS["jobs"])
    _, content = http_json("127.0.0.1:9090", "GET", "/api/v1/query?query=ALERTS")
    firing = json.loads(content)["data"]["result"]
    return "alerts fire: %s" % firing[0]["metric"].get("alertname") if firing else None


def check_alertmanager(_):
    status, content = http_json("127.0.0.1:9093", "GET", "/api/v2/alerts")
    return None if status == 200 else "Alertmanager answers %d" % status


def guarded(what, function, name):
    try:
        return function(name)
    except (OSError, ValueError, KeyError, http.client.HTTPException) as error:
        return "%s %s: %s" % (what, name, error or type(error).__name__)


def check():
    jobs = [("etcd", check_etcd, n) for n in TARGETS["etcd"]]
    jobs += [("ingress", check_ingress, n) for n in TARGETS["ingress"]]
    jobs += [("gslb", check_gslb, n) for n in TARGETS["gslb"]]
    jobs += [("ssh", check_ssh, n) for n in TARGETS["ssh"]]
    jobs += [("Prometheus", check_prometheus, ""), ("Alertmanager", check_alertmanager, "")]
    with ThreadPoolExecutor(len(jobs)) as pool:
        found = list(pool.map(lambda job: guarded(*job), jobs))
    return {"problems": [one for one in found if one]}


def leader():
    for name in TARGETS["etcd"]:
        try:
            found = etcd_status(name)
        except (OSError, ValueError):
            continue
        if found.get("leader") == found["header"]["member_id"]:
            return {"leader": name}
    return {"leader": ""}


def place(wanted):
    now = leader()["leader"]
    if now == wanted:
        return {"done": "the etcd leader is %s" % wanted}
    target = etcd_status(wanted)["header"]["member_id"]
    body = json.dumps({"targetID": target})
    status, content = http_json(TARGETS["etcd"][now], "POST",
                                "/v3/maintenance/transfer-leadership", body)
    if status != 200:
        return {"problems": ["moving the leader: %d %r" % (status, content[:200])]}
    return {"done": "the etcd leader was moved from %s to %s" % (now, wanted)}


command = sys.argv[1]
if command == "check":
    result = check()
elif command == "leader":
    result = leader()
else:
    result = place(command.split(":")[1])
sys.stdout.write(json.dumps(result))
