# SPDX-License-Identifier: Apache-2.0
"""The only package that sequences effects: preflight, arm, observe, disarm, prove clean."""
