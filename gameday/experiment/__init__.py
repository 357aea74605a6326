# SPDX-License-Identifier: Apache-2.0
"""YAML to frozen models, checked against the three catalogues. Pure but for reading the file."""
