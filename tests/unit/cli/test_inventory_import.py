# SPDX-License-Identifier: Apache-2.0
"""``gameday inventory import`` without a cluster: refusals, nothing half written, no library."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from gameday.cli.inventory import REGION_LABEL, TIMEOUT_S, ZONE_LABEL
from gameday.cli.main import cli
from gameday.conduct import kube_ask
from gameday.errors import CannotRun, InvalidInput
from gameday.plan import kube_nodes
from tests.unit.plan.cluster_objects import node

ROOT = Path(__file__).parents[3]


def kubeconfig(path: Path, port: int) -> Path:
    """A file with the context c, whose server is on this port of loopback."""
    path.write_text(
        yaml.safe_dump(
            {
                "apiVersion": "v1", "kind": "Config", "current-context": "c",
                "clusters": [{"name": "c", "cluster": {"server": f"http://127.0.0.1:{port}"}}],
                "users": [{"name": "u", "user": {"token": "never-shown"}}],
                "contexts": [{"name": "c", "context": {"cluster": "c", "user": "u"}}],
            }
        ),
        encoding="utf-8",
    )  # fmt: skip
    path.chmod(0o600)
    return path


@pytest.fixture
def closed() -> int:
    """A port that nobody listens on."""
    with socket.create_server(("127.0.0.1", 0)) as one:
        return int(one.getsockname()[1])


@pytest.fixture
def silent() -> Iterator[int]:
    """A port that takes connections and never answers."""
    with socket.create_server(("127.0.0.1", 0)) as one:
        yield int(one.getsockname()[1])


def call(*argv: object) -> int:
    return int(cli.main(["inventory", *(str(one) for one in argv)], standalone_mode=False) or 0)


def test_help_says_what_the_code_does() -> None:
    assert (REGION_LABEL, ZONE_LABEL) == (kube_nodes.REGION_LABEL, kube_nodes.ZONE_LABEL)
    assert TIMEOUT_S == kube_ask.TIMEOUT_S


@pytest.mark.parametrize(
    ("argv", "told"),
    [
        (["-o", "estate.ini", "--context", "c"], "estate.ini is no YAML file"),
        (["-o", "estate.yaml"], "no cluster is named"),
        (["-o", "estate.yaml", "--context", "c", "--kubeconfig", "none"], "none is not there"),
    ],
)
def test_refusals(argv: list[str], told: str, tmp_path: Path,
                  monkeypatch: pytest.MonkeyPatch) -> None:  # fmt: skip
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InvalidInput) as caught:
        call("import", *argv)
    assert told in caught.value.message
    assert not list(tmp_path.iterdir())


def test_a_kubeconfig_of_several_files(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KUBECONFIG", "a:b")
    with pytest.raises(InvalidInput, match="several files"):
        call("import", "--context", "c")


def test_a_cluster_that_does_not_answer_leaves_no_file(tmp_path: Path, closed: int) -> None:
    kubeconfig(tmp_path / "kube", closed)
    with pytest.raises(CannotRun) as caught:
        call("import", "--context", "fra=c", "--kubeconfig", tmp_path / "kube", "-o",
             tmp_path / "inventory.yaml")  # fmt: skip
    assert caught.value.problems == ("c: refused: /api/v1/nodes: NewConnectionError",)
    assert [one.name for one in tmp_path.iterdir()] == ["kube"]


def test_a_cluster_that_hangs_costs_its_time_and_no_more(tmp_path: Path, silent: int) -> None:
    kubeconfig(tmp_path / "kube", silent)
    begun = time.perf_counter()
    with pytest.raises(CannotRun, match="nothing was written"):
        call("import", "--context", "c", "--kubeconfig", tmp_path / "kube", "--timeout", "0.5")
    assert time.perf_counter() - begun < 5


def test_a_file_that_is_no_inventory_is_not_added_to(tmp_path: Path, closed: int) -> None:
    path = tmp_path / "inventory.yaml"
    path.write_text("- a list\n", encoding="utf-8")
    with pytest.raises(InvalidInput, match="cannot be read, so nothing is added"):
        call("import", "--context", "c", "-o", path)


def test_labels_are_written_once_and_gone_by(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The second import is not told the label again, and finds the nodes' sites all the same."""
    monkeypatch.chdir(tmp_path)
    kubeconfig(tmp_path / "kube", 1)
    nodes = [node("f-1", 1, "europe", "fra")]

    def ask(*_: object) -> kube_nodes.Cluster:
        return kube_nodes.read_cluster(kube_nodes.Answers(list(nodes)))

    monkeypatch.setattr(kube_ask, "ask", ask)
    argv = ["import", "--context", "c", "--kubeconfig", "kube", "-o", "inventory.yaml"]
    assert call(*argv, "--site-label", ZONE_LABEL) == 0
    path = tmp_path / "inventory.yaml"

    def site() -> dict[str, Any]:
        sites = yaml.safe_load(path.read_text(encoding="utf-8"))["all"]["children"]["sites"]
        assert list(sites["children"]) == ["fra"]
        return dict(sites["children"]["fra"])

    variables = {"gameday_kubeconfig": "kube", "gameday_context": "c"}
    variables["gameday_site_label"] = ZONE_LABEL
    assert site()["vars"] == variables
    assert call(*argv) == 0
    assert "has everything already" in capsys.readouterr().out
    nodes.append(node("f-2", 2, "europe", "fra"))
    assert call(*argv, "--update", "--rack-label", "corp.example/rack") == 0
    assert site()["vars"] == {**variables, "gameday_rack_label": "corp.example/rack"}
    assert set(site()["hosts"]) == {"f-1", "f-2"}
    capsys.readouterr()
    assert call(*argv, "--site-label", REGION_LABEL) == 0
    assert "fra: gameday_site_label is topology.kubernetes.io/zone and stays so" in (
        capsys.readouterr().err
    )


