# SPDX-License-Identifier: Apache-2.0
"""Unit tests run anywhere, in seconds, without root."""
