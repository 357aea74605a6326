# SPDX-License-Identifier: Apache-2.0
"""An incident's recorded round trips, made into an experiment that replays them.

Pure, but for ``fetch``, which asks Prometheus.
"""