def estate(tmp_path: Path, port: int) -> Path:
    """The lab's inventory with one cluster, of Frankfurt."""
    kubeconfig(tmp_path / "kube", port)
    data = yaml.safe_load((ROOT / "inventory" / "lab.yaml").read_text(encoding="utf-8"))
    variables = data["all"]["vars"]
    del variables["gameday_controller_netns"]
    data["all"]["children"]["sites"]["children"]["frankfurt"]["vars"] = {
        "gameday_kubeconfig": "kube", "gameday_context": "c",
    }  # fmt: skip
    path = tmp_path / "inventory.yaml"
    path.write_text(yaml.safe_dump(data), encoding="utf-8")
    return path


def test_drift_of_a_cluster_that_does_not_answer_is_unknown(
    tmp_path: Path, closed: int, capsys: pytest.CaptureFixture[str]
) -> None:
    path = estate(tmp_path, closed)
    call("check", "-i", path, "--clusters", "--json")
    found = json.loads(capsys.readouterr().out)
    (unknown,) = [one for one in found if one["level"] == "unknown"]
    assert unknown["where"] == "frankfurt"
    assert "did not answer (refused: " in unknown["what"]
    assert "never-shown" not in json.dumps(found)


def test_an_inventory_without_clusters_cannot_be_compared() -> None:
    with pytest.raises(InvalidInput, match="no site names a cluster"):
        call("check", "-i", ROOT / "tests/cases/inventory/estate.ini", "--clusters")


def run(code: str, *argv: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-c", code, *argv], capture_output=True, text=True,
                          check=False, cwd=ROOT)  # fmt: skip


MAIN = "import sys; from gameday.cli.main import main; "


@pytest.mark.parametrize("argv", ["--help", "inventory --help", "inventory import --help"])
def test_help_does_not_import_the_library(argv: str) -> None:
    code = (
        MAIN + f"sys.argv = ['gameday']\ntry: main({argv.split()!r})\n"
        "except SystemExit as error: assert not error.code\n"
        "found = {one.split('.')[0] for one in sys.modules}\n"
        "sys.exit(len(found & {'kubernetes', 'urllib3', 'requests'}))"
    )
    done = run(code)
    assert done.returncode == 0 and "Usage: " in done.stdout, done.stderr


def test_without_the_library_it_says_what_to_install(tmp_path: Path, closed: int) -> None:
    """A name that is None in ``sys.modules`` cannot be imported, as one that is not installed."""
    path = kubeconfig(tmp_path / "kube", closed)
    blocked = "import sys; sys.modules['kubernetes'] = None; " + MAIN + "main(sys.argv[1:])"
    done = run(blocked, "inventory", "import", "--context", "c", "--kubeconfig", str(path))
    assert done.returncode == 3
    assert "no-library: the library kubernetes is not installed" in done.stderr
    assert "install gameday[kubernetes]" in done.stderr
    assert "Traceback" not in done.stderr
    lab = str(estate(tmp_path, closed))
    assert (
        "install gameday[kubernetes]"
        in run(blocked, "inventory", "check", "-i", lab, "--clusters").stdout
    )
    plan = run(blocked, "plan", "experiments/wan-partition-frankfurt.yaml", "-i", lab)
    assert (plan.returncode, plan.stderr) == (0, ""), "what needs no cluster works without it"
