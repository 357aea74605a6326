# SPDX-License-Identifier: Apache-2.0
"""The sites' WAN routers: one shell script that sets all of them up, wherever it runs.

On a kernel with netem it runs in a namespace of the host; else in user-mode-linux, a whole
kernel as one process. Either way the machine it runs on has links lan0..lan3 (one per
site, in the order of ``topology.SITES``) and lan4 (management). Pure: text in, text out.
"""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from itertools import combinations
from pathlib import Path
from typing import Any

from gameday.lab import topology as t

FIRST_MODULES = ("veth", "bridge", "sch_netem")
"""What the routers cannot start without."""

MODULES = ("ip_set", "ip_set_hash_net", "xt_set", "xt_time",
           "xt_comment", "xt_tcpudp", "iptable_raw", "ip6table_raw", "nft_compat")  # fmt: skip
"""What faults on routers need; loaded once packets flow, missing ones are left out."""

UML_MEMORY_MIB = 256


def ip_batch() -> str:
    """``ip -batch`` lines that move links to the routers and make the WAN links between them."""
    ip = [f"netns add {t.router(site)}" for site in t.SITES]
    ip += [
        "link set lo up",
        "link add name mgmt type bridge",
        "link set mgmt up",
        f"link set lan{len(t.SITES)} master mgmt",
        f"link set lan{len(t.SITES)} up",
    ]
    for number, site in enumerate(t.SITES):
        name = t.router(site)
        ip += [
            f"link set lan{number} netns {name} name wan0",
            f"link add m{number} type veth peer name mgmt0 netns {name}",
            f"link set m{number} master mgmt",
            f"link set m{number} up",
        ]
    for a, b in combinations(t.SITES, 2):
        ip.append(f"link add to-{b.code} netns {t.router(a)} type veth "
                  f"peer name to-{a.code} netns {t.router(b)}")  # fmt: skip
    return "\n".join(ip) + "\n"


def router_batch(site: t.Site) -> str:
    """``ip -batch`` lines inside one router's namespace."""
    lines = ["link set lo up", "link set wan0 up", "link set mgmt0 up",
             f"addr add {t.gateway4(site)}/24 dev wan0",
             f"addr add {t.gateway6(site)}/64 dev wan0 nodad",
             f"addr add {t.router_management(site)}/24 dev mgmt0"]  # fmt: skip
    for other in (one for one in t.SITES if one != site):
        mine4, theirs4, mine6, theirs6 = t.link(site, other)
        device = f"to-{other.code}"
        lines += [
            f"link set {device} up",
            f"addr add {mine4}/30 dev {device}",
            f"addr add {mine6}/64 dev {device} nodad",
            f"route add 198.18.{other.number}.0/24 via {theirs4} dev {device}",
            f"route add fd18:0:{other.number}::/64 via {theirs6} dev {device}",
        ]
    return "\n".join(lines) + "\n"


def delay_batch(site: t.Site) -> str:
    """``tc -batch`` lines of one router: half of each round trip, towards each other site."""
    lines = []
    for other in (one for one in t.SITES if one != site):
        rtt = t.RTT_MS.get((site.name, other.name)) or t.RTT_MS[(other.name, site.name)]
        lines.append(f"qdisc add dev to-{other.code} root netem delay {rtt * 500}us limit 20000")
    return "\n".join(lines) + "\n"


def script(directory: str, services: Sequence[tuple[str, Mapping[str, Any]]] = ()) -> str:
    """The whole setup; ``directory`` holds the files that ``files`` returns.

    Args:
        directory: where it runs. services: of optional parts, each with its router's name.
    """
    names = [t.router(site) for site in t.SITES]
    # A new namespace takes IPv4 forwarding from the kernel's first one, IPv6 from nowhere. In
    # user-mode-linux that first one is set here; elsewhere it is the machine's own, which is
    # none of ours: so each router sets both below.
    lines = [
        "set -e",
        "export PATH=/usr/sbin:/usr/bin:/sbin:/bin",
        "echo 1 > /proc/sys/net/ipv4/ip_forward",
        f"ip -batch {directory}/links.ip",
    ]
    for name in names:
        lines += [
            f"ip -n {name} -batch {directory}/{name}.ip",
            f"tc -n {name} -batch {directory}/{name}.tc",
        ]
    for name in names:
        lines += [
            f"ip netns exec {name} sh -c 'echo 1 > /proc/sys/net/ipv4/ip_forward; "
            "echo 1 > /proc/sys/net/ipv6/conf/all/forwarding; "
            f"exec /usr/sbin/sshd -D -e -f {directory}/{name}.sshd' < /dev/null &",
        ]
    lines += [
        f"ip netns exec {name} {shlex.join(service['argv'])} < /dev/null &"
        for name, service in services
    ]
    return "\n".join(lines) + "\n"


