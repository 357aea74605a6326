# SPDX-License-Identifier: Apache-2.0
"""From a file of evidence to an experiment that can be planned, through the command line."""

from __future__ import annotations

import math
from hashlib import sha256
from pathlib import Path

import pytest
import yaml
from click.testing import CliRunner, Result

from gameday.cli.main import cli
from gameday.errors import InvalidInput
from gameday.experiment import load_experiment
from gameday.faults.excursion import profile_of
from gameday.faults.profiles import value_at
from gameday.plan import load_inventory, make_plan
from gameday.reproduce.make import Incident, name_of

LAB = Path(__file__).parents[3] / "inventory" / "lab.yaml"
WINDOW = ("--from", "2026-03-01T02:00:10Z", "--to", "2026-03-01T02:00:40.7Z")
QUIET = ("--quiet", "2026-03-01T02:00:00Z", "2026-03-01T02:00:10Z")


def rtt_ms(since_s: float) -> float:
    """Quiet at 12 ms, with a wave up to 92 ms between ten and 41 seconds."""
    return (
        12 if not 10 < since_s < 41 else round(12 + 80 * math.sin((since_s - 10) / 31 * math.pi), 3)
    )


@pytest.fixture
def evidence(tmp_path: Path) -> Path:
    rows = [f"2026-03-01T02:00:{i / 4:06.3f}Z,{rtt_ms(i / 4):.3f}" for i in range(180)]
    path = tmp_path / "inc.csv"
    path.write_text("\n".join(["time,rtt_ms", *rows]) + "\n")
    return path


def reproduce(evidence: Path, *more: str, sites: tuple[str, str] = ("frankfurt", "london"),
              window: tuple[str, ...] = WINDOW) -> Result:  # fmt: skip
    argv = ["reproduce", str(evidence), *sites, "-i", str(LAB), "--id", "INC-2041", *window,
            "-o", str(evidence.parent / "inc.yaml"), *more]  # fmt: skip
    return CliRunner().invoke(cli, argv)


def test_evidence_becomes_an_experiment_that_can_be_planned(evidence: Path) -> None:
    done = reproduce(evidence, *QUIET, "--at", "fra-rtr", "--fixed-by", "https://git.example/1")
    assert done.exception is None, done.output
    assert "within 0 ms for all" in done.output and "30 s" in done.output
    loaded = load_experiment(evidence.parent / "inc.yaml")
    named = loaded.experiment.metadata.incident
    assert named is not None
    assert (named.id, named.evidence, named.base_us) == ("INC-2041", "inc.csv", 12_000)
    assert named.sha256 == sha256(evidence.read_bytes()).hexdigest()
    assert named.window == ("2026-03-01T02:00:10.000Z", "2026-03-01T02:00:40.000Z")
    assert named.fixed_by == "https://git.example/1"
    plan = make_plan(loaded, load_inventory(LAB))
    assert [lease["node"] for lease in plan.to_json()["faults"][0]["leases"]] == ["fra-rtr"]


def test_what_the_fault_holds_is_what_was_recorded(evidence: Path) -> None:
    reproduce(evidence, "--base", "12ms", "--at", "fra-rtr")
    (fault,) = load_experiment(evidence.parent / "inc.yaml").experiment.faults
    profile = profile_of(fault.params)
    for i in range(121):
        held_ms = 12 + value_at(profile, i * 250_000).rtt_us / 1000
        assert held_ms == pytest.approx(rtt_ms(10 + i / 4), abs=0.002)


def test_the_whole_estate_can_hold_it_too(evidence: Path) -> None:
    assert reproduce(evidence, "--base", "12ms").exception is None


@pytest.mark.parametrize(
    ("more", "words"),
    [
        ((), "what the path takes anyway is not known"),
        (("--base", "12"), "--base: not a length of time"),
        (("--base", "200ms"), "nothing in the window is above the base"),
        ((*QUIET, "--step", "0.5ms"), "not a whole number of milliseconds"),
        ((*QUIET, "--path", "fra-lon"), "mistake"),
        ((*QUIET, "--at", "nowhere"), "no node 'nowhere'"),
        (("--quiet", "2026-03-01T02:00:00", "2026-03-01T02:00:10Z"), "has no zone"),
        (("--quiet", "2026-03-01T01:00:00Z", "2026-03-01T01:00:10Z"), "has 0 answers"),
    ],
)
def test_what_is_wrong_is_said_and_nothing_written(
    evidence: Path, more: tuple[str, ...], words: str
) -> None:
    done = reproduce(evidence, *more)
    assert isinstance(done.exception, InvalidInput)
    assert words in str(done.exception) + done.exception.hint
    assert not (evidence.parent / "inc.yaml").exists()


