# SPDX-License-Identifier: Apache-2.0
"""What the suites know of the node they look at. Everything runs there as root, over SSH."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from testinfra.host import Host


@dataclass(frozen=True)
class Told:
    """What a node shall have.

    Attributes:
        user, python, vantage, key, key_file: of the node. sha256: of its agent.
    """

    user: str
    python: str
    vantage: bool
    key: str
    key_file: str
    sha256: str

    @property
    def agent(self) -> str:
        """Where the sealed agent is."""
        return f"/etc/gameday/agent-{self.sha256[:16]}.pyz"

    @property
    def launch(self) -> str:
        """How it is started."""
        return f"{self.python} -I -S {self.agent}"


@pytest.fixture
def told(host: Host) -> Told:
    """Of this node, from the file that ``gameday.nodes.deep`` wrote."""
    data: dict[str, Any] = json.loads(Path(os.environ["GAMEDAY_SUITES"]).read_text("utf-8"))
    return Told(**data["gameday_nodes"][host.backend.host], sha256=data["gameday_agent"]["sha256"])
