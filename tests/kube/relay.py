# SPDX-License-Identifier: Apache-2.0
"""A way to a server that can go silent: connections stay open, and nothing comes through."""

from __future__ import annotations

import contextlib
import selectors
import socket
import threading
from pathlib import Path

from tests.kube.apiserver import ApiServer


class Relay:
    """Passes bytes between whoever connects to ``port`` and a server on loopback.

    ``freeze`` makes every connection of now silent for ever, without an error; later ones work.
    After ``close`` its port refuses, until another relay is made with that port: a server that goes
    and comes at once, however long a real one takes to start on a busy machine.
    """

    def __init__(self, to: int, port: int = 0) -> None:
        self._to = to
        self._listener = socket.create_server(("127.0.0.1", port))
        self.port = int(self._listener.getsockname()[1])
        self._frozen: set[socket.socket] = set()
        self._open: dict[socket.socket, socket.socket] = {}
        self._lock = threading.Lock()
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._loop, daemon=True)
        self._thread.start()

    def freeze(self) -> int:
        """Make what is open silent; how many connections that are."""
        with self._lock:
            new = set(self._open) - self._frozen
            self._frozen |= new
            return len(new) // 2

    def close(self) -> None:
        """End it and every connection."""
        self._ended.set()
        self._thread.join()
        for one in [self._listener, *self._open]:
            one.close()

    def _loop(self) -> None:
        with selectors.DefaultSelector() as ready:
            ready.register(self._listener, selectors.EVENT_READ)
            while not self._ended.is_set():
                for key, _ in ready.select(0.05):
                    one = key.fileobj
                    assert isinstance(one, socket.socket)
                    if one is self._listener:
                        self._accept(ready)
                    else:
                        self._pass(one, ready)

    def _accept(self, ready: selectors.BaseSelector) -> None:
        near, _ = self._listener.accept()
        far = socket.create_connection(("127.0.0.1", self._to))
        with self._lock:
            self._open.update({near: far, far: near})
        for one in (near, far):
            ready.register(one, selectors.EVENT_READ)

    def _pass(self, one: socket.socket, ready: selectors.BaseSelector) -> None:
        with self._lock:
            other = self._open[one]
            if one in self._frozen:
                # Nobody reads from it any more: what is sent there waits.
                ready.unregister(one)
                return
        try:
            data = one.recv(1 << 16)
        except OSError:
            data = b""
        if data:
            other.sendall(data)
            return
        for end in (one, other):
            with contextlib.suppress(KeyError):
                ready.unregister(end)
            end.close()
            with self._lock:
                self._open.pop(end, None)


def through(relay: Relay, server: ApiServer, file: Path) -> Path:
    """A kubeconfig as the server's own, written to ``file``, that asks by way of the relay."""
    text = server.kubeconfig.read_text()
    file.write_text(text.replace(server.url, f"https://127.0.0.1:{relay.port}"))
    return file
