# SPDX-License-Identifier: Apache-2.0
"""Directories of nodes and routers: keys, configuration files, specifications."""

from __future__ import annotations

import json
import os
import shutil
from dataclasses import dataclass
from pathlib import Path

from gameday.lab import optional, routers, system
from gameday.lab import topology as t
from gameday.lab.parts import access, etcd, gslb, ingress

PARTS = (access, etcd, ingress, gslb)
"""Those that every lab has; ``optional.TABLE`` has the others."""

LIBRARY = ("gdnsd", "mysql", "nginx", "postgresql", "sudo")
"""Directories below /var/lib that parts expect to find."""


@dataclass(frozen=True)
class Keys:
    """The lab's client key, and the host keys by node name (paths without .pub)."""

    client: Path
    hosts: dict[str, Path]


def make_keys(state: Path) -> Keys:
    """One client key, one host key per node and router, and known_hosts for them."""
    directory = state / "keys"
    directory.mkdir()
    client = state / "id_ed25519"
    make_key(client, "gameday-lab")
    hosts, known = {}, []
    managed = {one.name: one.management for one in t.NODES}
    managed |= {t.router(site): t.router_management(site) for site in t.SITES}
    for name, address in managed.items():
        path = directory / name
        make_key(path, name)
        hosts[name] = path
        known.append(f"{address} {path.with_suffix('.pub').read_text(encoding='ascii').strip()}")
    (state / "known_hosts").write_text("\n".join(known) + "\n", encoding="ascii")
    return Keys(client, hosts)


def make_key(path: Path, comment: str) -> None:
    """A new ed25519 key without a passphrase, and its public half beside it."""
    system.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", comment, "-f", str(path)])


def make_node(state: Path, node: t.Node, keys: Keys, parts: tuple[str, ...]) -> Path:
    """A node's directory with all that its init needs, optional ``parts`` too; returns it."""
    home = state / "nodes" / node.name
    for name in ("etc/gameday-lab", "etc-work", "lib", "log", "home", "run"):
        (home / name).mkdir(parents=True)
    for name in LIBRARY:
        (home / "lib" / name).mkdir()
    services, disks, more_ip = [], list[str](), list[str]()
    makers = [module.part for module in PARTS] + [optional.TABLE[name].part for name in parts]
    for maker in makers:
        part = maker(node)
        services += part.services
        disks += part.disks
        more_ip += part.ip
        write_files(home / "etc", part.files)
        link_files(home, state, part.links)
    shutil.copy(t.FILES / "app.py", home / "etc/gameday-lab/app.py")
    _install_host_key(home / "etc/gameday-lab", keys.hosts[node.name])
    make_homes(home / "home", keys.client)
    site = t.site(node.site)
    ip = [
        "link set lo up", "link set wan0 up", "link set mgmt0 up",
        f"addr add {t.v4(node)}/24 dev wan0", f"addr add {t.v6(node)}/64 dev wan0 nodad",
        f"addr add {node.management}/24 dev mgmt0",
        f"route add 198.18.0.0/16 via {t.gateway4(site)} dev wan0",
        f"route add fd18::/32 via {t.gateway6(site)} dev wan0",
        *more_ip,
    ]  # fmt: skip
    spec = {"name": node.name, "links": ["wan0", "mgmt0"], "ip": "\n".join(ip) + "\n",
            "services": services, "disks": disks}  # fmt: skip
    (home / "spec.json").write_text(json.dumps(spec, indent=1), encoding="utf-8")
    return home


def make_homes(directory: Path, client: Path) -> None:
    """Homes of the lab's users, with the lab's key in their authorized_keys."""
    public = client.with_suffix(".pub").read_text(encoding="ascii")
    for user, uid in access.USERS:
        ssh = directory / user / ".ssh"
        ssh.mkdir(parents=True)
        (ssh / "authorized_keys").write_text(public, encoding="ascii")
        for path in (directory / user, ssh, ssh / "authorized_keys"):
            os.chown(path, uid, uid)


def _install_host_key(directory: Path, key: Path) -> None:
    for suffix in ("", ".pub"):
        shutil.copy(f"{key}{suffix}", directory / f"ssh_host_ed25519_key{suffix}")
    os.chmod(directory / "ssh_host_ed25519_key", 0o600)


def write_files(etc: Path, files: dict[str, str]) -> None:
    """Files below a directory, with the modes that their programs insist on."""
    for name, content in files.items():
        path = etc / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content, encoding="utf-8")
        os.chmod(path, _mode(name))


def link_files(home: Path, state: Path, links: dict[str, str]) -> None:
    """Files of a node that are the lab's own."""
    for name, source in links.items():
        path = home / name
        path.parent.mkdir(parents=True, exist_ok=True)
        os.link(state / source, path)


def _mode(name: str) -> int:
    if name in ("sudoers", "shadow"):
        return 0o440
    return 0o600 if name.endswith(".password") else 0o644


def make_routers(state: Path, netem: bool, parts: tuple[str, ...]) -> Path:
    """The directory that the routers' machine reads, optional ``parts`` too; returns it."""
    directory = state / "routers"
    (directory / "etc").mkdir(parents=True)
    client = state / "id_ed25519"
    make_homes(directory / "home", client)
    write_files(directory / "etc", access.identity_files("routers"))
    write_files(directory, routers.files())
    for site in t.SITES:
        name = t.router(site)
        key = directory / f"{name}.key"
        shutil.copy(state / "keys" / name, key)
        os.chmod(key, 0o600)
        config = access.SSHD.format(key=key, pid=f"/run/sshd-{name}.pid")
        write_files(directory, {f"{name}.sshd": config})
    script = directory / "routers.sh"
    extra = [
        (t.router(site), optional.TABLE[name].router(site, str(directory)))
        for name in parts for site in t.SITES
    ]  # fmt: skip
    services = [(name, service) for name, part in extra for service in part.services]
    for _, part in extra:
        write_files(directory, part.files)
    write_files(directory, {"routers.sh": routers.script(str(directory), services)})
    release = routers.uml_modules()
    if not netem:
        write_files(directory, {"init.sh": routers.uml_init(str(directory), release, str(script))})
        os.chmod(directory / "init.sh", 0o755)  # noqa: S103 - process 1 is executed
    else:
        write_files(
            directory, {"namespace-init.sh": routers.namespace_init(str(directory), str(script))}
        )
    return directory
