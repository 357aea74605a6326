# SPDX-License-Identifier: Apache-2.0
"""Try something in an empty network namespace that is thrown away: it changes nothing."""

from __future__ import annotations

import ctypes
import os
from typing import Callable, Optional

from gameday.errors import GamedayError, NodeError

CLONE_NEWNET = 0x40000000
MESSAGE_BYTES_MAX = 500


def in_empty_namespace(look: Callable[[], Optional[object]]) -> None:
    """Run ``look`` in a child process with an empty network namespace.

    Raises:
        NodeError: with what ``look`` raised there.
    """
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(reader)
        said = b""
        try:
            if ctypes.CDLL(None, use_errno=True).unshare(CLONE_NEWNET) != 0:
                raise OSError(ctypes.get_errno(), "unshare")
            look()
        except (GamedayError, OSError) as error:
            said = str(error).encode()[:MESSAGE_BYTES_MAX] or b"failed"
        finally:
            os.write(writer, said)
            os._exit(0)
    os.close(writer)
    with os.fdopen(reader, "rb") as file:
        said = file.read()
    os.waitpid(child, 0)
    if said:
        raise NodeError(said.decode(errors="replace"))
