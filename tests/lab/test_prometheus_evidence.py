# SPDX-License-Identifier: Apache-2.0
"""A real Prometheus on loopback, filled with a known series: its answers become an experiment.

The samples are written by promtool, so what Prometheus must answer is known beforehand.
"""

from __future__ import annotations

import contextlib
import hashlib
import http.client
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from click.testing import CliRunner, Result

from gameday.cli.main import cli
from gameday.errors import CannotRun, InvalidInput
from gameday.reproduce.fetch import Question, fetch
from tests.certificates import Authority
from tests.lab.drill import ROOT, wait

LAB = ROOT / "inventory" / "lab.yaml"
BEGIN_S = 1_772_330_400
"""2026-03-01T02:00:00Z."""

LENGTH_S, HOLE = 600, range(500, 560)
READY_S = 120


def rtt_s(since_s: int) -> float:
    """12 ms, and up to 112 ms between 100 s and 300 s."""
    return 0.012 + max(0, 100 - abs(since_s - 200)) / 1000


def openmetrics() -> str:
    """Two pairs every second; the second is slower; neither has anything in the hole."""
    lines = ["# TYPE ping_rtt_seconds gauge"]
    for pair, more in (("fra-lon", 0), ("fra-ams", 0.1)):
        lines += [
            f'ping_rtt_seconds{{pair="{pair}"}} {rtt_s(s) + more:.6f} {BEGIN_S + s}'
            for s in range(LENGTH_S)
            if s not in HOLE
        ]
    return "\n".join([*lines, "# EOF", ""])


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Prometheus with that series, a stale one after three seconds."""
    home = tmp_path_factory.mktemp("prometheus")
    (home / "series.txt").write_text(openmetrics())
    (home / "prometheus.yml").write_text("global: {}\n")
    subprocess.run(["promtool", "tsdb", "create-blocks-from", "openmetrics",
                    str(home / "series.txt"), str(home / "data")], check=True,
                   capture_output=True, timeout=READY_S)  # fmt: skip
    with _serving(home) as port:
        wait(lambda: _ready(port), READY_S, lambda: (home / "log").read_text()[-2000:])
        yield f"http://127.0.0.1:{port}"


@contextlib.contextmanager
def _serving(home: Path, *more: str) -> Iterator[int]:
    """Prometheus on a free port of loopback."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port: int = free.getsockname()[1]
    with open(home / "log", "wb") as log:
        process = subprocess.Popen(
            ["prometheus", f"--config.file={home}/prometheus.yml",
             f"--storage.tsdb.path={home}/data", "--storage.tsdb.retention.time=100y",
             f"--web.listen-address=127.0.0.1:{port}", "--query.lookback-delta=3s", *more],
            stdout=log, stderr=log,
        )  # fmt: skip
        try:
            yield port
        finally:
            process.terminate()
            process.wait(timeout=READY_S)


def _ready(port: int) -> bool:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
    try:
        connection.request("GET", "/-/ready")
        return connection.getresponse().status == 200
    except OSError:
        return False
    finally:
        connection.close()


def reproduce(server: str, home: Path, *more: str, query: str = 'ping_rtt_seconds{pair="fra-lon"}',
              to: str = "02:06:00", step: str = "1s") -> Result:  # fmt: skip
    return CliRunner().invoke(cli, [
        "reproduce", str(home / "night.json"), "frankfurt", "london", "-i", str(LAB),
        "--id", "INC-7", "--prometheus", server, "--query", query, "--means", "rtt:s",
        "--step", step, "--from", "2026-03-01T02:01:00Z", "--to", f"2026-03-01T{to}Z",
        "--quiet", "2026-03-01T02:00:00Z", "2026-03-01T02:00:30Z", "--at", "fra-rtr",
        "-o", str(home / "inc.yaml"), *more,
    ])  # fmt: skip


def test_what_it_answers_is_kept_and_replayed(server: str, tmp_path: Path) -> None:
    done = reproduce(server, tmp_path)
    assert done.exception is None, done.output
    named = yaml.safe_load((tmp_path / "inc.yaml").read_text())["metadata"]["incident"]
    content = (tmp_path / "night.json").read_bytes()
    assert named["sha256"] == hashlib.sha256(content).hexdigest()
    assert (named["query"], named["base_us"]) == ('ping_rtt_seconds{pair="fra-lon"}', 12_000)
    # Two answers, the quiet time's and the window's; every point of the window is there.
    assert content.count(b"\n") == 2
    assert named["recorded"] == [
        [1000 * s, round(rtt_s(60 + s) * 1_000_000), 1, 0] for s in range(300)
    ]


