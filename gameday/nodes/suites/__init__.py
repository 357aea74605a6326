# SPDX-License-Identifier: Apache-2.0
"""testinfra suites: a node prepared, armed, ended, clean. ``gameday.nodes.deep`` runs them."""
