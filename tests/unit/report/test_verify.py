# SPDX-License-Identifier: Apache-2.0
"""A flipped byte anywhere fails and names the file; only trusted keys count."""

from __future__ import annotations

import base64
import hashlib
import json
from pathlib import Path
from random import Random

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from gameday.errors import EvidenceError, NotVerified
from gameday.report.files import ENVELOPES, SUBJECTS
from gameday.report.finish import finish_run
from gameday.report.keygen import NewKey, generate
from gameday.report.sign import load_signing_key
from gameday.report.verify import verify_run

ALL = [*SUBJECTS, *ENVELOPES]


def problems(directory: Path, trust: Path) -> list[str]:
    """What verification says is wrong."""
    with pytest.raises(NotVerified) as caught:
        verify_run(directory, trust)
    assert caught.value.exit_code == 1
    return list(caught.value.problems)


def flip(path: Path, place: int, bit: int = 0) -> None:
    """Flip one bit of a file."""
    content = bytearray(path.read_bytes())
    content[place] ^= 1 << bit
    path.write_bytes(bytes(content))


def test_who_signed(signed: Path, key: NewKey) -> None:
    found = verify_run(signed, key.allowed_signers)
    assert [(s.principals, s.fingerprint) for s in found.signers] == [
        ("operator@controller", key.fingerprint)
    ]
    assert found.statement["predicate"]["verdict"]["verdict"] == "met"
    assert set(found.files) == set(SUBJECTS)