def test_what_was_kept_is_read_again_without_it(server: str, tmp_path: Path) -> None:
    assert reproduce(server, tmp_path).exception is None
    first = yaml.safe_load((tmp_path / "inc.yaml").read_text())
    (tmp_path / "inc.yaml").unlink()
    again = CliRunner().invoke(cli, [
        "reproduce", str(tmp_path / "night.json"), "frankfurt", "london", "-i", str(LAB),
        "--id", "INC-7", "--means", "rtt:s", "--query", 'ping_rtt_seconds{pair="fra-lon"}',
        "--step", "1s", "--from", "2026-03-01T02:01:00Z", "--to", "2026-03-01T02:06:00Z",
        "--quiet", "2026-03-01T02:00:00Z", "2026-03-01T02:00:30Z", "--at", "fra-rtr",
        "-o", str(tmp_path / "inc.yaml"),
    ])  # fmt: skip
    assert again.exception is None, again.output
    assert yaml.safe_load((tmp_path / "inc.yaml").read_text()) == first


@pytest.mark.parametrize(
    ("query", "to", "words"),
    [
        ("ping_rtt_seconds", "02:06:00", "2 series fit"),
        ("ping_rtt_seconds{", "02:06:00", "refuses the query"),
        ("nothing_at_all", "02:06:00", "no series in it fits"),
        ('ping_rtt_seconds{pair="fra-lon"}', "02:09:50", "a hole of"),
        ('ping_rtt_seconds{pair="fra-lon"} * 1000', "02:06:00", "is the unit right?"),
    ],
)
def test_what_it_cannot_say(
    server: str, tmp_path: Path, query: str, to: str, words: str
) -> None:  # fmt: skip
    done = reproduce(server, tmp_path, query=query, to=to)
    assert isinstance(done.exception, InvalidInput), done.output
    told = [str(done.exception), done.exception.hint, *done.exception.problems]
    assert words in "\n".join(told)
    assert not (tmp_path / "inc.yaml").exists()


def test_one_of_several_series_is_chosen_by_its_labels(server: str, tmp_path: Path) -> None:
    done = reproduce(server, tmp_path, "--path", "pair=fra-ams", query="ping_rtt_seconds")
    assert done.exception is None, done.output
    named = yaml.safe_load((tmp_path / "inc.yaml").read_text())["metadata"]["incident"]
    assert (named["path"], named["base_us"]) == ("pair=fra-ams", 112_000)


def test_nobody_answers(tmp_path: Path) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    done = reproduce(f"http://127.0.0.1:{port}", tmp_path)
    assert isinstance(done.exception, CannotRun)
    assert "nothing listens" in str(done.exception)
    assert not (tmp_path / "night.json").exists()


def test_over_tls_only_to_whom_the_authority_knows(tmp_path: Path) -> None:
    """Prometheus' own TLS; its certificate is signed by an authority of ours."""
    ours, theirs = Authority(tmp_path), Authority(tmp_path, "another authority")
    pair = ours.sign("prometheus.test", "127.0.0.1")
    (tmp_path / "prometheus.yml").write_text("global: {}\n")
    (tmp_path / "web.yml").write_text(
        f"tls_server_config: {{cert_file: {pair.cert}, key_file: {pair.key}}}\n"
    )
    span = (BEGIN_S * 1000, BEGIN_S * 1000 + 2000)
    with _serving(tmp_path, f"--web.config.file={tmp_path}/web.yml") as port:
        url = f"https://127.0.0.1:{port}"

        def answers() -> bool:
            try:
                return b'"0.02"' in fetch(
                    Question(url, "vector(0.02)", 1000, "", str(ours.ca)), [span]
                )
            except CannotRun:
                return False

        wait(answers, READY_S, lambda: (tmp_path / "log").read_text()[-2000:])
        with pytest.raises(CannotRun, match="certificate"):
            fetch(Question(url, "vector(0.02)", 1000, "", str(theirs.ca)), [span])
