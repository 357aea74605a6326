# SPDX-License-Identifier: Apache-2.0
"""The three catalogues that an experiment is checked against."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from gameday.faults.base import Fault
from gameday.measures.base import Measure
from gameday.probes.base import Listener, Probe


@dataclass(frozen=True)
class Tables:
    """Kinds by name; tests pass small ones of their own."""

    faults: Mapping[str, Fault]
    probes: Mapping[str, Probe | Listener]
    measures: Mapping[str, Measure]


def all_tables() -> Tables:
    """gameday's own catalogues. Imported here, since some kinds import slowly."""
    from gameday.faults import TABLE as FAULTS
    from gameday.measures import TABLE as MEASURES
    from gameday.probes import TABLE as PROBES

    return Tables(FAULTS, PROBES, MEASURES)
