# SPDX-License-Identifier: Apache-2.0
"""PowerDNS with Lua records: a second GSLB beside gdnsd, on a port of its own."""

from __future__ import annotations

from gameday.lab import topology as t
from gameday.lab.parts import Part, service

WEB_PORT = 8081
DOWN = "203.0.113.1"
"""What ``<site>.app`` answers while PowerDNS holds the site for down."""

CONFIG = """\
launch=bind
bind-config=/etc/gameday-lab/powerdns/named.conf
local-address={address}
local-port={port}
socket-dir=/run
enable-lua-records=yes
lua-health-checks-interval=1
cache-ttl=0
query-cache-ttl=0
negquery-cache-ttl=0
guardian=no
daemon=no
disable-syslog=yes
webserver=yes
webserver-address={address}
webserver-port={web}
webserver-allow-from=198.18.0.0/15
"""

NAMED = """\
options {{ directory "/etc/gameday-lab/powerdns"; }};
zone "{domain}" {{ type master; file "zone"; }};
"""

ZONE = """\
$ORIGIN {domain}.
@ 5 IN SOA ns1 hostmaster 1 7200 1800 259200 5
@ 5 IN NS ns1
ns1 5 IN A {address}
app 5 IN LUA A "ifurlextup({{{{{all}}}}}, {{selector='all', timeout=1}})"
{each}
"""


def part(node: t.Node) -> Part:
    """The server on role powerdns.

    It hands out an address that it holds for down where no other is left, so an answer alone does
    not tell what it holds. ``<site>.app`` does: while the site is down a second choice is
    answered, which is always up, since it is checked at the server's own web page.
    """
    if "powerdns" not in node.roles:
        return Part()
    backends = {one.site: _backend(one) for one in t.with_role("ingress")}
    always = f"['{DOWN}']='http://{t.v4(node)}:{WEB_PORT}/'"
    each = [
        f"{site}.app 5 IN LUA A "
        f"\"ifurlextup({{{{{one}}}, {{{always}}}}}, {{selector='all', timeout=1}})\""
        for site, one in backends.items()
    ]
    zone = ZONE.format(
        domain=t.DOMAIN, address=t.v4(node), all=",".join(backends.values()), each="\n".join(each)
    )
    return Part(
        {
            "gameday-lab/powerdns/pdns.conf": CONFIG.format(
                address=t.v4(node), port=t.POWERDNS_PORT, web=WEB_PORT
            ),
            "gameday-lab/powerdns/named.conf": NAMED.format(domain=t.DOMAIN),
            "gameday-lab/powerdns/zone": zone,
        },
        [service("powerdns", "pdns_server", "--config-dir=/etc/gameday-lab/powerdns",
                 after_ready=True)],
        ("pdns-server", "pdns-backend-bind"),
    )  # fmt: skip


def _backend(one: t.Node) -> str:
    return f"['{t.v4(one)}']='http://{t.v4(one)}/healthz/deep'"
