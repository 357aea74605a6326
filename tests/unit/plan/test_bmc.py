# SPDX-License-Identifier: Apache-2.0
"""BMCs in the inventory: references to credentials, never credentials."""

from __future__ import annotations

from typing import Any

import pytest

from gameday.plan.bmc import FILE, PASSWORD, URL, USER, read

GOOD = {URL: "https://10.0.0.1/", USER: "BMC_USER", PASSWORD: "BMC_PASSWORD"}


def found(**variables: Any) -> tuple[Any, list[str]]:
    problems: list[str] = []

    def complain(name: str, what: str, todo: str) -> None:
        problems.append(f"{name} {what}; {todo}")

    read_ = read(variables, lambda value: f"/base/{value}" if value else None, complain)
    return read_, problems


def test_references() -> None:
    assert found(**GOOD) == (
        {"url": "https://10.0.0.1", "user_env": "BMC_USER", "password_env": "BMC_PASSWORD",
         "credentials_file": "", "ca_file": ""}, [],
    )  # fmt: skip
    system, problems = found(**{URL: "http://127.0.0.1:8000/redfish/v1/Systems/a", FILE: "x"})
    assert problems == [] and system["credentials_file"] == "/base/x"
    assert found() == (None, [])


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({URL: "https://root:s3cret@10.0.0.1"}, "holds credentials"),
        ({URL: "10.0.0.1"}, "is no URL of a BMC"),
        ({URL: "https://10.0.0.1/login"}, "has the path"),
        ({URL: "http://10.0.0.1"}, "in the clear"),
        ({URL: ""}, "is no URL of a BMC"),
        ({PASSWORD: "s3cret!"}, "is no name of an environment variable"),
        ({PASSWORD: ""}, "does not say where"),
        ({FILE: "x"}, "does not say where"),
    ],
)
def test_mistakes_never_repeat_a_secret(change: dict[str, str], words: str) -> None:
    _, problems = found(**{**GOOD, **change})
    assert any(words in problem for problem in problems), problems
    assert not any("s3cret" in problem for problem in problems)