@pytest.mark.parametrize("name", ALL)
def test_a_flipped_byte_names_the_file(run: Path, key: NewKey, name: str) -> None:
    size = (run / name).stat().st_size
    original = (run / name).read_bytes()
    random = Random(name)  # noqa: S311 - reproducible, not secret
    places = {0, size // 2, size - 1, *(random.randrange(size) for _ in range(20))}
    for place in sorted(places):
        flip(run / name, place, random.randrange(8))
        found = problems(run, key.allowed_signers)
        assert any(problem.startswith(f"{name}: ") for problem in found), (place, found)
        (run / name).write_bytes(original)
    verify_run(run, key.allowed_signers)


def test_every_single_byte_of_the_small_envelope_counts(run: Path, key: NewKey) -> None:
    name = ENVELOPES[1]
    original = (run / name).read_bytes()
    for place in range(len(original)):
        flip(run / name, place, place % 7)
        found = problems(run, key.allowed_signers)
        assert any(problem.startswith(f"{name}: ") for problem in found), (place, found)
        (run / name).write_bytes(original)


@pytest.mark.parametrize("name", ENVELOPES)
@pytest.mark.parametrize(
    "old, new",
    [
        (b"{", b"{ "),
        (b"}\n", b"}"),
        (b"}\n", b"}\n\n"),
        (b'"keyid"', b'"note":"x","keyid"'),
        (b'"payload":', b'"payload":"","payload":'),
        (b'"sig":"', b'"sig":"\\u0041'),
    ],
)
def test_any_other_spelling_of_an_envelope_fails(
    run: Path, key: NewKey, name: str, old: bytes, new: bytes
) -> None:
    content = (run / name).read_bytes()
    assert old in content
    (run / name).write_bytes(content.replace(old, new, 1))
    assert any(problem.startswith(f"{name}: ") for problem in problems(run, key.allowed_signers))


@pytest.mark.parametrize("name", ALL)
def test_a_missing_file_is_named(run: Path, key: NewKey, name: str) -> None:
    (run / name).unlink()
    assert any(problem.startswith(f"{name}: ") for problem in problems(run, key.allowed_signers))


def test_what_nobody_signed_is_named(run: Path, key: NewKey) -> None:
    (run / "notes.txt").write_text("hello")
    (run / "more").mkdir()
    found = problems(run, key.allowed_signers)
    assert [p.split(":")[0] for p in found] == ["more", "notes.txt"]


def test_a_link_is_not_a_file(run: Path, key: NewKey, tmp_path: Path) -> None:
    (run / "plan.json").rename(tmp_path / "elsewhere")
    (run / "plan.json").symlink_to(tmp_path / "elsewhere")
    assert "plan.json: not a regular file" in problems(run, key.allowed_signers)


def test_every_problem_at_once(run: Path, key: NewKey) -> None:
    flip(run / "plan.json", 10)
    flip(run / "events.jsonl", 10)
    (run / "report.html").unlink()
    names = {p.split(":")[0] for p in problems(run, key.allowed_signers)}
    assert names == {"plan.json", "events.jsonl", "report.html"}


def test_an_unknown_key_is_not_verified(run: Path, tmp_path: Path) -> None:
    other = generate("stranger@elsewhere", path=tmp_path / "other" / "signing_key")
    found = problems(run, other.allowed_signers)
    assert all("does not trust: SHA256:" in problem for problem in found)
    assert {p.split(":")[0] for p in found} == set(ENVELOPES)


def test_the_envelopes_of_another_run_do_not_fit(run: Path, key: NewKey, tmp_path: Path) -> None:
    from tests.unit.synthetic import Truth, write_run

    write_run(tmp_path / "other", Truth(seed=99))
    finish_run(tmp_path / "other", load_signing_key(key.private))
    for name in ENVELOPES:
        (run / name).write_bytes((tmp_path / "other" / name).read_bytes())
    assert any("differs from what was signed" in p for p in problems(run, key.allowed_signers))


def test_swapped_envelopes_are_signed_for_something_else(run: Path, key: NewKey) -> None:
    a, b = (run / name for name in ENVELOPES)
    content = a.read_bytes()
    a.write_bytes(b.read_bytes())
    b.write_bytes(content)
    assert all("signed, but for something else" in p for p in problems(run, key.allowed_signers))


def test_could_not_check_is_another_error(run: Path, key: NewKey, tmp_path: Path) -> None:
    for directory, trust in ((run, tmp_path / "none"), (tmp_path / "none", key.allowed_signers)):
        with pytest.raises(EvidenceError) as caught:
            verify_run(directory, trust)
        assert not isinstance(caught.value, NotVerified)
        assert caught.value.exit_code == 3


def test_a_key_counts_only_while_it_was_valid(run: Path, key: NewKey, tmp_path: Path) -> None:
    line = key.allowed_signers.read_text()
    trust = tmp_path / "trust"
    for option, why in (
        ('valid-before="20200101Z"', "not valid any more"),
        ('valid-after="29990101Z"', "not valid yet"),
    ):
        trust.write_text(line.replace('"gameday"', f'"gameday",{option}'))
        assert any(why in problem for problem in problems(run, trust))
    # The same key on a second line that is valid: as after a renewal.
    trust.write_text(trust.read_text() + line)
    assert verify_run(run, trust).signers


def test_finishing_again_gives_the_same_report_and_verifies(run: Path, key: NewKey) -> None:
    before = {name: (run / name).read_bytes() for name in SUBJECTS}
    (run / "report.json.part").write_text("left by a killed writer")
    finish_run(run, load_signing_key(key.private))
    assert {name: (run / name).read_bytes() for name in SUBJECTS} == before
    verify_run(run, key.allowed_signers)


def test_with_nothing_but_cryptography(signed: Path, key: NewKey) -> None:
    """The check that anybody can write again in a few lines."""
    blob = base64.b64decode(key.public.read_text().split()[1])
    public = Ed25519PublicKey.from_public_bytes(blob[-32:])
    for name in ("report.dsse.json", "test-result.dsse.json"):
        envelope = json.loads((signed / name).read_bytes())
        kind, payload = envelope["payloadType"].encode(), base64.b64decode(envelope["payload"])
        pae = b"DSSEv1 %d %b %d %b" % (len(kind), kind, len(payload), payload)
        public.verify(base64.b64decode(envelope["signatures"][0]["sig"]), pae)
        for subject in json.loads(payload)["subject"]:
            content = (signed / subject["name"]).read_bytes()
            assert hashlib.sha256(content).hexdigest() == subject["digest"]["sha256"]


def test_the_test_result_follows_the_predicate(signed: Path) -> None:
    envelope = json.loads((signed / "test-result.dsse.json").read_bytes())
    statement = json.loads(base64.b64decode(envelope["payload"]))
    assert statement["_type"] == "https://in-toto.io/Statement/v1"
    assert statement["predicateType"] == "https://in-toto.io/attestation/test-result/v0.1"
    assert statement["predicate"]["result"] == "PASSED"
    assert statement["predicate"]["failedTests"] == []
    assert "objective: time to detect" in statement["predicate"]["passedTests"]
