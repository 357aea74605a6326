# SPDX-License-Identifier: Apache-2.0
"""Turn checked JSON parameters back into a kind's ``Params``. Nodes: Python 3.9 syntax."""

from __future__ import annotations

from typing import Any, Mapping

from gameday.errors import InvalidInput


def build(kind: type, data: Mapping[str, Any]) -> Any:
    """``kind(**data)`` with lists as tuples; the controller has checked values by now.

    Raises:
        InvalidInput: where a field is unknown or missing.
    """
    values = {k: tuple(v) if isinstance(v, list) else v for k, v in data.items()}
    try:
        return kind(**values)
    except TypeError as error:
        raise InvalidInput(f"parameters do not fit: {error}") from error
