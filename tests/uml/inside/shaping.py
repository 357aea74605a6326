# SPDX-License-Identifier: Apache-2.0
"""Shaping kinds on a real kernel with netem: what packets suffer, and who is left alone.

Three namespaces in a row: this one (the node) between ``peer`` and ``client``.
"""

from __future__ import annotations

import itertools
import os
import re
import socket
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from gameday import clock
from gameday.agent.leases import Leases
from gameday.agent.ledger import Ledger
from gameday.agent.system.host import RealHost
from gameday.agent.system.traffic import RealTraffic
from gameday.clock import NS_PER_S
from gameday.faults import TABLE
from gameday.record.types import Lease, Receipt, to_json

PEER, OTHER, CLIENT = "198.18.0.2", "198.18.0.3", "198.18.1.2"
PORT = 7000

SET_UP = f"""\
ip netns add peer
ip netns add client
ip link add name wan0 type veth peer name far netns peer
ip link add name lan0 type veth peer name far netns client
ip addr add 198.18.0.1/24 dev wan0
ip addr add fd18::1/64 dev wan0 nodad
ip addr add 198.18.1.1/24 dev lan0
ip link set wan0 up
ip link set lan0 up
ip -n peer addr add {PEER}/24 dev far
ip -n peer addr add {OTHER}/24 dev far
ip -n peer addr add fd18::2/64 dev far nodad
ip -n peer link set far up
ip -n peer link set lo up
ip -n client addr add {CLIENT}/24 dev far
ip -n client link set far up
ip -n peer route add default via 198.18.0.1
ip -n client route add default via 198.18.1.1
"""


def main() -> dict[str, Any]:
    """Leaves one after another, each with what echoes showed of it."""
    _set_up()
    found: dict[str, Any] = {}
    with _window("netem", {"delay_us": 50_000}):
        found["delay"] = {"peer": _rtt(PEER), "peer6": _rtt("fd18::2"), "other": _rtt(OTHER)}
    found["after delay"] = _rtt(PEER)
    for name, leaf in (
        ("loss", {"loss_ppm": 300_000}),
        ("bursts", {"loss_ge": {"p": 50_000, "r": 200_000, "bad": 1_000_000, "good": 0}}),
        ("states", {"loss_state": {"p13": 100_000, "p31": 400_000, "p32": 0, "p23": 0, "p14": 0}}),
        ("corrupt", {"corrupt_ppm": 500_000}),
        ("duplicate", {"duplicate_ppm": 500_000}),
        ("reorder", {"delay_us": 30_000, "reorder_ppm": 250_000, "gap": 1}),
        ("rate", {"rate_kbit": 1000, "overhead_bytes": 20}),
    ):
        with _window("netem", leaf):
            found[name] = _echoes(400)
    with _window("netem", {"delay_us": 40_000, "jitter_us": 10_000, "distribution": "normal"}):
        found["jitter"] = _echoes(400)
    with _window("netem", {"delay_us": 50_000}, match="-p udp -m multiport --dports 7000 "):
        found["ports"] = {"udp": _echoes(20), "icmp": _rtt(PEER)}
    with _window("netem", {"delay_us": 50_000}, src=[CLIENT]):
        found["forwarded"] = {"client": _rtt(PEER, "client"), "own": _rtt(PEER)}
    with _window("netem", {"delay_us": 50_000}, direction="ingress"):
        found["ingress"] = {"peer": _rtt(PEER), "other": _rtt(OTHER)}
    found["left"] = _run("tc", "qdisc", "show", "dev", "wan0") + _run("iptables-legacy-save")
    return found


def sizes() -> dict[str, Any]:
    """Which echoes pass a black hole of 1300 bytes, and whether ICMP came back."""
    _set_up()
    leaf = {"kind": "tbf", "rate_kbit": 30_000_000, "queue_bytes": 4_000_000, "burst_bytes": 1314}
    with _window("mtu-blackhole", leaf):
        return {
            str(size): _run("ping", "-n", "-c", "3", "-i", "0.2", "-W", "1", "-M", "do",
                            "-s", str(size - 28), PEER, check=False)
            for size in (1299, 1300, 1301, 1500)
        } | {"tcp": _tcp_bytes()}  # fmt: skip


def full() -> dict[str, Any]:
    """Round trips through a queue of 500 ms at 1 Mbit/s, empty and filled."""
    _set_up()
    leaf = {"kind": "tbf", "rate_kbit": 1000, "queue_bytes": 62_500, "burst_bytes": 3000}
    with _window("saturate", leaf):
        empty = _rtt(PEER)
        sender = threading.Thread(target=_flood)
        sender.start()
        time.sleep(1)
        filled = _rtt(PEER)
        sender.join()
    return {"empty": empty, "filled": filled}


