# SPDX-License-Identifier: Apache-2.0
"""YAML to frozen models, checked against the three catalogues. Pure but for reading the file."""

from __future__ import annotations

from gameday.experiment.load import Loaded, experiment_from_json, load_experiment, parse_experiment
from gameday.experiment.model import Experiment

__all__ = ["Experiment", "Loaded", "experiment_from_json", "load_experiment", "parse_experiment"]