@pytest.mark.parametrize(
    ("sites", "window", "words"),
    [
        (("frankfurt", "paris"), WINDOW, "no site 'paris'"),
        (("london", "london"), WINDOW, "both sites are the same"),
        (("frankfurt", "london"), ("--from", WINDOW[3], "--to", WINDOW[1]), "is not after"),
        (("frankfurt", "london"), ("--from", "then", "--to", "now"), "'then' is no time"),
    ],
)
def test_sites_and_windows_that_there_are_not(
    evidence: Path, sites: tuple[str, str], window: tuple[str, ...], words: str
) -> None:
    done = reproduce(evidence, "--base", "12ms", sites=sites, window=window)
    assert isinstance(done.exception, InvalidInput)
    assert words in str(done.exception)
    assert not (evidence.parent / "inc.yaml").exists()


def test_a_file_that_is_there_is_left_alone(evidence: Path) -> None:
    (evidence.parent / "inc.yaml").write_text("mine")
    done = reproduce(evidence, *QUIET)
    assert isinstance(done.exception, InvalidInput) and "is there already" in str(done.exception)
    assert (evidence.parent / "inc.yaml").read_text() == "mine"


def test_loss_alone_needs_no_base(tmp_path: Path) -> None:
    rows = [f"2026-03-01T02:00:{i:02d}Z,{0 if i < 15 else 20}" for i in range(60)]
    path = tmp_path / "inc.csv"
    path.write_text("\n".join(["time,loss_percent", *rows]) + "\n")
    done = reproduce(path, "--at", "fra-rtr")
    assert done.exception is None, done.output
    data = yaml.safe_load((tmp_path / "inc.yaml").read_text())
    points = data["faults"][0]["params"]["points"]
    assert {p["rtt_us"] for p in points} == {0}
    assert max(p.get("loss_ppm", 0) for p in points) == 200_000


@pytest.mark.parametrize("name", ["INC 2041", "…", "x" * 100, "2026/03: Störung"])
def test_every_incident_gets_a_name_that_files_bear(name: str) -> None:
    found = name_of(Incident(name, ("frankfurt", "london")))
    assert len(found) <= 64 and found.strip("abcdefghijklmnopqrstuvwxyz0123456789-") == ""


def test_an_hour_with_losses_fits_into_an_experiment(tmp_path: Path) -> None:
    """The longest window, with as many points and steps as there can be, is read back."""
    rows = [
        f"{1_772_330_400 + i},{rtt_ms(10 + i % 31) + i / 1000:.3f},{i % 7}" for i in range(3601)
    ]
    path = tmp_path / "inc.csv"
    path.write_text("\n".join(["time_s,rtt_ms,loss_percent", *rows]) + "\n")
    window = ("--from", "2026-03-01T02:00:00Z", "--to", "2026-03-01T03:00:00Z")
    done = reproduce(path, "--base", "12ms", "--at", "fra-rtr", window=window)
    assert done.exception is None, done.output
    named = load_experiment(tmp_path / "inc.yaml").experiment.metadata.incident
    assert named is not None and named.compare_ms == 5000 and len(named.recorded) == 720
    assert {row[2] for row in named.recorded} == {5}


def test_the_experiment_asks_whether_the_replay_is_as_recorded(evidence: Path) -> None:
    """Within 5 %, or 1 ms, of a series that it carries; its mesh looks often enough for that."""
    assert reproduce(evidence, "--base", "12ms", "--at", "fra-rtr").exception is None
    experiment = load_experiment(evidence.parent / "inc.yaml").experiment
    named, (first, *_) = experiment.metadata.incident, experiment.objectives
    assert (first.measure, first.at_most_percent) == ("replay-error", 5)
    assert first.params.probe == "mesh" and first.params.floor_us == 20_000
    (mesh,) = [probe for probe in experiment.probes if probe.name == "mesh"]
    assert mesh.period_ms == 100
    assert named is not None and named.compare_ms == 1000
    # Four looks a second: their mean time, and the median of their round trips.
    at_ms, rtt_us, answers, loss_ppm = named.recorded[3]
    assert (at_ms, answers, loss_ppm) == (3375, 4, 0)
    assert rtt_us == pytest.approx(1000 * (rtt_ms(13.25) + rtt_ms(13.5)) / 2, abs=1)