def changes(every_ms: int, seconds: int) -> dict[str, Any]:
    """Drive a profile while packets flow: what was lost, and what a change costs."""
    _set_up()
    profile = {"shape": "ramp", "points": [[0, 20_000, 0, 0], [seconds * 1_000_000, 60_000, 0, 0]]}
    extra = {"profile": profile, "share": 1, "every_ms": every_ms}
    fault = TABLE["excursion"]
    with _window("excursion", {"delay_us": 20_000}, extra=extra) as (lease, before, host):
        counts: dict[str, Any] = {}
        echoes = threading.Thread(target=lambda: counts.update(_echoes(seconds * 150, 6.0)))
        echoes.start()
        began, due, calls, spent = clock.mono_ns(), 0, 0, 0.0
        while due is not None and due < seconds * NS_PER_S:
            clock.sleep_until_mono(began + due)
            cpu = time.thread_time()
            due = fault.drive(lease, before, host, clock.mono_ns() - began)
            spent += time.thread_time() - cpu
            calls += 1
        echoes.join()
    return {**counts, "calls": calls, "cpu_ms_per_call": spent * 1000 / calls}


def cost(every_ms: int, seconds: int) -> dict[str, Any]:
    """What the keeper needs for its changes, ledger and lock included; nothing else runs."""
    _set_up()
    profile = {"shape": "ramp", "points": [[0, 20_000, 0, 0], [seconds * 1_000_000, 60_000, 0, 0]]}
    extra = {"profile": profile, "share": 1, "every_ms": every_ms}
    fault = TABLE["excursion"]
    with _window("excursion", {"delay_us": 20_000}, extra=extra) as (lease, before, host):
        ledger = Ledger()
        receipt = Receipt(to_json(lease), before, 0, 0, "", 0, 0)
        ledger.add(receipt)
        leases = Leases(ledger, host)
        began, cpu, late, due, calls = clock.mono_ns(), time.process_time(), 0, 0, 0
        while due is not None and due < seconds * NS_PER_S:
            clock.sleep_until_mono(began + due)
            since = clock.mono_ns() - began
            late = max(late, since - due)
            due = leases.drive(fault, lease, receipt, since)
            calls += 1
        spent = time.process_time() - cpu
        ledger.end(lease.id)
    return {"changes": calls, "wall_s": seconds, "cpu_s": spent, "late_ms": late / 1e6}


def stacked() -> dict[str, float]:
    """A fault on a device whose root delays already: both delays, and then the old one."""
    _set_up()
    _run("tc", "qdisc", "add", "dev", "wan0", "root", "handle", "8005:", "netem", "delay", "80ms")
    with _window("netem", {"delay_us": 120_000}):
        during = {"peer": _rtt(PEER), "other": _rtt(OTHER)}
    return {**during, "after": _rtt(PEER)}


def roots() -> dict[str, str]:
    """Root qdiscs that somebody chose: shared by two leases, then back, line by line."""
    _set_up()
    traffic, found = RealTraffic(), {}
    for root in (
        "pfifo limit 77",
        "bfifo limit 90000",
        "fq_codel limit 500 target 7ms",
        "fq limit 5000 flow_limit 50 maxrate 100mbit",
        "sfq perturb 10 limit 60",
        "codel limit 400 target 3ms interval 33ms ecn",
        "tbf rate 7mbit burst 5k latency 33ms",
        "netem delay 6ms limit 20000",
        "netem loss gemodel 1% 10% 70% 0.1%",
        "netem delay 6ms 1ms",
        "htb",
        "prio",
    ):
        subprocess.run(
            ["tc", "qdisc", "del", "dev", "wan0", "root"], capture_output=True, check=False
        )
        _run("tc", "qdisc", "add", "dev", "wan0", "root", "handle", "8005:", *root.split())
        was = _run("tc", "-d", "qdisc", "show", "dev", "wan0")
        try:
            first = traffic.root("wan0")
        except Exception as error:  # noqa: BLE001 - what it says is what the test looks at
            found[root] = f"refused: {error}"
            continue
        traffic.add_band("wan0", first, (4, 0x1111), {"kind": "netem", "delay_us": 1000})
        second = traffic.root("wan0")
        traffic.add_band("wan0", second, (5, 0x1112), {"kind": "netem", "delay_us": 2000})
        traffic.drop_band("wan0", first, (4, 0x1111))
        traffic.drop_band("wan0", second, (5, 0x1112))
        now = _run("tc", "-d", "qdisc", "show", "dev", "wan0")
        same = now == was and not traffic.root_changes("wan0", first)
        found[root] = "same" if same else f"was {was}, is {now}"
    return found


