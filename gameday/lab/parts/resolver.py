# SPDX-License-Identifier: Apache-2.0
"""unbound: resolvers that ask the GSLB servers and keep an answer for its TTL."""

from __future__ import annotations

from gameday.lab import topology as t
from gameday.lab.parts import Part, service

CONFIG = """\
server:
  interface: {address}
  access-control: 198.18.0.0/15 allow
  do-ip6: no
  do-daemonize: no
  username: ""
  chroot: ""
  directory: "/run"
  pidfile: "/run/unbound.pid"
  use-syslog: no
  logfile: ""
  module-config: "iterator"
  num-threads: 1
  # Names below "test." are refused unless it is said that they are there.
  local-zone: "test." nodefault
  # An answer lives as long as its TTL says: no longer, no shorter.
  cache-min-ttl: 0
  serve-expired: no
  prefetch: no
remote-control:
  control-enable: no
stub-zone:
  name: "{domain}"
{servers}
"""


def part(node: t.Node) -> Part:
    """The resolver on role resolver; it asks all authoritative servers."""
    if "resolver" not in node.roles:
        return Part()
    servers = "\n".join(f"  stub-addr: {t.v4(one)}" for one in t.with_role("gslb"))
    config = CONFIG.format(address=t.v4(node), domain=t.DOMAIN, servers=servers)
    argv = ("unbound", "-d", "-c", "/etc/gameday-lab/unbound.conf")
    return Part(
        {"gameday-lab/unbound.conf": config}, [service("unbound", *argv)], ("unbound",)
    )  # fmt: skip
