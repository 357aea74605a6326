# SPDX-License-Identifier: Apache-2.0
"""Drills as an organisation does them: approved, one at a time, on dates, compared."""
