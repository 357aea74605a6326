# SPDX-License-Identifier: Apache-2.0
"""One mistake at a time in a good experiment: exact messages, and the JSON Schema agrees.

Cases are in tests/cases/experiment/mutations.json: ``old`` is replaced by ``new`` in
good.yaml, and ``expect`` are all the problems, without the file's name. Where ``schema``
is false, the mistake is one that a JSON Schema cannot see.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

from gameday.errors import EXIT_INVALID_INPUT, InvalidInput
from gameday.experiment import experiment_from_json, load_experiment, parse_experiment
from gameday.experiment.schema import experiment_schema

ROOT = Path(__file__).parents[3]
CASES = ROOT / "tests" / "cases" / "experiment"
GOOD = (CASES / "good.yaml").read_text(encoding="utf-8")
MUTATIONS = json.loads((CASES / "mutations.json").read_text(encoding="utf-8"))
VALIDATOR = jsonschema.Draft202012Validator(experiment_schema())
JARGON = ("pydantic", "dict", "tuple", "NoneType", "type=", "Traceback", "str_", "validation")


def mutated(case: dict[str, Any]) -> str:
    """The good experiment with the case's mistake in it."""
    text = GOOD
    for old, new in [[case["old"], case["new"]], *case.get("also", [])]:
        assert old in text, f"{case['about']}: {old!r} is not in good.yaml"
        text = text.replace(old, new, 1)
    return text


@pytest.mark.parametrize("case", MUTATIONS, ids=lambda c: c["about"])
def test_each_mistake_is_told_exactly(case: dict[str, Any]) -> None:
    with pytest.raises(InvalidInput) as caught:
        parse_experiment(mutated(case), "x.yaml")
    found = [problem.removeprefix("x.yaml:") for problem in caught.value.problems]
    assert found == case["expect"]
    assert caught.value.exit_code == EXIT_INVALID_INPUT
    assert not [word for word in JARGON if any(word in problem for problem in found)]


@pytest.mark.parametrize(
    "case", [c for c in MUTATIONS if c.get("schema", True)], ids=lambda c: c["about"]
)
def test_the_schema_refuses_it_too(case: dict[str, Any]) -> None:
    assert not VALIDATOR.is_valid(yaml.safe_load(mutated(case)))


@pytest.mark.parametrize("path", [CASES / "good.yaml", *sorted(ROOT.glob("experiments/*.yaml"))])
def test_good_ones_pass_both_and_survive_json(path: Path) -> None:
    errors = list(VALIDATOR.iter_errors(yaml.safe_load(path.read_text(encoding="utf-8"))))
    assert not errors
    experiment = load_experiment(path).experiment
    assert experiment_from_json(json.loads(json.dumps(experiment.to_json()))) == experiment


def test_schema_is_one_and_describes_every_field() -> None:
    schema = experiment_schema()
    jsonschema.Draft202012Validator.check_schema(schema)
    assert schema["$schema"].endswith("2020-12/schema")
    step = schema["$defs"]["FaultStep"]
    assert {"partition", "noop"} <= {kind["const"] for kind in step["properties"]["kind"]["oneOf"]}
    for name, prop in step["properties"].items():
        assert prop.get("description"), name
    port = schema["$defs"]["ProbeStep.dns"]["properties"]["port"]
    assert (port["minimum"], port["maximum"]) == (1, 65535)
    assert "null" not in json.dumps(schema)
