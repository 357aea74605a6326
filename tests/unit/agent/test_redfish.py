# SPDX-License-Identifier: Apache-2.0
"""A BMC that is busy with itself: reads are asked again, as often as is bounded.

The BMC is a fake, because sushy-tools' emulator answers 5xx only by accident.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from gameday.agent.system import power_redfish

ROOT = "/redfish/v1"
PAGES = {
    ROOT: {"Id": "r", "Name": "r", "RedfishVersion": "1.0", "Systems": {"@odata.id": "/s"}},
    "/redfish/v1/Systems/1": {
        "@odata.id": "/redfish/v1/Systems/1", "Id": "1", "Name": "one", "PowerState": "On",
        "Status": {}, "UUID": "u-1", "Actions": {"#ComputerSystem.Reset": {
            "target": "/reset", "ResetType@Redfish.AllowableValues": ["On", "ForceOff"]}},
    },
}  # fmt: skip


class Bmc(ThreadingHTTPServer):
    """Answers 503 as often as it is told to."""

    refuse = 0
    asked = 0


class Answers(BaseHTTPRequestHandler):
    server: Bmc

    def do_GET(self) -> None:
        self.server.asked += 1
        page = PAGES.get(self.path.rstrip("/"))
        refused = self.server.asked <= self.server.refuse
        body = json.dumps(page or {}).encode()
        self.send_response(503 if refused else 200 if page else 404)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Nothing."""


@pytest.fixture
def bmc(monkeypatch: pytest.MonkeyPatch) -> Iterator[Bmc]:
    monkeypatch.setattr(power_redfish, "PAUSE_S", 0.05)
    monkeypatch.setenv("U", "operator")
    monkeypatch.setenv("P", "hush-hush")
    server = Bmc(("127.0.0.1", 0), Answers)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


def supply(bmc: Bmc) -> object:
    url = f"http://127.0.0.1:{bmc.server_address[1]}{ROOT}/Systems/1"
    system = {"node": "n", "url": url, "user_env": "U", "password_env": "P"}
    return power_redfish.supplies([system])["n"]


def test_asked_again_while_it_is_busy(bmc: Bmc) -> None:
    bmc.refuse = power_redfish.TRIES
    found = supply(bmc)
    assert (found.state, found.error) == ("On", "")  # type: ignore[attr-defined]


def test_given_up_in_the_end_and_told(bmc: Bmc) -> None:
    bmc.refuse = 1000
    found = supply(bmc)
    assert "503" in found.error and "hush-hush" not in found.error  # type: ignore[attr-defined]
    assert bmc.asked == power_redfish.TRIES + 1
