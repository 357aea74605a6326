# SPDX-License-Identifier: Apache-2.0
"""gdnsd: an authoritative server per site that checks every ingress' health itself."""

from __future__ import annotations

from gameday.lab import topology as t
from gameday.lab.parts import Part, service

CONFIG = """\
options => {{ listen => [ "{address}" ], run_dir => "/run/gdnsd", state_dir => "/var/lib/gdnsd" }}
service_types => {{
  web => {{
    plugin => http_status, port => 80, url_path => /healthz/deep, vhost => {name},
    interval => 2, timeout => 1, up_thresh => 2, ok_thresh => 1, down_thresh => 2
  }}
}}
plugins => {{ multifo => {{ app => {{ service_types => web, up_thresh => 0.1, {backends} }} }} }}
"""

ZONE = """\
@ SOA ns1 hostmaster ( 1 7200 30M 3D 5 )
{servers}
app 5 DYNA multifo!app
"""


def part(node: t.Node) -> Part:
    """The server on role gslb; all serve the same zone, each by its own health checks."""
    if "gslb" not in node.roles:
        return Part()
    backends = ", ".join(f"{one.site} => {t.v4(one)}" for one in t.with_role("ingress"))
    servers = []
    for number, one in enumerate(t.with_role("gslb"), start=1):
        servers += [f"@ NS ns{number}", f"ns{number} A {t.v4(one)}"]
    return Part(
        {
            "gameday-lab/gdnsd/config": CONFIG.format(
                address=t.v4(node), name=t.APP_NAME, backends=backends
            ),
            f"gameday-lab/gdnsd/zones/{t.DOMAIN}": ZONE.format(servers="\n".join(servers)),
        },
        # gdnsd's first look decides a state at once, later ones take their thresholds: started
        # beside what it watches, it would call every site dead for its first six seconds.
        [service("gslb", "gdnsd", "-c", "/etc/gameday-lab/gdnsd", "start", after_ready=True)],
        ("gdnsd",),
    )
