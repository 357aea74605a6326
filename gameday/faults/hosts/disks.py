# SPDX-License-Identifier: Apache-2.0
"""Block devices, file systems and io limits of a node, as fault kinds see them."""

from __future__ import annotations

from typing import Protocol


class Disks(Protocol):
    """Block devices, file systems and io limits of a node."""
