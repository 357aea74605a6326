# SPDX-License-Identifier: Apache-2.0
"""Adding to a YAML file keeps every line of it, whatever form it has, or does nothing."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from gameday.plan.yaml_add import CannotAdd, Tagged, add, load, merged

ROOT = Path(__file__).parents[3]

WRITTEN = """\
# Our estate.
all:
  vars: {ansible_user: ops}   # whoever is on call
  children:
    sites:
      children:
        east:
          hosts:
            e-1: {}  # the old one
            e-2:
            e-3:
              gameday_addresses: [10.0.0.3]
              secret: !vault |
                $ANSIBLE_VAULT;1.1;AES256
                6132

            # e-4 is being repaired.
"""

TREE = {
    "all": {
        "vars": {"ansible_user": "other", "new": [1, 2]},
        "children": {
            "sites": {
                "children": {
                    "east": {
                        "hosts": {
                            "e-1": {"gameday_addresses": ["10.0.0.1"]},
                            "e-2": {"gameday_addresses": ["10.0.0.2", "fd00::2"]},
                            "e-3": {"gameday_networks": ["10.2.0.0/24"]},
                            "e-5": {"x": "# no comment"},
                        },
                        "vars": {"gameday_context": "east"},
                    },
                    "west": {"hosts": {"w-1": {}}},
                }
            }
        },
    }
}

EXPECTED = """\
# Our estate.
all:
  vars: {ansible_user: ops, new: [1, 2]}   # whoever is on call
  children:
    sites:
      children:
        east:
          hosts:
            e-1:  # the old one
              gameday_addresses:
              - 10.0.0.1
            e-2:
              gameday_addresses:
              - 10.0.0.2
              - fd00::2
            e-3:
              gameday_addresses: [10.0.0.3]
              secret: !vault |
                $ANSIBLE_VAULT;1.1;AES256
                6132
              gameday_networks:
              - 10.2.0.0/24
            e-5:
              x: '# no comment'
          vars:
            gameday_context: east
        west:
          hosts:
            w-1: {}

            # e-4 is being repaired.
"""


def test_every_form_in_one_file() -> None:
    assert add(WRITTEN, TREE) == EXPECTED
    assert add(EXPECTED, TREE) == EXPECTED, "what is there already is not added again"


def test_nothing_there_and_nothing_new() -> None:
    assert load(add("", TREE)) == TREE
    assert add("# only a comment\n", {"a": {"b": 1}}) == "# only a comment\na:\n  b: 1\n"
    assert add("a: 1", {"b": 2}) == "a: 1\nb: 2\n", "a last line without its end gets one"
    assert add(WRITTEN, {}) == WRITTEN


def test_flow_within_flow() -> None:
    text = "all: {children: {east: {hosts: {}}, west:  }}\n"
    tree = {"all": {"children": {"east": {"hosts": {"e-1": {}}}, "west": {"vars": {"a": "b"}}}}}
    assert load(add(text, tree)) == merged(load(text), tree)
    assert add("a: {b: 1,}\n", {"a": {"c": 2}}) == "a: {b: 1,c: 2}\n"


def test_tags_of_ansible_stay() -> None:
    assert load("a: !vault |\n  x\n") == {"a": Tagged("vault", "x\n")}
    assert "a: !unsafe b\n" in add("a: !unsafe b\n", {"c": 1})


@pytest.mark.parametrize(
    "text",
    [
        "- a\n",
        "a: [\n",
        "a: &one {b: 1}\nc: *one\n",
        "a: 1\n---\nb: 2\n",
        "east:\n  hosts: &h\n    a: {}\nwest:\n  hosts: *h\n",
    ],
)
def test_what_cannot_be_added_to_is_left_alone(text: str) -> None:
    """The same lines would mean something else, or the file holds more than one document."""
    with pytest.raises(CannotAdd):
        add(text, {"c": {"new": 1}, "west": {"hosts": {"new": {}}}})


def test_the_labs_inventory_keeps_its_lines() -> None:
    text = (ROOT / "inventory" / "lab.yaml").read_text(encoding="utf-8")
    new = add(text, {"all": {"children": {"racks": {"children": {"x": {"hosts": {"fra-1": {}}}}}}}})
    assert set(text.splitlines()) <= set(new.splitlines())
    assert len(new.splitlines()) == len(text.splitlines()) + 3


NAMES = st.sampled_from(["a", "b", "c-1", "d.e", "1", "true", "x y"])
TREES = st.recursive(
    st.one_of(
        st.just({}), st.integers(0, 9), st.sampled_from(["x", "# y", "{", ""]), st.just(["l", 1])
    ),
    lambda inner: st.dictionaries(NAMES, inner, max_size=3),
    max_leaves=8,
)


@settings(max_examples=60, deadline=None)
@given(
    old=st.dictionaries(NAMES, TREES, max_size=3), tree=st.dictionaries(NAMES, TREES, max_size=3),
    flow=st.sampled_from([None, False, True]),
)  # fmt: skip
def test_whatever_was_there_is_there(old: Any, tree: Any, flow: bool | None) -> None:
    """Added or refused; never something else, and never a line less."""
    text = yaml.safe_dump(old, default_flow_style=flow).replace("\n", "  # told\n")
    if load(text) != old:
        return
    try:
        new = add(text, tree)
    except CannotAdd:
        pytest.fail(f"{text!r} {tree!r}")
    assert load(new) == merged(old, tree)
    assert new.count("# told") == text.count("# told")
