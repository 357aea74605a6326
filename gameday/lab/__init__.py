# SPDX-License-Identifier: Apache-2.0
"""A three-site estate on one machine, of real parts, in namespaces of its own."""

from gameday.lab.lab import Lab as Lab
