# SPDX-License-Identifier: Apache-2.0
"""A search is believed only where its answer follows from runs that are all there and signed.

Each forgery is tried twice: by somebody without a key, and by a signer who signs it anew.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from gameday.errors import NotVerified
from gameday.report.build import canonical
from gameday.report.files import MEASUREMENTS_ENVELOPE
from gameday.report.keygen import NewKey, generate
from gameday.report.search import ENVELOPE, HTML, JSON, SEARCH_TYPE, finish, page, row
from gameday.report.sign import SigningKey, load_signing_key, statement
from gameday.report.verify_search import verify_search
from tests.unit.report.searches import ASKED, made

Change = Callable[[dict[str, Any]], None]


def problems(directory: Path, key: NewKey) -> str:
    """What verification says is wrong."""
    with pytest.raises(NotVerified) as caught:
        verify_search(directory, key.allowed_signers)
    assert caught.value.exit_code == 1
    return "\n".join(caught.value.problems)


def forge(directory: Path, signing: SigningKey, change: Change) -> None:
    """Change search.json, draw its page anew and sign both: what a lying signer can do."""
    data = json.loads((directory / JSON).read_bytes())
    change(data)
    (directory / JSON).write_bytes(canonical(data))
    (directory / HTML).write_bytes(page(data, signing.identity))
    files = {name: (directory / name).read_bytes() for name in (JSON, HTML)}
    for one in data["runs"]:
        place = f"{one['run']}/{MEASUREMENTS_ENVELOPE}"
        files[place] = (directory / place).read_bytes()
    (directory / ENVELOPE).write_bytes(signing.sign(statement(SEARCH_TYPE, data, files)))


def test_what_was_signed_is_verified(searched: Path, key: NewKey) -> None:
    found = verify_search(searched, key.allowed_signers)
    assert [one.principals for one in found.signers] == ["operator@controller"]
    assert found.redrawn
    assert [one["run"] for one in found.data["runs"]] == ["kept", "broke"]


def test_signing_anew_without_a_change_is_verified(
    searched: Path, key: NewKey, signing: SigningKey
) -> None:
    """So that what fails below fails by its change."""
    forge(searched, signing, lambda data: None)
    verify_search(searched, key.allowed_signers)


@pytest.mark.parametrize("name", [JSON, HTML, ENVELOPE, "kept/samples.jsonl.gz", "kept/plan.json"])
def test_a_flipped_byte_is_named(searched: Path, key: NewKey, name: str) -> None:
    path = searched / name
    if not path.exists():
        path = next((searched / "kept").glob("samples*"))
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(bytes(content))
    assert path.name in problems(searched, key)


def _held(data: dict[str, Any]) -> None:
    data["runs"][1]["held"] = "kept"
    data.update(kept_us=90_000, broke_us=None,
                answer="Everything up to 90 ms was kept; nothing longer was tried.")  # fmt: skip


def _asked_for_more(data: dict[str, Any]) -> None:
    data["runs"][1]["rtt_us"] = data["asked"]["most_us"] = data["broke_us"] = 200_000
    data["answer"] = "The objectives are kept at 20 ms and no more at 200 ms."


def _swapped(data: dict[str, Any]) -> None:
    first, second = data["runs"]
    first["run"], second["run"] = second["run"], first["run"]


def _run_left_out(data: dict[str, Any]) -> None:
    del data["runs"][1]
    data.update(broke_us=None, answer="Everything up to 20 ms was kept; nothing longer was tried.")


def _run_counted_twice(data: dict[str, Any]) -> None:
    data["runs"].append(data["runs"][1])
    data["asked"]["runs"] = 3


def _nicer_answer(data: dict[str, Any]) -> None:
    data["answer"] = "The objectives are kept at 90 ms."


def _nicer_bounds(data: dict[str, Any]) -> None:
    data["kept_us"] = 80_000


def _nicer_writes(data: dict[str, Any]) -> None:
    data["runs"][1]["write_us"] = [1, 2]


def _usual(data: dict[str, Any]) -> None:
    data["asked"]["usual"][0]["us"] = 1_000


def _held_longer(data: dict[str, Any]) -> None:
    data["asked"]["hold_s"] = 600


def _stopped(data: dict[str, Any]) -> None:
    data["asked"]["runs"] = 8


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (_held, "broke: the row says held 'kept', and the run 'broke'"),
        (_asked_for_more, "broke: it added [78000] us"),
        (_swapped, "broke: it added [78000] us"),
        (_run_left_out, "broke: not signed, and not a run of the search"),
        (_run_counted_twice, "search.json: run 3 is of 90000 us"),
        (_nicer_answer, "search.json: its answer is"),
        (_nicer_bounds, "search.json: its kept_us is 80000, and from its runs follows 20000"),
        (_nicer_writes, "broke: the row says write_us [1, 2]"),
        (_usual, "kept: it added [8000] us"),
        (_held_longer, "kept: it held for 30 s, not 600 s"),
        (_stopped, "search.json: it ends early: 42000 us would have been tried next"),
        (lambda data: data.pop("asked"), "does not have the form of a search"),
        (lambda data: data["runs"][0].update(run="../kept"), "does not have the form of a search"),
    ],
)
def test_what_a_signer_cannot_make_true(
    searched: Path, key: NewKey, signing: SigningKey, change: Change, told: str
) -> None:
    whole = (searched / JSON).read_bytes()
    data = json.loads(whole)
    change(data)
    (searched / JSON).write_bytes(canonical(data))
    assert "differs from" in problems(searched, key) or "form of a search" in told
    (searched / JSON).write_bytes(whole)
    if "form of a search" in told:
        (searched / JSON).write_bytes(canonical(data))
    else:
        forge(searched, signing, change)
    assert told in problems(searched, key)


def test_another_page_over_the_same_numbers(
    searched: Path, key: NewKey, signing: SigningKey
) -> None:
    """The curve is drawn again."""
    data = json.loads((searched / JSON).read_bytes())
    drawn = (searched / HTML).read_bytes()
    changed = drawn.replace(b"var(--bad)", b"var(--good)")
    assert changed != drawn
    (searched / HTML).write_bytes(changed)
    files = {name: (searched / name).read_bytes() for name in (JSON, HTML)}
    for name in ("kept", "broke"):
        place = f"{name}/{MEASUREMENTS_ENVELOPE}"
        files[place] = (searched / place).read_bytes()
    (searched / ENVELOPE).write_bytes(signing.sign(statement(SEARCH_TYPE, data, files)))
    assert f"{HTML}: is not the page" in problems(searched, key)


def test_a_run_that_is_missing(searched: Path, key: NewKey) -> None:
    shutil.rmtree(searched / "broke")
    assert "broke/report.dsse.json: missing" in problems(searched, key)


def test_a_run_that_was_added(searched: Path, key: NewKey) -> None:
    shutil.copytree(searched / "kept", searched / "kept-again")
    assert problems(searched, key) == "kept-again: not signed, and not a run of the search"


def test_a_run_put_in_another_s_place(searched: Path, key: NewKey, signing: SigningKey) -> None:
    """Signed by the same key and whole, but not the one that the search was made of."""
    shutil.rmtree(searched / "broke")
    made(searched / "broke", signing, 90_000)
    assert "broke/report.dsse.json: is not the run that was signed" in problems(searched, key)


def test_runs_of_somebody_else(
    searched: Path, key: NewKey, signing: SigningKey, tmp_path: Path
) -> None:
    """Both are trusted, but nobody stands for the search and all of its runs."""
    other = generate("other@controller", path=tmp_path / "other")
    with open(key.allowed_signers, encoding="utf-8") as ours:
        both = ours.read() + other.allowed_signers.read_text(encoding="utf-8")
    trust = tmp_path / "both"
    trust.write_text(both, encoding="utf-8")
    shutil.rmtree(searched / "kept")
    made(searched / "kept", load_signing_key(other.private), 20_000)
    rows = [row(searched / "kept", 20_000), row(searched / "broke", 90_000)]
    finish(searched, replace(ASKED), rows, signing)
    with pytest.raises(NotVerified) as caught:
        verify_search(searched, trust)
    assert "no one signer" in caught.value.problems[0]


def test_an_unknown_signer(searched: Path, tmp_path: Path) -> None:
    stranger = generate("stranger@elsewhere", path=tmp_path / "stranger")
    assert "does not trust" in problems(searched, stranger)


def test_a_page_of_another_version_is_said(
    searched: Path, key: NewKey, signing: SigningKey
) -> None:
    forge(searched, signing, lambda data: data.update(gameday="0.0.1"))
    assert not verify_search(searched, key.allowed_signers).redrawn


def test_the_command_line(searched: Path, key: NewKey) -> None:
    argv = [sys.executable, "-m", "gameday.cli.main", "verify", str(searched),
            "--allowed-signers", str(key.allowed_signers)]  # fmt: skip
    done = subprocess.run(argv, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "✓ signed by operator@controller" in done.stdout
    assert "follows from these runs: The objectives are kept at 20 ms" in done.stdout
    (searched / "left").touch()
    done = subprocess.run(argv, capture_output=True, text=True, check=False)
    assert done.returncode == 1 and "left: not signed" in done.stderr, done.stderr
