# SPDX-License-Identifier: Apache-2.0
"""gameday: a chaos game-day orchestrator for multi-site, bare-metal Kubernetes.

This package imports nothing on its own: parts of it travel to nodes, and the
command line must answer quickly.
"""

__version__ = "0.1.0"
