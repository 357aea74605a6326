# SPDX-License-Identifier: Apache-2.0
"""Style that a machine can check: import order, sizes, banned words. Messages say what to do."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
SOURCES = sorted((ROOT / "gameday").rglob("*.py"))
TESTS = sorted((ROOT / "tests").rglob("*.py"))

LAYERS = [
    "errors", "ticks", "clock", "record", "faults", "probes", "measures", "experiment", "plan",
    "reproduce", "agent", "transport", "conduct", "report", "lab", "drills", "nodes", "cli",
]  # fmt: skip
"""A package imports only from packages to its left; the order is architecture's."""

TRAVELS = (
    "agent",
    "faults",
    "probes",
    "errors",
    "ticks",
    "clock",
    "record.types",
    "record.journal",
)
TRAVELS_MAY_IMPORT = {"gameday", "pyroute2", "dns"}
CARRIED = {("pgsql.py", "pg8000"), ("galera.py", "pymysql"), ("workload_galera.py", "pymysql")}
"""Libraries that a probe kind's vantages are sent, as its ``carries`` says."""

CONTROLLER_ONLY = {
    ("power_redfish.py", "sushy"),
    ("kube_client.py", "kubernetes"),
    ("kube_client.py", "urllib3"),
}
"""What a file that travels may import because only the controller's own agent gets there."""

FORBIDDEN = {"report": {"conduct", "agent", "transport"}, "measures": {"conduct", "agent"}}

LINES_MAX = 400
FUNCTION_LINES_MAX = 70

BANNED = {
    r"\btime\.(time|monotonic)(_ns)?\(": "read clocks through gameday.clock",
    r"shell=True": "use an argv list",
    r"except:\s*$": "name the exception",
    r"except Exception:\s*pass": "handle it, or let it out",
    r"(?<![.\w])print\(": "use click.echo in cli, an event elsewhere",
    r"iptables[^\n]* -F(?! \{)": "remove by tag; never flush",
}


def layer(path: Path) -> str:
    """First package or module name below ``gameday``."""
    return path.relative_to(ROOT / "gameday").parts[0].removesuffix(".py")


def imports(path: Path) -> list[tuple[str, int]]:
    """Every module that a file imports, with its line."""
    found = []
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found += [(alias.name, node.lineno) for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module:
            found.append((node.module, node.lineno))
            if node.module == "gameday":
                found += [(f"gameday.{alias.name}", node.lineno) for alias in node.names]
    return found


@pytest.mark.parametrize("path", SOURCES, ids=lambda p: str(p.relative_to(ROOT)))
def test_imports_point_left(path: Path) -> None:
    own = layer(path)
    if own == "__init__":
        return
    for module, line in imports(path):
        parts = module.split(".")
        if parts[0] != "gameday" or len(parts) < 2 or parts[1] == "__version__":
            continue
        assert LAYERS.index(parts[1]) <= LAYERS.index(own), (
            f"{path}:{line}: {own} imports {module}, which stands to its right"
        )
        assert parts[1] not in FORBIDDEN.get(own, set()), f"{path}:{line}: {own} imports {module}"


@pytest.mark.parametrize("path", SOURCES, ids=lambda p: str(p.relative_to(ROOT)))
def test_what_travels_needs_nothing(path: Path) -> None:
    import sys

    name = ".".join(path.relative_to(ROOT / "gameday").with_suffix("").parts)
    if not name.startswith(TRAVELS):
        return
    for module, line in imports(path):
        top = module.split(".")[0]
        if (path.name, top) in CONTROLLER_ONLY | CARRIED:
            continue
        assert top in TRAVELS_MAY_IMPORT or top in sys.stdlib_module_names, (
            f"{path}:{line}: {module} is not on nodes"
        )
    # Nodes run Python 3.9: the grammar of newer versions is a syntax error there.
    ast.parse(path.read_text(encoding="utf-8"), feature_version=(3, 9))


@pytest.mark.parametrize("path", SOURCES + TESTS, ids=lambda p: str(p.relative_to(ROOT)))
def test_size_and_words(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    assert text.startswith("# SPDX-License-Identifier: Apache-2.0\n"), f"{path}: SPDX line missing"
    lines = text.splitlines()
    assert len(lines) <= LINES_MAX, f"{path}: {len(lines)} lines; split it by reason to change"
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            size = (node.end_lineno or node.lineno) - node.lineno + 1
            assert size <= FUNCTION_LINES_MAX, f"{path}:{node.lineno}: {node.name}: {size} lines"
    if path.name in ("ticks.py", "test_tidy.py", "looks.py") or "files" in path.parts:
        # gameday/lab/files and looks.py run inside nodes, without anything of gameday.
        return
    for number, line in enumerate(lines, start=1):
        for pattern, instead in BANNED.items():
            assert not re.search(pattern, line), f"{path}:{number}: {pattern}: {instead}"


def test_every_kind_is_documented_and_has_cases() -> None:
    from gameday.faults import TABLE as FAULTS
    from gameday.measures import TABLE as MEASURES
    from gameday.probes import TABLE as PROBES

    for table, page in ((FAULTS, "faults.md"), (PROBES, "probes.md"), (MEASURES, "measures.md")):
        text = (ROOT / "docs" / page).read_text(encoding="utf-8")
        for kind in table:
            assert f"## `{kind}`" in text, f"docs/{page} has no paragraph on {kind}"
    shipped = " ".join(p.read_text() for p in (ROOT / "experiments").glob("*.yaml"))
    for kind in FAULTS:
        assert f"kind: {kind}" in shipped, f"no experiment in experiments/ uses fault {kind}"
