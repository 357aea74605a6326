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


@pytest.fixture(scope="module")
def plan(tmp_path_factory: pytest.TempPathFactory) -> Subject:
    """What most tests approve."""
    return about(tmp_path_factory.mktemp("plan") / "plan")


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


def test_enough_people_have_allowed_it(
    tmp_path: Path, plan: Subject, keys: dict[str, SigningKey]
) -> None:
    """One per signer, and who operates the run does not count beside another one."""
    place, trust = tmp_path / "approvals", tmp_path / "trust"
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
    tmp_path: Path, plan: Subject, keys: dict[str, SigningKey], what: str
) -> None:
    """It says what has changed since; nothing is run."""
    now = plan
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
    tmp_path: Path, plan: Subject, keys: dict[str, SigningKey], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A key nobody trusts, a changed byte, a signature that is too old."""
    place, trust = tmp_path / "approvals", tmp_path / "trust"
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


def trust_lines(path: Path, **keys: SigningKey) -> None:
    """Write allowed_signers: each key under the principals that its keyword stands for."""
    names = {"both": "ann@ops,root@ops", "pattern": "*@home", "upper": "Bob@OPS"}
    lines = []
    for word, key in keys.items():
        public = (path.parent / key.identity.comment.split("@")[0] / "key.pub").read_text()
        lines.append(f"{names.get(word, key.identity.comment)} {public}")
    path.write_text("".join(lines), encoding="utf-8")


@pytest.mark.parametrize(
    ("people", "count"),
    [({"both": "bob", "ann": "ann"}, 1), ({"upper": "cem", "bob": "bob"}, 1),
     ({"bob": "bob", "cem": "cem"}, 2)],
)  # fmt: skip
def test_people_count_and_not_keys(
    tmp_path: Path, plan: Subject, keys: dict[str, SigningKey], people: dict[str, str], count: int
) -> None:
    """Two keys whose principals meet are one person's; the other one is said."""
    place, trust = tmp_path / "approvals", tmp_path / "people"
    trust_lines(trust, **{word: keys[name] for word, name in people.items()})
    for name in people.values():
        approvals.approve(place, plan, keys[name])
    if count == 2:
        assert len(approvals.require(place, plan, Policy(approvals=2), keys["eve"], trust)) == 2
        return
    with pytest.raises(Refused, match="1 of 2 approvals") as caught:
        approvals.require(place, plan, Policy(approvals=2), keys["eve"], trust)
    assert any("people count, not keys" in said for said in caught.value.problems)


def test_a_second_key_of_the_operator_is_the_operators(
    tmp_path: Path, plan: Subject, keys: dict[str, SigningKey]
) -> None:
    """Whether the operator's key is listed, or only its comment says whose it is."""
    place, trust = tmp_path / "approvals", tmp_path / "people"
    approvals.approve(place, plan, keys["bob"])
    approvals.approve(place, plan, keys["cem"])
    trust_lines(trust, both=keys["bob"], cem=keys["cem"])
    for listed in (False, True):
        if listed:
            trust_lines(trust, both=keys["bob"], cem=keys["cem"], ann=keys["ann"])
        with pytest.raises(Refused, match="1 of 2") as caught:
            approvals.require(place, plan, Policy(approvals=2), keys["ann"], trust)
        assert any("operator's own" in said for said in caught.value.problems)


def test_an_approval_dated_ahead_does_not_count(
    tmp_path: Path, plan: Subject, keys: dict[str, SigningKey], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Clocks may differ by minutes, not by a day."""
    place, trust = tmp_path / "approvals", tmp_path / "trust"
    now = clock.wall_ns()
    for name, ahead_s in (("bob", 86_400), ("cem", 60)):
        with monkeypatch.context() as patch:
            patch.setattr(clock, "wall_ns", lambda a=ahead_s: now + a * clock.NS_PER_S)
            approvals.approve(place, plan, keys[name])
    found = approvals.require(place, plan, Policy(approvals=1), keys["ann"], trust)
    assert [one.principals for one in found] == ["cem@ops"]
    with pytest.raises(Refused) as caught:
        approvals.require(place, plan, Policy(approvals=2), keys["ann"], trust)
    assert any("s ahead of this clock" in said for said in caught.value.problems)


def test_approvals_that_will_be_too_old(
    tmp_path: Path, plan: Subject, keys: dict[str, SigningKey]
) -> None:
    """Asked today about a drill in two months."""
    place, trust = tmp_path / "approvals", tmp_path / "trust"
    approvals.approve(place, plan, keys["bob"])
    then = clock.wall_ns() + 60 * approvals.DAY_NS
    with pytest.raises(Refused) as caught:
        approvals.require(place, plan, Policy(approvals=1), keys["ann"], trust, at_ns=then)
    assert any("60 days old, 30 are allowed" in said for said in caught.value.problems)
