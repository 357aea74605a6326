# SPDX-License-Identifier: Apache-2.0
"""Add to a YAML file and keep every line that somebody wrote, comments too. Pure.

PyYAML tells where each value stands but writes files anew, without their comments. So what is
added is put between the lines, and the result is read again: it must hold exactly what was there
and what was added, else nothing is done.
"""

from __future__ import annotations

import textwrap
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import yaml

from gameday.errors import require

INDENT = 2
WIDTH = 1_000_000
"""Values are not wrapped: a line that is added is one that can be searched for."""


class CannotAdd(ValueError):
    """The file is of a form that this cannot add to; says why."""


@dataclass(frozen=True)
class Tagged:
    """A value with a tag that only Ansible knows, such as ``!vault``."""

    tag: str
    value: Any


class _Loader(yaml.SafeLoader):
    """Keeps tags that it does not know instead of refusing the file."""


class _Dumper(yaml.SafeDumper):
    """Writes a value that occurs twice twice: an anchor would be one for the whole file."""

    def ignore_aliases(self, data: Any) -> bool:
        """See the class."""
        return True


def _tagged(loader: _Loader, suffix: str, node: yaml.Node) -> Tagged:
    if isinstance(node, yaml.MappingNode):
        return Tagged(suffix, loader.construct_mapping(node, deep=True))
    if isinstance(node, yaml.SequenceNode):
        return Tagged(suffix, loader.construct_sequence(node, deep=True))
    return Tagged(suffix, node.value)


yaml.add_multi_constructor("!", _tagged, _Loader)


def load(text: str) -> Any:
    """What a YAML file holds; None where it is empty.

    Raises:
        CannotAdd: where it is no YAML.
    """
    try:
        # The loader is the safe one, with one more constructor that keeps tags as data.
        return yaml.load(text, Loader=_Loader)  # noqa: S506
    except yaml.YAMLError as error:
        raise CannotAdd(f"it is not valid YAML: {str(error).splitlines()[0]}") from error


def merged(old: Any, tree: Mapping[str, Any]) -> Any:
    """``old`` with what it lacks of ``tree``; values that are there stay as they are."""
    result = dict(old) if isinstance(old, Mapping) else {}
    for key, value in tree.items():
        mine = result.get(key)
        if isinstance(value, Mapping) and (mine is None or isinstance(mine, Mapping)):
            result[key] = merged(mine, value)
        elif mine is None:
            result[key] = value
    return result


def add(text: str, tree: Mapping[str, Any]) -> str:
    """The text with what it lacks of ``tree``, a mapping of mappings down to values.

    Raises:
        CannotAdd: where that cannot be done without rewriting what is there.
    """
    old = load(text)
    if old is not None and not isinstance(old, Mapping):
        raise CannotAdd("it is no mapping")
    wanted = merged(old, tree)
    if wanted == (old or {}):
        return text
    if text and not text.endswith("\n"):
        text += "\n"
    if old is None:
        new = text + _dump(tree, 0)
    else:
        edits: list[tuple[int, int, str]] = []
        root = yaml.compose(text, Loader=_Loader)
        require(isinstance(root, yaml.MappingNode), "a text that holds a mapping begins with one")
        _into(text, root, tree, edits, False, -INDENT)
        new = _applied(text, edits)
    if load(new) != wanted:
        raise CannotAdd("its form (aliases, several documents?) leaves no place for more lines")
    return new


def _into(  # noqa: PLR0917 - one place in a text
    text: str, node: Any, tree: Mapping[str, Any],
    edits: list[tuple[int, int, str]], in_flow: bool, column: int,
) -> None:  # fmt: skip
    """Edits, as (begin, end, new text), that put ``tree`` into a mapping.

    Args:
        column: of the key that the mapping belongs to.
    """
    there = {str(key.value): (key, value) for key, value in node.value}
    flow = in_flow or bool(node.flow_style)
    rest = {}
    for name, value in tree.items():
        key, own = there.get(name, (None, None))
        if key is None or own is None:
            rest[name] = value
        elif isinstance(own, yaml.MappingNode) and isinstance(value, Mapping):
            _into(text, own, value, edits, flow, key.start_mark.column)
        elif _is_null(own) and value != {}:
            _fill(text, own, value, edits, flow, key.start_mark.column)
    if not rest:
        return
    if not flow and node.value:
        at = _line_after(text, _end(text, node))
        edits.append((at, at, _dump(rest, node.value[0][0].start_mark.column)))
    elif in_flow or node.value:
        _into_flow(text, node, rest, edits)
    else:
        _fill(text, node, rest, edits, False, column)


def _fill(  # noqa: PLR0917 - one place in a text
    text: str, node: yaml.Node, value: Any, edits: list[tuple[int, int, str]], flow: bool,
    column: int,
) -> None:  # fmt: skip
    """Put a value where there is nothing, or ``{}``; a comment beside it stays on its line."""
    begin, end = node.start_mark.index, node.end_mark.index
    if flow:
        edits.append((begin, end, " " * (text[begin - 1] == ":") + _flow(value)))
        return
    if not isinstance(value, Mapping):
        edits.append((begin, end, " " * (text[begin - 1] == ":") + _flow(value)))
        return
    while text[begin - 1] == " ":
        begin -= 1
    at = _line_after(text, end)
    edits += [(begin, end, ""), (at, at, _dump(value, column + INDENT))]


def _into_flow(
    text: str, node: yaml.MappingNode, rest: Mapping[str, Any], edits: list[tuple[int, int, str]]
) -> None:
    """Before the closing brace."""
    at = node.end_mark.index - 1
    before = text[:at].rstrip()[-1]
    comma = "" if before in "{," else ", "
    edits.append((at, at, comma + _flow(rest)[1:-1]))


def _is_null(node: yaml.Node) -> bool:
    return isinstance(node, yaml.ScalarNode) and node.tag == "tag:yaml.org,2002:null"


def _end(text: str, node: yaml.Node) -> int:
    """Just after the last character of a value; what follows a block is not part of it."""
    if isinstance(node, yaml.MappingNode) and node.value and not node.flow_style:
        return max(_end(text, part) for pair in node.value for part in pair)
    if isinstance(node, yaml.SequenceNode) and node.value and not node.flow_style:
        return max(_end(text, part) for part in node.value)
    end: int = node.end_mark.index
    while end > node.start_mark.index and text[end - 1].isspace():
        end -= 1
    return end


def _line_after(text: str, index: int) -> int:
    """Where the next line begins."""
    found = text.find("\n", index)
    return len(text) if found < 0 else found + 1


def _applied(text: str, edits: list[tuple[int, int, str]]) -> str:
    """Edits at the same place keep their order: the innermost block comes first."""
    parts, position = [], 0
    for begin, end, new in sorted(edits, key=lambda one: one[0]):
        parts += [text[position:begin], new]
        position = max(position, end)
    return "".join([*parts, text[position:]])


def dump(value: Any) -> str:
    """YAML in blocks and in the order given, without anchors."""
    return _yaml(value, False)


def _dump(value: Mapping[str, Any], column: int) -> str:
    return textwrap.indent(dump(dict(value)), " " * column)


def _flow(value: Any) -> str:
    return _yaml(value, True).removesuffix("\n").removesuffix("\n...")


def _yaml(value: Any, flow: bool) -> str:
    return yaml.dump(value, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=WIDTH,
                     default_flow_style=flow)  # fmt: skip
