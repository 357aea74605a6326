# SPDX-License-Identifier: Apache-2.0
"""Runs in a node of the lab and makes traffic that the oracle can tell the truth from.

    python3 eye.py SPEC.json OUT.jsonl

Numbered packets to another node and the numbers of those that arrive, questions to the
node's own DNS server, writes to its own etcd member and questions how that stands, looks at what
the kernel says of processes. It knows nothing of gameday. All stamps come from packet
captures, but for packets that never leave and for looks at processes: those are stamped here.
"""

from __future__ import annotations

import base64
import contextlib
import http.client
import json
import socket
import struct
import sys
import threading
import time
from typing import Any

NS = 1_000_000_000
STAMP = 35
"""SO_TIMESTAMPNS; the control message has the same number."""

QUESTION = b"\x12\x34\x00\x00\x00\x01\x00\x00\x00\x00\x00\x00"
WRITERS_MAX = 20


class Out:
    """Writes what was seen, one JSON line each."""

    def __init__(self, path: str) -> None:
        self._file = open(path, "w", encoding="utf-8")  # noqa: SIM115 - open to the end
        self._lock = threading.Lock()

    def write(self, kind: str, **what: Any) -> None:
        """One line."""
        with self._lock:
            self._file.write(json.dumps({"kind": kind, **what}) + "\n")
            self._file.flush()


def every(period_ns: int) -> Any:
    """Numbers, one each period, skipping those that are long past."""
    begin = time.clock_gettime_ns(time.CLOCK_MONOTONIC)
    number = 0
    while True:
        left = begin + number * period_ns - time.clock_gettime_ns(time.CLOCK_MONOTONIC)
        if left > 0:
            time.sleep(left / NS)
        yield number
        number += 1


def pulse(address: str, port: int, period_ns: int, out: Out) -> None:
    """Numbered packets; where the kernel has no way for one, when that was (wall clock)."""
    sender = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    for number in every(period_ns):
        begin = time.clock_gettime_ns(time.CLOCK_REALTIME)
        try:
            sender.sendto(struct.pack("!Q", number), (address, port))
        except OSError:
            end = time.clock_gettime_ns(time.CLOCK_REALTIME)
            out.write("refused", begin=begin, end=end)


def receive(port: int, out: Out) -> None:
    """Numbers of packets that got past every rule of this node."""
    taken = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    taken.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 22)
    taken.bind(("0.0.0.0", port))  # noqa: S104 - inside the lab's namespace
    while True:
        data = taken.recv(64)
        out.write("pulse", number=struct.unpack("!Q", data[:8])[0])


def ask(server: str, name: str, period_ns: int) -> None:
    """DNS questions to this node's own server; the answers are for the capture."""
    labels = b"".join(bytes([len(x)]) + x.encode() for x in name.split("."))
    question = QUESTION + labels + b"\0\0\x01\0\x01"
    out = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    out.setblocking(False)
    for _ in every(period_ns):
        with contextlib.suppress(OSError):
            out.sendto(question, (server, 53))
        with contextlib.suppress(OSError):
            while out.recv(4096):
                continue


def write(address: str, port: int, period_ns: int) -> None:
    """Writes to this node's own member, begun on time whatever became of those before."""
    room = threading.Semaphore(WRITERS_MAX)

    def one(number: int) -> None:
        body = json.dumps({"key": base64.b64encode(b"oracle").decode(),
                           "value": base64.b64encode(b"%d" % number).decode()})  # fmt: skip
        try:
            connection = http.client.HTTPConnection(address, port, timeout=1)
            connection.request("POST", "/v3/kv/put", body)
            connection.getresponse().read()
            connection.close()
        except (OSError, http.client.HTTPException):
            return
        finally:
            room.release()

    for number in every(period_ns):
        if room.acquire(blocking=False):
            threading.Thread(target=one, args=(number,), daemon=True).start()


def look(address: str, port: int, period_ns: int) -> None:
    """Questions to this node's own member how it stands; the answers are for the capture."""
    connection = http.client.HTTPConnection(address, port, timeout=1)
    for _ in every(period_ns):
        try:
            connection.request("POST", "/v3/maintenance/status", "{}")
            connection.getresponse().read()
        except (OSError, http.client.HTTPException):
            connection.close()


def state(pids: list[int], period_ns: int, out: Out) -> None:
    """Whether each process is stopped: every change, with the looks before and after it."""
    known: dict[int, tuple[bool, int]] = {}
    for _ in every(period_ns):
        for pid in pids:
            begin = time.clock_gettime_ns(time.CLOCK_REALTIME)
            with open(f"/proc/{pid}/stat", encoding="utf-8", errors="replace") as file:
                stopped = file.read().rsplit(")", 1)[1].split()[0] == "T"
            end = time.clock_gettime_ns(time.CLOCK_REALTIME)
            was, looked = known.get(pid, (stopped, begin))
            if stopped != was:
                out.write("state", pid=pid, stopped=stopped, lo=looked, hi=end)
            known[pid] = (stopped, begin)


def main(spec_path: str, out_path: str) -> None:
    """Start what the specification asks for, and stay."""
    with open(spec_path, encoding="utf-8") as file:
        spec = json.load(file)
    out = Out(out_path)
    functions = {"pulse": pulse, "receive": receive, "ask": ask, "write": write, "look": look,
                 "state": state}  # fmt: skip
    for job in spec["jobs"]:
        what = dict(job)
        target = functions[what.pop("do")]
        if target in (receive, pulse, state):
            what["out"] = out
        threading.Thread(target=target, kwargs=what, daemon=True).start()
    sys.stdin.read()


if __name__ == "__main__":
    main(*sys.argv[1:])
