# SPDX-License-Identifier: Apache-2.0
"""BMCs for tests: sushy-tools' emulator on loopback, with credentials."""

from __future__ import annotations

import base64
import json
import os
import subprocess
import sys
import urllib.error
import urllib.request
import uuid
from collections.abc import Sequence
from pathlib import Path

import bcrypt

from gameday import clock

USER, PASSWORD = "gameday-bmc-user", "not-to-be-seen-anywhere"

PROGRAM = """
import random, sys
# The emulator does what it is asked after up to 11 s; a test needs no more than two.
random.randint = lambda low, high: 2
from sushy_tools.emulator.main import main
main()
"""


class Bmcs:
    """One emulator with a system per node; ``enter`` is put in front of its command."""

    def __init__(
        self, directory: Path, nodes: Sequence[str], port: int, enter: Sequence[str] = ()
    ) -> None:
        self.port, self._enter = port, list(enter)
        self.systems = {node: str(uuid.uuid4()) for node in nodes}
        (directory / "state").mkdir(parents=True)
        digest = bcrypt.hashpw(PASSWORD.encode(), bcrypt.gensalt(rounds=4)).decode()
        (directory / "htpasswd").write_text(f"{USER}:{digest}\n")
        config = {
            "SUSHY_EMULATOR_LISTEN_IP": "127.0.0.1",
            "SUSHY_EMULATOR_LISTEN_PORT": port,
            "SUSHY_EMULATOR_STATE_DIR": str(directory / "state"),
            "SUSHY_EMULATOR_AUTH_FILE": str(directory / "htpasswd"),
            "SUSHY_EMULATOR_FAKE_SYSTEMS": [
                {"uuid": one, "name": node, "power_state": "On", "nics": []}
                for node, one in self.systems.items()
            ],
        }
        text = "".join(f"{key} = {value!r}\n" for key, value in config.items())
        (directory / "emulator.conf").write_text(text)
        self._log = open(directory / "emulator.log", "w", encoding="utf-8")  # noqa: SIM115 - child's
        self._process = subprocess.Popen(
            [*self._enter, sys.executable, "-c", PROGRAM, "--fake", "--config",
             str(directory / "emulator.conf")],
            stdout=self._log, stderr=self._log, cwd=directory,
        )  # fmt: skip
        deadline = clock.mono_ns() + 20 * clock.NS_PER_S
        while not self._answers():
            assert clock.mono_ns() < deadline, (directory / "emulator.log").read_text()
            clock.sleep_until_mono(clock.mono_ns() + clock.NS_PER_S // 5)

    def url(self, node: str) -> str:
        """Of a node's system."""
        return f"http://127.0.0.1:{self.port}/redfish/v1/Systems/{self.systems[node]}"

    def state(self, node: str) -> str:
        """ "On" or "Off", asked without gameday."""
        return str(json.loads(self._get(self.url(node)))["PowerState"])

    def close(self) -> None:
        """Stop the emulator."""
        self._process.terminate()
        self._process.wait(timeout=10)
        self._log.close()

    def _answers(self) -> bool:
        try:
            self._get(f"http://127.0.0.1:{self.port}/redfish/v1/")
        except (OSError, urllib.error.URLError, subprocess.CalledProcessError):
            return False
        return True

    def _get(self, url: str) -> str:
        token = base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode()
        code = (
            "import sys, urllib.request as u\n"
            "r = u.Request(sys.argv[1], headers={'Authorization': 'Basic ' + sys.stdin.read()})\n"
            "sys.stdout.write(u.urlopen(r, timeout=5).read().decode())\n"
        )
        done = subprocess.run(
            [*self._enter, sys.executable, "-c", code, url], input=token, capture_output=True,
            text=True, check=True, env={"PATH": os.environ["PATH"]},
        )  # fmt: skip
        return done.stdout


def seen_anywhere(*places: Path) -> list[str]:
    """Where credentials are in the arguments of any process, or in any file below places."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            text = path.read_bytes()
        except OSError:
            # It ended while we looked.
            continue
        if PASSWORD.encode() in text or USER.encode() in text:
            found.append(str(path))
    for place in places:
        for path in place.rglob("*"):
            if path.is_file():
                text = path.read_bytes()
                if PASSWORD.encode() in text or USER.encode() in text:
                    found.append(str(path))
    return found
