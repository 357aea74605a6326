# SPDX-License-Identifier: Apache-2.0
"""Makes a PostgreSQL server on its first start, then becomes it. Standard library only.

    python3 postgres.py primary|standby DATA HBA PRIMARY_ADDRESS OWN_ADDRESS

The node's init runs it as root, again whenever the server has ended; PostgreSQL refuses root, so
everything is done as the user ``postgres`` of the node's own passwd. A standby whose primary does
not answer yet ends, and is started again.
"""

import glob
import os
import pwd
import shutil
import subprocess
import sys

SQL = """\
CREATE ROLE gameday LOGIN REPLICATION PASSWORD 'gameday';
GRANT pg_monitor TO gameday;
CREATE SCHEMA gameday;
GRANT USAGE, CREATE ON SCHEMA gameday TO gameday;
CREATE TABLE gameday.heartbeat (id int PRIMARY KEY, n bigint NOT NULL, timeline int NOT NULL, \
at timestamptz NOT NULL);
GRANT SELECT, INSERT, UPDATE ON gameday.heartbeat TO gameday;
CREATE TABLE gameday.register (run text, key text, value text NOT NULL, \
at timestamptz NOT NULL DEFAULT now(), PRIMARY KEY (run, key));
CREATE TABLE gameday.written (run text, node text, number int, \
at timestamptz NOT NULL DEFAULT now(), PRIMARY KEY (run, node, number));
GRANT SELECT, INSERT, UPDATE, DELETE ON gameday.register, gameday.written TO gameday;
"""


def programs() -> str:
    """The newest PostgreSQL of this machine."""
    found = glob.glob("/usr/lib/postgresql/*/bin")
    if not found:
        sys.exit("no PostgreSQL in /usr/lib/postgresql")
    return max(found, key=lambda path: int(path.split("/")[4]))


def make_primary(bin_: str, data: str) -> None:
    subprocess.run(
        [bin_ + "/initdb", "-D", data, "-A", "scram-sha-256", "--no-sync", "--no-instructions",
         "-U", "postgres", "--auth-local=trust"],
        check=True,
    )  # fmt: skip
    # One statement a line, as the single-user mode reads them.
    subprocess.run(
        [bin_ + "/postgres", "--single", "-D", data, "postgres"],
        input=SQL.encode(), check=True, stdout=subprocess.DEVNULL,
    )  # fmt: skip


def make_standby(bin_: str, data: str, primary: str, own: str) -> None:
    shutil.rmtree(data, ignore_errors=True)
    subprocess.run(
        [bin_ + "/pg_basebackup", "-D", data, "-R", "-X", "stream", "--checkpoint=fast",
         "--no-sync", "-d",
         f"host={primary} user=gameday password=gameday application_name={own} connect_timeout=3"],
        check=True,
    )  # fmt: skip


def main(role: str, data: str, hba: str, primary: str, own: str) -> None:
    user = pwd.getpwnam("postgres")
    home = os.path.dirname(data)
    os.chown(home, user.pw_uid, user.pw_gid)
    os.setgroups([])
    os.setgid(user.pw_gid)
    os.setuid(user.pw_uid)
    bin_ = programs()
    done = data + "/made"
    if not os.path.exists(done):
        if role == "primary":
            shutil.rmtree(data, ignore_errors=True)
            make_primary(bin_, data)
        else:
            make_standby(bin_, data, primary, own)
        open(done, "w").close()
    settings = {
        "listen_addresses": f"{own},127.0.0.1", "unix_socket_directories": home, "hba_file": hba,
        "shared_buffers": "16MB", "max_wal_senders": "4", "wal_keep_size": "64MB",
        "hot_standby": "on", "wal_receiver_status_interval": "1s", "max_connections": "20",
        "wal_receiver_timeout": "5s", "wal_sender_timeout": "5s", "fsync": "off",
    }  # fmt: skip
    words = [word for name, value in settings.items() for word in ("-c", f"{name}={value}")]
    # It finds its own files by the path that it was called by.
    program = bin_ + "/postgres"
    os.execv(program, [program, "-D", data, *words])  # noqa: S606


main(*sys.argv[1:])
