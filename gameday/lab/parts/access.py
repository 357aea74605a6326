# SPDX-License-Identifier: Apache-2.0
"""sshd, users and sudo: nodes are reached as real ones are."""

from __future__ import annotations

from gameday.lab import topology as t
from gameday.lab.parts import Part, service

USERS = (("gameday", 4001), ("ops", 4002))
"""``gameday`` may use sudo without a password; ``ops`` may not, for the tests of bad input."""

SSHD = """\
Port 22
HostKey {key}
PidFile {pid}
UsePAM no
UseDNS no
PasswordAuthentication no
KbdInteractiveAuthentication no
AuthorizedKeysFile /home/%u/.ssh/authorized_keys
StrictModes no
MaxStartups 100:30:200
MaxSessions 50
PrintMotd no
PrintLastLog no
Subsystem sftp internal-sftp
"""

SUDOERS = """\
Defaults !requiretty
Defaults !fqdn
Defaults secure_path="/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
gameday ALL=(ALL:ALL) NOPASSWD: ALL
ops ALL=(ALL:ALL) ALL
"""


def identity_files(name: str) -> dict[str, str]:
    """passwd, group, shadow, sudoers, hosts and hostname of a node or router."""
    system = ["root:x:0:0:root:/root:/bin/sh", "daemon:x:1:1::/:/usr/sbin/nologin",
              "nobody:x:65534:65534::/nonexistent:/usr/sbin/nologin",
              "sshd:x:4000:65534::/run/sshd:/usr/sbin/nologin",
              "www-data:x:33:33::/var/www:/usr/sbin/nologin",
              "postgres:x:4003:4003::/var/lib/postgresql:/bin/sh",
              "mysql:x:4004:4004::/var/lib/mysql:/bin/sh"]  # fmt: skip
    users = [f"{user}:x:{uid}:{uid}::/home/{user}:/bin/sh" for user, uid in USERS]
    groups = [
        "root:x:0:",
        "daemon:x:1:",
        "shadow:x:42:",
        "www-data:x:33:",
        "postgres:x:4003:",
        "mysql:x:4004:",
        "nogroup:x:65534:",
    ]
    groups += [f"{user}:x:{uid}:" for user, uid in USERS]
    # "*" allows keys only; a locked account ("!") would be refused by sshd altogether.
    shadow = [f"{line.split(':')[0]}:*:19000:0:99999:7:::" for line in system + users]
    return {
        "passwd": "\n".join(system + users) + "\n",
        "group": "\n".join(groups) + "\n",
        "shadow": "\n".join(shadow) + "\n",
        "sudoers": SUDOERS,
        "hostname": f"{name}\n",
        "hosts": f"127.0.0.1 localhost {name}\n::1 localhost\n",
        "resolv.conf": "# The lab has no resolver.\n",
        "nsswitch.conf": "passwd: files\ngroup: files\nshadow: files\nhosts: files\n",
    }


def part(node: t.Node) -> Part:
    """sshd on every address of the node."""
    files = identity_files(node.name)
    files["gameday-lab/sshd_config"] = SSHD.format(
        key="/etc/gameday-lab/ssh_host_ed25519_key", pid="/run/sshd.pid"
    )
    argv = ("/usr/sbin/sshd", "-D", "-e", "-f", "/etc/gameday-lab/sshd_config")
    return Part(files, [service("sshd", *argv)], ("openssh-server", "sudo"))
