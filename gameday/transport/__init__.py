# SPDX-License-Identifier: Apache-2.0
"""How to reach a node: SSH with pinned host keys; push a file, call the agent."""
