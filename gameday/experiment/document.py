# SPDX-License-Identifier: Apache-2.0
"""A YAML file as plain data that remembers where every key and value stands.

Text stays text: what YAML 1.1 would turn into something else behind the writer's back
(``no`` into false, ``1:30`` into 90, ``010`` into 8) is reported instead of converted.
Keys are always text, so the key ``on`` is a key.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from gameday.experiment import limits
from gameday.experiment.problems import Path_, Problem, Problems

DECIMAL = re.compile(r"-?(0|[1-9][0-9]*)\Z")
FRACTION = re.compile(r"-?(0|[1-9][0-9]*)\.[0-9]+\Z")
STRING = "tag:yaml.org,2002:str"
PREFIX = "tag:yaml.org,2002:"
MERGE = "tag:yaml.org,2002:merge"
AS_TEXT = {STRING, PREFIX + "timestamp", PREFIX + "value"}


@dataclass(frozen=True)
class Positions:
    """Where each field of a file stands: 1-based (line, column) by field path.

    Attributes:
        file: the file's name as it was given.
    """

    file: str
    values: dict[Path_, tuple[int, int]] = field(default_factory=dict)
    keys: dict[Path_, tuple[int, int]] = field(default_factory=dict)

    def of(self, path: Path_, key: bool = False) -> tuple[int, int]:
        """Position of the value (or of its key) at ``path``, else of its nearest parent."""
        if key and path in self.keys:
            return self.keys[path]
        while path and path not in self.values:
            path = path[:-1]
        return self.values.get(path, (1, 1))


@dataclass(frozen=True)
class Document:
    """Plain data (dict, list, str, int, float, bool, None) with the positions of its parts."""

    data: Any
    positions: Positions
    problems: Problems


class _TooMuch(Exception):
    def __init__(self, what: str, mark: yaml.Mark) -> None:
        super().__init__(what)
        self.what, self.mark = what, mark


def read_document(path: Path) -> Document:
    """Read one YAML file.

    Raises:
        InvalidInput: where it cannot be read or is not YAML; other mistakes are in
            ``Document.problems``, to be reported along with later ones.
    """
    problems = Problems(str(path))
    try:
        with path.open("rb") as file:
            content = file.read(limits.FILE_BYTES_MAX + 1)
    except OSError as error:
        problems.add_file(f"cannot be read: {(error.strerror or 'unknown reason').lower()}")
        problems.raise_if_any()
    if len(content) > limits.FILE_BYTES_MAX:
        problems.add_file(
            f"is larger than {limits.FILE_BYTES_MAX // 1024} KiB",
            "is it an experiment? they are a few kilobytes",
        )
        problems.raise_if_any()
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        column = error.start - (content.rfind(b"\n", 0, error.start) + 1) + 1
        problems.add(Problem(line, column, (), "is not UTF-8 text here", "save it as UTF-8"))
        problems.raise_if_any()
    return parse_document(text, str(path), problems)


def parse_document(text: str, file: str, problems: Problems | None = None) -> Document:
    """As ``read_document``, from text; ``file`` is only a name.

    Raises:
        InvalidInput: where it is not YAML.
    """
    problems = problems or Problems(file)
    positions = Positions(file)
    builder = _Builder(positions, problems)
    data: Any = None
    try:
        loader = yaml.SafeLoader(text)
        try:
            root = loader.get_single_node()
        finally:
            loader.dispose()
        if root is None:
            problems.add(Problem(1, 1, (), "is empty", "start from `schema: gameday/v1`"))
        else:
            data = builder.value(root, (), 0)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line, column = (mark.line + 1, mark.column + 1) if mark else (1, 1)
        problems.add(Problem(line, column, (), _broken(error), "correct the YAML there"))
    except yaml.reader.ReaderError as error:
        before = text[: error.position]
        line, column = before.count("\n") + 1, error.position - (before.rfind("\n") + 1) + 1
        what = f"holds a character that YAML does not allow (code {error.character})"
        problems.add(Problem(line, column, (), what, "remove it"))
    except _TooMuch as error:
        problems.add(Problem(error.mark.line + 1, error.mark.column + 1, (), error.what))
    except RecursionError:
        problems.add(Problem(1, 1, (), f"is nested deeper than {limits.DEPTH_MAX} levels"))
    if problems and data is None:
        problems.raise_if_any()
    return Document(data, positions, problems)


def _broken(error: yaml.MarkedYAMLError) -> str:
    context = error.context
    if context and error.context_mark and error.problem_mark:
        begins = error.context_mark.line
        if begins != error.problem_mark.line:
            context += f" that begins in line {begins + 1}"
    said = ", ".join(part for part in (context, error.problem) if part) or "unreadable"
    if "'\\t' that cannot start any token" in said:
        return "not valid YAML: a tab stands where spaces must indent"
    if "single document" in said:
        return "not valid here: a second document (---) starts"
    return f"not valid YAML: {said}"


class _Builder:
    """Turns composed nodes into plain data, remembering positions and mistakes."""

    def __init__(self, positions: Positions, problems: Problems) -> None:
        self._positions, self._problems = positions, problems
        self._count = 0

    def value(self, node: yaml.Node, path: Path_, depth: int) -> Any:
        self._count += 1
        if self._count > limits.NODES_MAX:
            what = f"has more than {limits.NODES_MAX} values once its aliases are expanded"
            raise _TooMuch(what, node.start_mark)
        if depth > limits.DEPTH_MAX:
            what = f"is nested deeper than {limits.DEPTH_MAX} levels"
            raise _TooMuch(what, node.start_mark)
        self._positions.values[path] = _at(node)
        if isinstance(node, yaml.MappingNode):
            self._check_tag(node, "map", path)
            return self._mapping(node, path, depth)
        if isinstance(node, yaml.SequenceNode):
            self._check_tag(node, "seq", path)
            return [self.value(x, (*path, i), depth + 1) for i, x in enumerate(node.value)]
        return self._scalar(node, path)

    def _mapping(self, node: yaml.MappingNode, path: Path_, depth: int) -> dict[str, Any]:
        found: dict[str, Any] = {}
        merged: dict[str, Any] = {}
        for key_node, value_node in node.value:
            if key_node.tag == MERGE:
                for source in self._merge_sources(value_node, path):
                    for name, value in self._mapping(source, path, depth + 1).items():
                        merged.setdefault(name, value)
                continue
            if not isinstance(key_node, yaml.ScalarNode):
                self._add(key_node, path, "a key must be text", "write it as one word")
                continue
            name = str(key_node.value)
            here = (*path, name)
            if name in found:
                first, _ = self._positions.keys[here]
                what = f"the key stands twice, first in line {first}"
                self._add(key_node, here, what, "keep one of them")
                continue
            self._positions.keys[here] = _at(key_node)
            found[name] = self.value(value_node, here, depth + 1)
        for name, value in merged.items():
            found.setdefault(name, value)
        return found

    def _merge_sources(self, node: yaml.Node, path: Path_) -> list[yaml.MappingNode]:
        nodes = node.value if isinstance(node, yaml.SequenceNode) else [node]
        found = [n for n in nodes if isinstance(n, yaml.MappingNode)]
        if len(found) != len(nodes):
            self._add(node, path, "<< takes an alias of a mapping", "name one, as in <<: *base")
        self._count += len(nodes)
        if self._count > limits.NODES_MAX:
            raise _TooMuch(f"has more than {limits.NODES_MAX} values", node.start_mark)
        return found

    def _scalar(self, node: yaml.Node, path: Path_) -> Any:  # noqa: PLR0911 - one per kind
        text, tag = str(node.value), node.tag
        if getattr(node, "style", None) is not None or tag in AS_TEXT:
            if tag not in AS_TEXT:
                self._check_tag(node, "str", path)
            return text
        if tag == PREFIX + "null":
            return None
        if tag == PREFIX + "bool":
            if text in ("true", "false"):
                return text == "true"
            self._add(
                node, path,
                f"unquoted {text} is read as {_bool(text)} by YAML 1.1, and as text by others",
                f'write "{text}" for the word, or true or false',
            )  # fmt: skip
            return text
        if tag == PREFIX + "int" and DECIMAL.match(text):
            return int(text) if len(text) < 20 else text
        if tag == PREFIX + "float" and FRACTION.match(text):
            return float(text)
        if tag in (PREFIX + "int", PREFIX + "float"):
            self._add(
                node, path,
                f"unquoted {text} is read as the number {_number(text, tag)} by YAML 1.1",
                f'write "{text}" for text, or the plain decimal number that is meant',
            )  # fmt: skip
            return text
        self._check_tag(node, "str", path)
        return text

    def _check_tag(self, node: yaml.Node, kind: str, path: Path_) -> None:
        if node.tag != PREFIX + kind:
            shown = node.tag.replace(PREFIX, "!!")
            self._add(node, path, f"the tag {shown} is not allowed", "write plain YAML")

    def _add(self, node: yaml.Node, path: Path_, what: str, todo: str) -> None:
        line, column = _at(node)
        self._problems.add(Problem(line, column, path, what, todo))


def _at(node: yaml.Node) -> tuple[int, int]:
    return node.start_mark.line + 1, node.start_mark.column + 1


def _bool(text: str) -> str:
    return "true" if text.lower() in ("yes", "on", "true", "y") else "false"


def _number(text: str, tag: str) -> str:
    try:
        return str(yaml.safe_load(text))
    except (ValueError, yaml.YAMLError):
        return "it looks like" if tag else text
