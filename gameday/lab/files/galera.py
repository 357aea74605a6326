# SPDX-License-Identifier: Apache-2.0
"""Makes a Galera member on its first start, then becomes it. Standard library only.

    python3 galera.py NAME DATA OWN_ADDRESS FIRST_ADDRESS ALL_ADDRESSES

The first member of all makes the cluster; it does so once, and joins like the others whenever it is
started again. Every member begins with the same data of its own and says so by the same position,
so that nothing has to be copied over the WAN.
"""

import os
import pwd
import subprocess
import sys

CLUSTER = "6a6f7473-6d65-11ee-8c99-0242ac120002"
STATE = f"""\
# GALERA saved state
version: 2.1
uuid:    {CLUSTER}
seqno:   0
safe_to_bootstrap: 1
"""
# The server that fills the tables begins without them.
SQL = """\
FLUSH PRIVILEGES;
CREATE USER gameday@'%' IDENTIFIED BY 'gameday';
CREATE DATABASE gameday;
CREATE TABLE gameday.register (run varchar(160), `key` varchar(8), value varchar(80) NOT NULL, \
at timestamp NOT NULL DEFAULT current_timestamp, PRIMARY KEY (run, `key`)) ENGINE=InnoDB;
CREATE TABLE gameday.written (run varchar(160), node varchar(64), number int, \
at timestamp NOT NULL DEFAULT current_timestamp, PRIMARY KEY (run, node, number)) ENGINE=InnoDB;
GRANT ALL ON gameday.* TO gameday@'%';
"""


def make(data: str) -> None:
    extra = data + ".sql"
    with open(extra, "w", encoding="ascii") as file:
        file.write(SQL)
    subprocess.run(
        ["mariadb-install-db", "--no-defaults", f"--datadir={data}",
         "--auth-root-authentication-method=normal", "--skip-test-db", "--skip-name-resolve",
         "--innodb-log-file-size=8M", f"--extra-file={extra}"],
        check=True, stdout=subprocess.DEVNULL,
    )  # fmt: skip


def main(name: str, data: str, own: str, first: str, every: str) -> None:
    user = pwd.getpwnam("mysql")
    os.chown(os.path.dirname(data), user.pw_uid, user.pw_gid)
    os.setgroups([])
    os.setgid(user.pw_gid)
    # rsync, which carries state between members, would drop root's rights and then read nothing.
    os.setuid(user.pw_uid)
    done = data + "/made"
    fresh = not os.path.exists(done)
    if fresh:
        make(data)
        with open(data + "/grastate.dat", "w", encoding="ascii") as file:
            file.write(STATE)
        open(done, "w").close()
    peers = [one for one in every.split(",") if one != own]
    options = f"base_host={own};gmcast.listen_addr=tcp://{own}:4567;evs.suspect_timeout=PT3S"
    argv = [
        "mariadbd", "--no-defaults", f"--datadir={data}", f"--bind-address={own}",
        f"--socket={data}.sock", "--skip-name-resolve", "--innodb-log-file-size=8M",
        "--innodb-buffer-pool-size=16M", "--innodb-flush-log-at-trx-commit=0",
        "--performance-schema=OFF", "--binlog-format=ROW", "--default-storage-engine=InnoDB",
        "--innodb-autoinc-lock-mode=2", "--wsrep-on=ON",
        "--wsrep-provider=/usr/lib/galera/libgalera_smm.so", "--wsrep-cluster-name=gameday",
        f"--wsrep-cluster-address=gcomm://{','.join(peers)}", f"--wsrep-node-name={name}",
        f"--wsrep-node-address={own}", "--wsrep-sst-method=rsync",
        f"--wsrep-provider-options={options};gcache.size=8M",
    ]  # fmt: skip
    if fresh:
        argv.append(f"--wsrep-start-position={CLUSTER}:0")
        if own == first:
            argv.append("--wsrep-new-cluster")
    os.execvp("mariadbd", argv)  # noqa: S606


main(*sys.argv[1:])
