# SPDX-License-Identifier: Apache-2.0
"""Runs ON THE NODE ONLY: lease store, reaper, probe loop, and the way the node is touched.

``serve`` answers the controller over standard input and output, one JSON object a line.
``reap`` and ``probe`` are processes of their own: they go on when the controller, the
connection or ``serve`` is gone, and end by themselves.

This package travels to nodes: standard library and pyroute2 only, Python 3.9 syntax.
"""
