# SPDX-License-Identifier: Apache-2.0
"""The app, and nginx in front of it as the site's ingress."""

from __future__ import annotations

from gameday.lab import topology as t
from gameday.lab.parts import Part, service

NGINX = """\
daemon off;
worker_processes 1;
pid /run/nginx.pid;
error_log stderr;
events {{ worker_connections 256; }}
http {{
  access_log /var/log/nginx-access.log;
  upstream app {{ {servers} }}
  server {{
    listen 80;
    listen [::]:80;
    location / {{
      proxy_pass http://app;
      proxy_connect_timeout 1s;
      proxy_read_timeout 2s;
      proxy_next_upstream error timeout;
    }}
  }}
}}
"""


def part(node: t.Node) -> Part:
    """The app on role app; nginx on role ingress, over the apps of its own site."""
    files, services = {}, []
    mates = [one for one in t.NODES if one.site == node.site]
    if "app" in node.roles:
        own_first = sorted(
            (one for one in mates if "etcd" in one.roles), key=lambda one: one.name != node.name
        )
        members = [f"{t.v4(one)}:{t.ETCD_CLIENT}" for one in own_first]
        services.append(
            service("app", "/usr/bin/python3", "/etc/gameday-lab/app.py", node.site,
                    str(t.APP_PORT), *members)
        )  # fmt: skip
    if "ingress" in node.roles:
        apps = [one for one in mates if "app" in one.roles]
        servers = " ".join(f"server {t.v4(one)}:{t.APP_PORT} max_fails=0;" for one in apps)
        files["gameday-lab/nginx.conf"] = NGINX.format(servers=servers)
        services.append(service("ingress", "nginx", "-e", "stderr", "-c",
                                "/etc/gameday-lab/nginx.conf"))  # fmt: skip
    return Part(files, services, ("nginx-light",))
