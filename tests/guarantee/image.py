# SPDX-License-Identifier: Apache-2.0
"""The disk of a node that boots systemd: what differs from the host's files.

An ext4 image that becomes the upper layer of an overlay over the host's files. It survives the
machine, so what the node has on its disk is there again after a reboot or a power cut.
"""

from __future__ import annotations

import os
import shutil
import stat
import sys
from pathlib import Path

from gameday.lab import system
from gameday.lab.parts import access
from tests.uml.harness import INSIDE, REPOSITORY

SIZE = "512M"
UNITS = Path("/lib/systemd/system")
GENERATORS = Path("/lib/systemd/system-generators")
WANTED = ("sysinit", "sockets", "multi-user", "timers")
KEEP = {
    "systemd-journald.service", "systemd-journald.socket", "systemd-journald-dev-log.socket",
    "dbus.service", "dbus.socket", "systemd-logind.service", "systemd-user-sessions.service",
}  # fmt: skip
"""Of what systemd starts by itself; everything else costs seconds in user-mode-linux."""

MORE_MASKED = ("systemd-tmpfiles-setup.service", "systemd-tmpfiles-clean.timer",
               "systemd-remount-fs.service", "user@.service", "user-runtime-dir@.service",
               "networking.service", "getty.target", "modprobe@.service")  # fmt: skip
"""tmpfiles would empty /tmp, where the repository may be."""

JOBS_UNIT = """\
[Unit]
Description=Commands from outside, whatever the network does
After=ssh.service systemd-logind.service

[Service]
Environment=PYTHONPATH={repository} PYTHONDONTWRITEBYTECODE=1 PATH={path}
ExecStart={python} {script} {share}
KillMode=process
OOMScoreAdjust=-1000
"""

SSHD = """\
HostKey /etc/ssh/ssh_host_ed25519_key
UsePAM yes
UseDNS no
PasswordAuthentication no
KbdInteractiveAuthentication no
StrictModes no
PrintMotd no
PrintLastLog no
MaxStartups 100:30:200
Subsystem sftp internal-sftp
"""


def make(disk: Path, share: Path, host_key: Path, client_public: str) -> None:
    """Make the image ``disk``; the host key is a path without .pub."""
    tree = disk.with_suffix(".tree")
    shutil.rmtree(tree, ignore_errors=True)
    upper = tree / "upper"
    (tree / "work").mkdir(parents=True)
    for name in ("etc/systemd/system", "home", "var/lib/gameday"):
        (upper / name).mkdir(parents=True)
        # Nothing of the host's directory shows through.
        os.setxattr(upper / name, "trusted.overlay.opaque", b"y")
    for directory in (tree, *(d for d in tree.rglob("*") if d.is_dir())):
        directory.chmod(0o755)
    (upper / "var/lib/gameday").chmod(0o700)
    # An overlay's mark for "not there". In a container, systemd would not sync on shutdown.
    os.mknod(upper / ".dockerenv", stat.S_IFCHR, os.makedev(0, 0))
    _units(upper, share)
    _files(upper / "etc")
    shutil.copy(host_key, upper / "etc/ssh/ssh_host_ed25519_key")
    (upper / "etc/ssh/ssh_host_ed25519_key").chmod(0o600)
    _homes(upper / "home", client_public)
    disk.unlink(missing_ok=True)
    system.run(["mkfs.ext4", "-q", "-F", "-d", str(tree), str(disk), SIZE])
    shutil.rmtree(tree)


def _units(upper: Path, share: Path) -> None:
    """Own units; everything that the host would start besides them is masked."""
    own = upper / "etc/systemd/system"
    masked = set(MORE_MASKED)
    for target in WANTED:
        masked |= {one.name for one in (UNITS / f"{target}.target.wants").glob("*")}
    for name in masked - KEEP:
        (own / name).symlink_to("/dev/null")
    generators = upper / "etc/systemd/system-generators"
    generators.mkdir()
    for one in GENERATORS.glob("*"):
        (generators / one.name).symlink_to("/dev/null")
    (own / "default.target").symlink_to(UNITS / "multi-user.target")
    wants = own / "multi-user.target.wants"
    wants.mkdir()
    (wants / "ssh.service").symlink_to(UNITS / "ssh.service")
    (wants / "jobs.service").symlink_to("../jobs.service")
    (own / "jobs.service").write_text(
        JOBS_UNIT.format(repository=REPOSITORY, path=system.PATH, python=sys.executable,
                         script=INSIDE / "init.py", share=share),
        encoding="utf-8",
    )  # fmt: skip
    journal = upper / "etc/systemd/journald.conf.d"
    journal.mkdir()
    (journal / "memory.conf").write_text("[Journal]\nStorage=volatile\n", encoding="ascii")


def _files(etc: Path) -> None:
    """The host's users and one more, who may use sudo; an own name; nothing to mount."""
    users = [f"{user}:x:{uid}:{uid}::/home/{user}:/bin/sh\n" for user, uid in access.USERS]
    shadow = [f"{user}:*:19000:0:99999:7:::\n" for user, _ in access.USERS]
    groups = [f"{user}:x:{uid}:\n" for user, uid in access.USERS]
    files = {
        "passwd": Path("/etc/passwd").read_text(encoding="utf-8") + "".join(users),
        "group": Path("/etc/group").read_text(encoding="utf-8") + "".join(groups),
        "shadow": "root:*:19000:0:99999:7:::\n" + "".join(shadow),
        "sudoers": access.SUDOERS, "ssh/sshd_config": SSHD, "fstab": "", "hostname": "node\n",
        "hosts": "127.0.0.1 localhost node\n", "resolv.conf": "", "machine-id": f"{'7' * 32}\n",
        "nsswitch.conf": "passwd: files\ngroup: files\nshadow: files\nhosts: files\n",
        "default/ssh": "",
    }  # fmt: skip
    for name, content in files.items():
        path = etc / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(content, encoding="utf-8")
        path.chmod(0o440 if name in ("sudoers", "shadow") else 0o644)


def _homes(directory: Path, client_public: str) -> None:
    for user, uid in access.USERS:
        ssh = directory / user / ".ssh"
        ssh.mkdir(parents=True)
        (ssh / "authorized_keys").write_text(client_public, encoding="ascii")
        for path in (directory / user, ssh, ssh / "authorized_keys"):
            os.chown(path, uid, uid)
