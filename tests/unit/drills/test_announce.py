# SPDX-License-Identifier: Apache-2.0
"""Announcements to a real server: what is sent, what is never seen, and who waits for whom."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from gameday.cli import begin
from gameday.drills import announce, told
from gameday.drills.announce import Announcer, CannotTell
from gameday.errors import CannotRun, NotProvenClean
from gameday.experiment import load_experiment
from gameday.plan import load_inventory, make_plan
from gameday.plan.policy import Announcement
from gameday.report.keygen import generate
from gameday.report.sign import load_signing_key
from tests.unit.drills.hooks import SECRET, Hooks
from tests.unit.synthetic import write_run

ROOT = Path(__file__).resolve().parents[3]
BODY = {"schema": told.SCHEMA, "event": "begins", "at": "2026-01-01T00:00:00+00:00", "drill": "q3",
        "experiment": {"name": "x", "title": "A <!channel> & more"}, "controller": "u@h",
        "gameday": "0", "operator": "o", "nodes": ["n1"], "planned_end": "later"}  # fmt: skip


@pytest.fixture
def hooks(monkeypatch: pytest.MonkeyPatch) -> Iterator[Hooks]:
    """A server, and its URL in the environment."""
    one = Hooks()
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOOK", one.url)
    yield one
    one.close()


def hook(**changed: Any) -> Announcement:
    """To the server of ``hooks``."""
    return replace(Announcement("ops", "json", "HOOK", "", "", False, 60), **changed)


def test_json_and_slack(hooks: Hooks, tmp_path: Path) -> None:
    """The same words to both; nobody is mentioned by what an experiment's title says."""
    file = tmp_path / "hook.url"
    file.write_text(hooks.url + "\n", encoding="utf-8")
    file.chmod(0o600)
    announce.post(hook(), BODY)
    announce.post(hook(format="slack", url_env="", url_file=str(file)), BODY)
    assert hooks.told[0] == BODY
    assert set(hooks.told[1]) == {"text"}
    text = hooks.told[1]["text"]
    assert text.startswith("*gameday: q3 begins*") and "A &lt;!channel&gt; &amp; more" in text


@pytest.mark.parametrize("status", [302, 404, 500])
def test_what_is_not_taken(hooks: Hooks, status: int) -> None:
    """Redirects are not followed: the text is posted once, and to nobody else."""
    hooks.status = status
    with pytest.raises(CannotTell, match=f"HTTP status {status}"):
        announce.post(hook(), BODY)
    assert len(hooks.told) == 1


@pytest.mark.parametrize(
    "url",
    [f"http://127.0.0.1:1/{SECRET}", f"http://127.0.0.1:x{SECRET}/", f"ftp://h/{SECRET}",
     f"http://198.51.100.1/{SECRET}", f"https://[{SECRET}/", f"https://127.0.0.1:1/{SECRET}\x01",
     f"https://127.0.0.1:1/{SECRET} x", f"https://a..b/{SECRET}ü", SECRET, ""],
)  # fmt: skip
def test_the_url_is_in_no_message(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever is wrong with it: the HTTP library's own words would repeat some of these."""
    monkeypatch.setenv("HOOK", url)
    said: list[str] = []
    one = Announcer([hook(required=True)], said.append)
    with pytest.raises(CannotRun) as caught:
        one.begins(BODY)
    everything = f"{said}{caught.value.message}{caught.value.hint}{caught.value.problems}"
    assert "SECRET" not in everything and "secret" not in everything
    assert "ops: " in caught.value.problems[0]
    assert not [x for x in announce.missing([hook()]) if "secret" in x.lower()]


def test_a_file_that_others_may_read(tmp_path: Path) -> None:
    file = tmp_path / "hook.url"
    file.write_text(f"https://hooks.test/{SECRET}", encoding="utf-8")
    file.chmod(0o644)
    (said,) = announce.missing([hook(url_env="", url_file=str(file))])
    assert "chmod 600" in said and SECRET not in said
    (said,) = announce.missing([hook(url_env="", url_file=str(tmp_path / "none"))])
    assert "No such file" in said


def test_a_server_that_never_answers_is_not_waited_for(hooks: Hooks) -> None:
    """Required: refused in time. Not required: said, and the drill goes on. Another hears it."""
    hooks.status = None
    said: list[str] = []
    slow = hook(timeout_s=1)
    Announcer([slow], said.append).begins(BODY)
    assert said == ["not announced: ops: no answer within 1 s"] or "no answer in time" in said[0]
    with pytest.raises(CannotRun, match="nothing was begun"):
        Announcer([replace(slow, required=True)], said.append).begins(BODY)


def test_a_required_announcement_that_fails_is_told_to_the_others(
    hooks: Hooks, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BROKEN", "http://127.0.0.1:1/x")
    both = [hook(), hook(name="pager", url_env="BROKEN", required=True)]
    with pytest.raises(CannotRun) as caught:
        Announcer(both, lambda text: None).begins(BODY)
    assert len(caught.value.problems) == 1 and "pager" in caught.value.problems[0]
    assert [one["event"] for one in hooks.told] == ["begins", "refused"]


def test_a_run_is_announced_before_and_after(hooks: Hooks, tmp_path: Path) -> None:
    """Whatever comes of it; what was measured is in the result."""
    from gameday.report.finish import finish_run

    made = generate("ann@ops", path=tmp_path / "key" / "key")
    key = load_signing_key(made.private)
    write_run(tmp_path / "run")
    finish_run(tmp_path / "run", key)
    plan = make_plan(load_experiment(ROOT / "experiments" / "wan-partition-frankfurt.yaml"),
                     load_inventory(ROOT / "inventory" / "lab.yaml"))  # fmt: skip
    tell = Announcer([hook()], lambda text: None)
    with begin.announced(tell, plan, key.principal, "q3") as result:
        assert [one["event"] for one in hooks.told] == ["begins"]
        assert hooks.told[0]["nodes"] and hooks.told[0]["operator"] == "ann@ops"
        result.run = tmp_path / "run"
    assert hooks.told[1]["event"] in ("ended", "not-clean") and hooks.told[1]["run"] == "run"
    assert hooks.told[1]["objectives"][0]["measured"]
    assert "\n• " in told.slack_text(hooks.told[1])
    for error, event in ((CannotRun("busy"), "refused"), (NotProvenClean("left"), "not-clean"),
                         (RuntimeError("x"), "failed")):  # fmt: skip
        with pytest.raises(type(error)), begin.announced(tell, plan, key.principal):
            raise error
        assert hooks.told[-1]["event"] == event
    with pytest.raises(NotProvenClean), begin.result_announced(tell, tmp_path / "run"):
        raise NotProvenClean("what recover finds")
    assert hooks.told[-1]["run"] == "run" and hooks.told[-1]["verdict"]


def test_a_result_that_cannot_be_announced_changes_nothing(hooks: Hooks, tmp_path: Path) -> None:
    said: list[str] = []
    hooks.status = 500
    Announcer([hook(required=True)], said.append).ends(BODY)
    assert said == ["not announced: ops: HTTP status 500"]
