# SPDX-License-Identifier: Apache-2.0
"""Queueing disciplines and routes of a node, as fault kinds see them."""

from __future__ import annotations

from typing import Protocol


class Traffic(Protocol):
    """Queueing disciplines and routes of a node."""