@contextmanager
def _window(  # noqa: PLR0917 - most calls give two
    kind: str, leaf: dict[str, Any], match: str = "", src: Any = (), direction: str = "egress",
    extra: Any = None,
) -> Iterator[Any]:  # fmt: skip
    """Arm, wait for the window, and disarm after it; yields (lease, before, host)."""
    flow = {"src": list(src), "dst": [PEER, "fd18::2"], "match": match,
            "leaf": {"kind": "netem", **leaf}}  # fmt: skip
    spec = {"flows": [flow], "exempt": ["198.19.0.0/24"], "direction": direction, **(extra or {})}
    fire = (clock.wall_ns() // NS_PER_S + 4) * NS_PER_S
    lease = Lease("1a2b3c4d", "run", "node", "f", kind, spec, fire, fire + 60 * NS_PER_S)
    host, fault = RealHost(), TABLE[kind]
    before = fault.before(lease, host)
    fault.arm(lease, before, host)
    clock.sleep_until_mono(clock.mono_ns() + fire + NS_PER_S // 20 - clock.wall_ns())
    if fault.drives(spec):
        fault.drive(lease, before, host, 0)
    try:
        yield lease, before, host
    finally:
        fault.disarm(lease, before, host)
    assert fault.observe(lease, before, host).state == "absent"


def _rtt(address: str, netns: str = "") -> float:
    """Median of nine pings, in milliseconds."""
    enter = ["ip", "netns", "exec", netns] if netns else []
    said = _run(*enter, "ping", "-n", "-c", "9", "-i", "0.1", "-W", "2", address, check=False)
    times = sorted(float(x) for x in re.findall(r"time=([0-9.]+)", said))
    return times[len(times) // 2] if times else -1.0


def _echoes(count: int, gap_ms: float = 5.0) -> dict[str, Any]:
    """Numbered UDP echoes: share that came back, came twice, overtook; delays."""
    one = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    one.settimeout(1.5)
    sent: dict[int, int] = {}
    came: list[tuple[int, int]] = []

    def receive() -> None:
        while True:
            try:
                data = one.recv(2000)
            except OSError:
                return
            came.append((int.from_bytes(data[:4], "big"), clock.mono_ns()))

    one.sendto(b"\xff\xff\xff\xff", (PEER, PORT))
    receiver = threading.Thread(target=receive)
    receiver.start()
    for number in range(count):
        sent[number] = clock.mono_ns()
        one.sendto(number.to_bytes(4, "big").ljust(200, b"x"), (PEER, PORT))
        time.sleep(gap_ms / 1000)
    receiver.join()
    came = [(number, at) for number, at in came if number in sent]
    first = {number: at for number, at in reversed(came)}
    delays = sorted((at - sent[number]) / 1e6 for number, at in first.items())
    order = [number for number, _ in came]
    return {
        "came": len(first) / count,
        "twice": (len(came) - len(first)) / count,
        "overtook": sum(1 for a, b in itertools.pairwise(order) if b < a) / count,
        "ms": [delays[len(delays) * x // 100] for x in (5, 50, 95)] if delays else [],
    }


def _flood() -> None:
    """Twice the rate for four seconds."""
    one = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    for _ in range(800):
        one.sendto(b"x" * 1200, (PEER, 9))
        time.sleep(0.005)


def _tcp_bytes() -> int:
    """How much of a large TCP transfer arrives within two seconds."""
    one = socket.create_connection((PEER, PORT), timeout=2)
    one.settimeout(2)
    try:
        one.sendall(b"x" * 100_000)
        one.shutdown(socket.SHUT_WR)
        return int(one.recv(100) or b"0")
    except OSError:
        return -1
    finally:
        one.close()


SERVER = f"""
import socket, threading
def udp():
    s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); s.bind(("0.0.0.0", {PORT}))
    while True:
        d, a = s.recvfrom(2000); s.sendto(d, a)
def tcp():
    s = socket.socket(); s.bind(("0.0.0.0", {PORT})); s.listen()
    while True:
        c, _ = s.accept(); n = 0
        while d := c.recv(65536): n += len(d)
        c.sendall(str(n).encode()); c.close()
threading.Thread(target=udp).start(); tcp()
"""


def _set_up() -> None:
    os.environ["SSH_CONNECTION"] = "198.19.0.1 50000 198.19.0.2 22"
    os.makedirs("/run/netns", exist_ok=True)
    _run("mount", "-t", "tmpfs", "tmpfs", "/run/netns")
    # A kernel whose IPv6 is a module has none until somebody asks for it.
    _run("modprobe", "ipv6")
    for line in SET_UP.splitlines():
        _run(*line.split())
    with open("/proc/sys/net/ipv4/ip_forward", "w", encoding="ascii") as file:
        file.write("1")
    subprocess.Popen(["ip", "netns", "exec", "peer", "python3", "-c", SERVER])
    RealHost.controller = lambda self: ("198.19.0.1", 22)  # type: ignore[method-assign]
    deadline = clock.mono_ns() + 10 * NS_PER_S
    while _rtt_once() < 0 and clock.mono_ns() < deadline:
        time.sleep(0.1)


def _rtt_once() -> float:
    one = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    one.settimeout(0.3)
    try:
        one.sendto(b"\xff\xff\xff\xff", (PEER, PORT))
        one.recv(100)
    except OSError:
        return -1.0
    return 0.0


def _run(*argv: str, check: bool = True) -> str:
    done = subprocess.run(list(argv), capture_output=True, text=True, check=False)
    if check and done.returncode != 0:
        raise AssertionError(f"{' '.join(argv)}: {done.stderr or done.stdout}")
    return done.stdout + done.stderr
