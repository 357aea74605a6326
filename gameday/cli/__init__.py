# SPDX-License-Identifier: Apache-2.0
"""Click: parse, call one function, print, exit code. No logic."""