def files() -> dict[str, str]:
    """All files that the script reads, by name."""
    found = {"links.ip": ip_batch()}
    for site in t.SITES:
        found[f"{t.router(site)}.ip"] = router_batch(site)
        found[f"{t.router(site)}.tc"] = delay_batch(site)
    return found


def uml_modules() -> str:
    """Directory of user-mode-linux's modules; empty where it is not installed."""
    found = sorted(Path("/usr/lib/uml/modules").glob("*"))
    return str(found[-1]) if found else ""


def uml_argv(directory: str, ports: int) -> list[str]:
    """user-mode-linux with one interface per tap r<n>, on the host's files.

    For a mount namespace of its own: its memory and its sockets go to a /tmp that is mounted
    there, in memory, from which programs may run, and which goes with it. By default they
    would go to the disk, and to a directory in root's home that stays.
    """
    taps = [f"vec{n}:transport=tap,ifname=r{n},depth=64" for n in range(ports)]
    own_tmp = f'mount -t tmpfs -o size={UML_MEMORY_MIB + 32}m tmpfs /tmp && exec "$@"'
    return ["sh", "-c", own_tmp, "sh", "linux.uml", "uml_dir=/tmp/uml", "rootfstype=hostfs",
            "root=/dev/root", "ro", f"mem={UML_MEMORY_MIB}M", f"init={directory}/init.sh",
            "con=null", "con0=null,fd:1", "quiet", "loglevel=4", *taps]  # fmt: skip


def namespace_init(directory: str, script_path: str) -> str:
    """Process 1 of the routers' namespaces, on a kernel that has netem itself."""
    return f"""#!/bin/sh
export PATH=/usr/sbin:/usr/bin:/sbin:/bin
mount --make-rprivate /
mount -t proc proc /proc
mount -t sysfs sysfs /sys
mount -t tmpfs tmpfs /tmp
mkdir /tmp/keep /tmp/etc /tmp/etc-work
mount --bind {directory} /tmp/keep
mount -t tmpfs tmpfs /run
mkdir -p {directory} /run/sshd
mount --move /tmp/keep {directory}
mount -t overlay overlay /etc \\
  -o lowerdir={directory}/etc:/etc,upperdir=/tmp/etc,workdir=/tmp/etc-work
mount -t tmpfs tmpfs /var/lib
mount -t tmpfs tmpfs /home
cp -a {directory}/home/. /home/
until [ -e {directory}/go ]; do sleep 0.05; done
sh {script_path}
while :; do wait; sleep 3600; done
"""


def uml_init(directory: str, modules: str, script_path: str) -> str:
    """Process 1 in user-mode-linux: the host's files read-only, everything else in memory.

    ``vec<n>`` are the interfaces that user-mode-linux gives its taps; they become lan<n>.
    """
    rename = "\n".join(f"ip link set vec{n} name lan{n}" for n in range(len(t.SITES) + 1))
    first, later = " ".join(FIRST_MODULES), " ".join(MODULES)
    return f"""#!/bin/sh
export PATH=/usr/sbin:/usr/bin:/sbin:/bin
mount -t proc proc /proc
mount -t sysfs sysfs /sys
mountpoint -q /dev || mount -t devtmpfs dev /dev
mkdir -p /dev/pts /dev/shm
mount -t devpts devpts /dev/pts
mount -t tmpfs tmpfs /tmp
mkdir -p /tmp/keep /tmp/etc /tmp/etc-work /tmp/lib /tmp/lib-work /tmp/first/lib/modules
ln -s {modules} /tmp/first/lib/modules/$(uname -r)
modprobe -d /tmp/first overlay
mount --bind {directory} /tmp/keep
mount -t tmpfs tmpfs /run
mkdir -p {directory} /run/sshd
mount --move /tmp/keep {directory}
mount -t overlay overlay /etc \\
  -o lowerdir={directory}/etc:/etc,upperdir=/tmp/etc,workdir=/tmp/etc-work
mount -t tmpfs tmpfs /var/lib
mount -t tmpfs tmpfs /var/log
mount -t tmpfs tmpfs /home
cp -a {directory}/home/. /home/
mount -t overlay overlay -o lowerdir=/usr/lib,upperdir=/tmp/lib,workdir=/tmp/lib-work /usr/lib
mkdir -p /lib/modules
ln -s {modules} /lib/modules/$(uname -r)
mount -t cgroup2 cgroup /sys/fs/cgroup 2>/dev/null
ulimit -n 4096
modprobe -a {first}
ip link set lo up
{rename}
sh {script_path} > /tmp/routers.log 2>&1
echo routers $? >> /tmp/routers.log
cat /tmp/routers.log
for module in {later}; do modprobe -q $module; done
while :; do wait; sleep 3600; done
"""
