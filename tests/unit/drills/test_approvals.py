# SPDX-License-Identifier: Apache-2.0
"""Who has allowed a run, and what makes a signature stale."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from gameday import clock
from gameday.drills import approvals
from gameday.drills.subject import NAMES, Subject, subject
from gameday.errors import EvidenceError, Refused
from gameday.experiment import load_experiment
from gameday.plan import load_inventory
from gameday.plan.policy import Policy
from gameday.report.keygen import generate
from gameday.report.sign import SigningKey, load_signing_key

ROOT = Path(__file__).resolve().parents[3]
EXPERIMENT = ROOT / "experiments" / "wan-partition-frankfurt.yaml"


def about(directory: Path, change: str = "") -> Subject:
    """The subject of the shipped experiment and the lab's inventory, both copied there."""
    directory.mkdir(exist_ok=True)
    experiment = directory / "experiment.yaml"
    experiment.write_text(EXPERIMENT.read_text(encoding="utf-8") + change, encoding="utf-8")
    shutil.copy(ROOT / "inventory" / "lab.yaml", directory / "inventory.yaml")
    return subject(experiment.read_bytes(), load_experiment(experiment),
                   load_inventory(directory / "inventory.yaml"))  # fmt: skip


@pytest.fixture
def keys(tmp_path: Path) -> dict[str, SigningKey]:
    """Three people, all trusted by the file ``trust``; eve is not."""
    found, trust = {}, []
    for name in ("ann", "bob", "cem", "eve"):
        made = generate(f"{name}@ops", path=tmp_path / name / "key")
        found[name] = load_signing_key(made.private)
        if name != "eve":
            trust.append(made.allowed_signers.read_text(encoding="utf-8"))
    (tmp_path / "trust").write_text("".join(trust), encoding="utf-8")
    return found


def test_the_same_files_elsewhere_are_the_same_subject(tmp_path: Path) -> None:
    """Approvers have their own clones, and lease ids are random."""
    one, two = about(tmp_path / "one"), about(tmp_path / "two")
    assert one.digests == two.digests and set(one.digests) == set(NAMES)
    assert one.digest != about(tmp_path / "three", "# changed\n").digest


def test_enough_people_have_allowed_it(tmp_path: Path, keys: dict[str, SigningKey]) -> None:
    """One per signer, and who operates the run does not count beside another one."""
    plan, place, trust = about(tmp_path / "plan"), tmp_path / "approvals", tmp_path / "trust"
    two = Policy(approvals=2)
    with pytest.raises(Refused, match="0 of 2 approvals"):
        approvals.require(place, plan, two, keys["ann"], trust)
    approvals.approve(place, plan, keys["ann"])
    approvals.approve(place, plan, keys["bob"])
    approvals.approve(place, plan, keys["bob"], "again")
    with pytest.raises(Refused, match="1 of 2 approvals") as caught:
        approvals.require(place, plan, two, keys["ann"], trust)
    said = "\n".join(caught.value.problems)
    assert "counts: bob@ops" in said and "it is the operator's own" in said
    approvals.approve(place, plan, keys["cem"])
    found = approvals.require(place, plan, two, keys["ann"], trust)
    assert {one.principals for one in found} == {"bob@ops", "cem@ops"}
    assert {one.digest for one in found} == {plan.digest}
    alone = approvals.require(place, plan, Policy(approvals=1), keys["ann"], trust)
    assert "ann@ops" in {one.principals for one in alone}, "one is asked for, it may be one's own"


@pytest.mark.parametrize("what", ["experiment", "inventory", "code"])
def test_an_approval_over_an_older_plan(
    tmp_path: Path, keys: dict[str, SigningKey], what: str
) -> None:
    """It says what has changed since; nothing is run."""
    now = about(tmp_path / "now")
    name = {"experiment": "experiment.yaml", "inventory": "inventory.json", "code": "code"}[what]
    before = Subject(now.experiment, {**now.files, name: now.files[name] + b" "})
    place = tmp_path / "approvals"
    approvals.approve(place, before, keys["bob"])
    with pytest.raises(Refused) as caught:
        approvals.require(place, now, Policy(approvals=1), keys["ann"], tmp_path / "trust")
    (said,) = caught.value.problems
    assert "it is about another plan" in said
    assert {"code": "another version", "inventory": "the inventory", "experiment":
            "the experiment has changed"}[what] in said  # fmt: skip


def test_what_does_not_count(
    tmp_path: Path, keys: dict[str, SigningKey], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A key nobody trusts, a changed byte, a signature that is too old."""
    plan, place, trust = about(tmp_path / "plan"), tmp_path / "approvals", tmp_path / "trust"
    approvals.approve(place, plan, keys["eve"])
    broken = approvals.approve(place, plan, keys["bob"])
    broken.write_bytes(broken.read_bytes().replace(b'"sig":"', b'"sig":"A'))
    with monkeypatch.context() as patch:
        old = clock.wall_ns() - 31 * approvals.DAY_NS
        patch.setattr(clock, "wall_ns", lambda: old)
        approvals.approve(place, plan, keys["cem"])
    with pytest.raises(Refused) as caught:
        approvals.require(place, plan, Policy(approvals=1), keys["ann"], trust)
    said = "\n".join(caught.value.problems)
    for part in ("does not trust", "31 days old, 30 are allowed", "differs"):
        assert part in said, said
    with pytest.raises(EvidenceError):
        approvals.require(place, plan, Policy(approvals=1), keys["ann"], tmp_path / "nowhere")
