# SPDX-License-Identifier: Apache-2.0
"""Where a user's signing key and list of trusted keys are, unless told otherwise."""

from __future__ import annotations

import os
from pathlib import Path


def config_directory() -> Path:
    """``$XDG_CONFIG_HOME/gameday``, or ``~/.config/gameday``."""
    base = os.environ.get("XDG_CONFIG_HOME", "")
    return (Path(base) if os.path.isabs(base) else Path.home() / ".config") / "gameday"


def default_key() -> Path:
    """Where the signing key is unless told otherwise."""
    return config_directory() / "signing_key"


def default_allowed_signers() -> Path:
    """Where trusted keys are listed unless told otherwise."""
    return config_directory() / "allowed_signers"
