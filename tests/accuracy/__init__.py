# SPDX-License-Identifier: Apache-2.0
"""The guarantee that every fault ends, as a matrix of kinds and deaths: ``make guarantee``."""
