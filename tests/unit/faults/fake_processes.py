# SPDX-License-Identifier: Apache-2.0
"""The part of ``FakeHost`` that stands for ``gameday.faults.hosts.processes``."""

from __future__ import annotations

from collections.abc import Callable


class FakeProcesses:
    """In memory; ``mutate`` is called before every change and may crash."""

    def __init__(self, mutate: Callable[[], None]) -> None:
        self._mutate = mutate

    def state(self) -> object:
        """All that a lease may change, as plain data."""
        return ()
