# SPDX-License-Identifier: Apache-2.0
"""Follow the systemd journal through ``journalctl``. Nodes: Python 3.9 syntax."""

from __future__ import annotations

import json
import subprocess
from typing import Any, BinaryIO, Dict, List, Optional, Tuple, cast

from gameday import clock

LINE_BYTES_MAX = 1 << 20
"""An entry with all its fields; what is longer is no message that a person would look for."""

STOP_S = 2


def command(unit: str) -> List[str]:
    """What follows the journal from now on.

    ``--since`` and not ``--lines=0``, so that nothing written while it starts is missed.
    """
    argv = [
        "journalctl", "--follow", "--no-pager", "--output=json", "--all", "--lines=all",
        "--output-fields=MESSAGE", f"--since=@{clock.wall_ns() // clock.NS_PER_S}",
    ]  # fmt: skip
    return [*argv, f"--unit={unit}"] if unit else argv


def parse(line: bytes, boot_id: str) -> Optional[Tuple[bytes, Optional[int]]]:
    """(message, moment on the monotonic clock in ns) of one entry in journalctl's JSON.

    The moment is when the journal got it; ``None`` where it was in another boot. ``None``
    altogether for an entry without a message.

    Raises:
        ValueError: where the line is not an entry.
    """
    try:
        entry: Dict[str, Any] = json.loads(line)
        message = entry.get("MESSAGE")
        moment: Optional[int] = int(entry["__MONOTONIC_TIMESTAMP"]) * 1000
        if str(entry["_BOOT_ID"]) != boot_id.replace("-", ""):
            moment = None
    except (KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"not a journal entry: {error}") from error
    if isinstance(message, str):
        return message.encode(), moment
    if isinstance(message, list) and all(isinstance(one, int) for one in message):
        # A message that is not UTF-8 comes as its bytes.
        return bytes(one & 0xFF for one in message), moment
    return None


class Follower:
    """A ``journalctl`` that follows, as a child of ours."""

    def __init__(self, argv: List[str]) -> None:
        self._process = subprocess.Popen(
            argv, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
        )
        self._out = cast(BinaryIO, self._process.stdout)

    def next(self) -> bytes:
        """The next line; empty at the end."""
        return self._out.readline(LINE_BYTES_MAX)

    def ended(self) -> str:
        """Why it does not follow any more; empty while it does."""
        code = self._process.poll()
        return "" if code is None else f"journalctl ended with {code}"

    def close(self) -> None:
        """End it."""
        self._process.terminate()
        try:
            self._process.wait(STOP_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
