# SPDX-License-Identifier: Apache-2.0
"""The one place that knows ipsets, iptables and processes of a node."""
