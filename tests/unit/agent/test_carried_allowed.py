# SPDX-License-Identifier: Apache-2.0
"""A prepared node takes only those libraries that it was prepared for."""

from __future__ import annotations

from pathlib import Path

import pytest

from gameday.agent.carried import check_allowed
from gameday.errors import NodeError


def test_only_listed_digests(tmp_path: Path) -> None:
    allowed = tmp_path / "carried"
    check_allowed("ab" * 32, allowed)
    allowed.write_text("cd" * 32 + "\n", encoding="ascii")
    check_allowed("cd" * 32, allowed)
    with pytest.raises(NodeError, match="prepare it for this version"):
        check_allowed("ab" * 32, allowed)
    allowed.write_text("", encoding="ascii")
    with pytest.raises(NodeError):
        check_allowed("cd" * 32, allowed)
