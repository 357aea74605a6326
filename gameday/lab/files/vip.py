# SPDX-License-Identifier: Apache-2.0
"""Announces the anycast address while this node's ingress is healthy. Standard library only.

    python3 vip.py <bird's control socket>

Three checks in a row decide, a second apart: the address is withdrawn after three that failed.
"""

import http.client
import socket
import sys
import time

PERIOD_S = 1.0
TIMEOUT_S = 1.0
IN_A_ROW = 3


def healthy() -> bool:
    """Whether the ingress of this node answers the deep check."""
    connection = http.client.HTTPConnection("127.0.0.1", timeout=TIMEOUT_S)
    try:
        connection.request("GET", "/healthz/deep")
        return connection.getresponse().status == 200
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


def tell(path: str, command: str) -> None:
    """Give bird a command; where it does not run, the next one tells it."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as talk:
        talk.settimeout(TIMEOUT_S)
        try:
            talk.connect(path)
            talk.recv(4096)
            talk.sendall(f"{command}\n".encode())
            talk.recv(4096)
        except OSError as error:
            sys.stderr.write(f"bird: {error}\n")


def main(path: str) -> None:
    announced, row = False, 0
    while True:
        due = time.monotonic() + PERIOD_S
        good = healthy()
        row = 0 if good == announced else row + 1
        if row >= IN_A_ROW:
            announced, row = good, 0
            sys.stderr.write(f"{time.time():.3f} {'announce' if good else 'withdraw'}\n")
        # Said each time: a bird that was started again announces nothing by itself.
        tell(path, "enable vip" if announced else "disable vip")
        time.sleep(max(0.0, due - time.monotonic()))


main(sys.argv[1])
