# SPDX-License-Identifier: Apache-2.0
"""What a run writes down. Import from the modules; nodes need only ``types``."""
