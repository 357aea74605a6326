# SPDX-License-Identifier: Apache-2.0
"""How large anything in an experiment may be, each limit with its reason."""

FILE_BYTES_MAX = 256 * 1024
"""An experiment written by people is a few kilobytes; the YAML parser needs seconds for more."""

DEPTH_MAX = 16
"""The schema is seven levels deep; anything far deeper is a mistake or an attack."""

NODES_MAX = 20_000
"""Values after aliases are expanded: nine nested aliases of nine would otherwise be millions."""

PROBLEMS_MAX = 100
"""More would push the first, usually the cause of the others, off the screen."""

NAME_MAX = 64
"""Names become parts of file names and of column heads."""

TEXT_MAX = 4000
"""A "why" longer than a page belongs in the linked record."""

ITEMS_MAX = 100
"""Faults, probes, objectives or aborts of one experiment; a game day has a handful."""

NAMES_MAX = 1000
"""Names in one selector; larger sets are groups of the inventory."""

FAULT_S_MIN = 1
"""Windows are kept in whole seconds by the kernel's time match."""

FAULT_S_MAX = 3600
"""The longest lease: what an unattended node would suffer if everything else failed."""

AT_S_MAX = 7200
"""The latest start after T0; nodes must keep their clocks until then."""

STEADY_S_MIN = 1
STEADY_S_MAX = 600
"""Watching longer before T0 proves no more and keeps people waiting."""

RECOVER_S_MIN = 1
RECOVER_S_MAX = 3600
"""Recovery that takes longer than an hour is its own incident."""

PERIOD_MS_MIN = 50
"""Faster looks would load small nodes, and cost more than the look itself."""

PERIOD_MS_MAX = 60_000
"""A change is known to two periods; slower says nothing about failover."""

TIMEOUT_MS_MIN = 10
"""Below the round trip between two cities every look would fail."""

TIMEOUT_MS_MAX = 60_000
"""Looks that may hang longer than a minute pile up on the vantage node."""

SAMPLES_MAX = 2_000_000
"""Looks of one probe from one vantage in one run; more does not fit a node's buffer."""

LIMIT_MS_MAX = 86_400_000
"""An objective of more than a day is not about failover."""

COUNT_MAX = 10**12
"""Keeps counts within what every JSON reader holds exactly."""

STEPS_MAX = 1000
"""Steps of a recorded series: an hour in steps of five seconds, and each is a line to read."""
