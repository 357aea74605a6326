# SPDX-License-Identifier: Apache-2.0
"""``gameday schedule``: what is written, what is refused, and what a timer's command makes of it.

Nothing here reaches a node: runs are refused before that. tests/lab and tests/uml run them.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml

from gameday import clock
from gameday.cli.main import cli
from gameday.drills import dates, schedule, units
from gameday.drills.schedule import Journal
from gameday.errors import CannotRun, GamedayError, InvalidInput, Refused
from gameday.report.keygen import generate
from tests.unit.drills import estate
from tests.unit.drills.hooks import SECRET, Hooks

ADDED = datetime(2026, 3, 1, tzinfo=UTC)
DUE = datetime(2026, 4, 1, tzinfo=UTC)

Gameday = Callable[..., int]


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A user's, on a host where nothing of systemd is touched; it is 1 March 2026."""
    for name in ("ANSIBLE_CONFIG", "ANSIBLE_VAULT_PASSWORD_FILE", "ANSIBLE_VAULT_IDENTITY_LIST",
                 "http_proxy", "HTTP_PROXY"):  # fmt: skip
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.setattr(units, "running", lambda: False)
    monkeypatch.chdir(tmp_path)
    generate("drills@controller")
    at(monkeypatch, ADDED)
    return tmp_path


@pytest.fixture
def gameday(home: Path) -> Gameday:
    """The command line, in this process; errors come through."""

    def call(*argv: object) -> int:
        return int(cli.main([str(one) for one in argv], standalone_mode=False) or 0)

    return call


def at(monkeypatch: pytest.MonkeyPatch, moment: datetime) -> None:
    """Set the clock that gameday reads."""
    monkeypatch.setattr(clock, "wall_ns", lambda: dates.ns(moment))


def add(
    gameday: Gameday, home: Path, *more: object, policy: Any = None, on: str = "quarterly"
) -> int:
    """Add the drill "rehearsal"."""
    if not (home / "rehearsal.yaml").exists():
        estate.make(home, policy)
    return gameday("schedule", "add", "rehearsal.yaml", "--on", on, "-i", "estate/inventory.yaml",
                   "--user", "--name", "q", *more)  # fmt: skip


def journal(home: Path) -> list[dict[str, Any]]:
    """What became of the drill."""
    return Journal(home / "state/gameday/schedules/q.journal").entries()


def test_units_with_full_paths(
    gameday: Gameday, home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Nothing that runs them has a home or a working directory; the zone is always written."""
    assert add(gameday, home, "--time-zone", "Europe/Berlin") == 0
    out = capsys.readouterr().out
    assert "OnCalendar=quarterly Europe/Berlin" in out and "Persistent=false" in out
    assert f"schedule run q --if-due --directory {home}/state/gameday/schedules" in out
    assert "SuccessExitStatus=5" in out and "systemd is not running here" in out
    assert "Wed 2026-04-01 00:00 +0200 Europe/Berlin" in out
    drill = schedule.load(home / "state/gameday/schedules", "q")
    for path in (
        drill.experiment,
        drill.inventory,
        drill.key,
        drill.allowed_signers,
        drill.reports,
    ):
        assert path.startswith(f"{home}/")
    assert drill.environment == {"XDG_STATE_HOME": str(home / "state")}
    with pytest.raises(InvalidInput, match="already"):
        add(gameday, home)


def test_systemd_takes_the_units(gameday: Gameday, home: Path, tmp_path: Path) -> None:
    """Also with a directory that has a blank, a percent sign and a dollar in its name."""
    import shutil

    if not shutil.which("systemd-analyze"):
        pytest.skip("verifies with systemd itself")
    add(gameday, home, "--directory", home / "a %h $b")
    drill = schedule.load(home / "a %h $b", "q")
    place = tmp_path / "units"
    place.mkdir()
    for name, text in units.texts(drill, home / "a %h $b").items():
        (place / name).write_text(text, encoding="utf-8")
    timer, service = units.names("q")
    done = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", str(place / timer), str(place / service)],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    ours = [line for line in done.stderr.splitlines() if "gameday_drill-q" in line]
    assert ours == [], done.stderr
    assert '"' + str(home / "a %%h $$b") + '"' in units.texts(drill, home / "a %h $b")[service]


def test_crontab_asks_every_quarter_of_an_hour(
    gameday: Gameday, home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert add(gameday, home, "--as", "crontab", on="Mon *-02-1..7 10:05 Asia/Kathmandu") == 0
    out = capsys.readouterr().out
    assert "\n5,20,35,50 * * * * " in out and "--if-due --quiet" in out
    assert (home / "state/gameday/schedules/q.drill.json").is_file(), "root's too, with --user"


@pytest.mark.parametrize(
    ("what", "said"),
    [("signing", "asks for a passphrase"), ("ssh", "asks for a passphrase"),
     ("pinned", "no host key of"), ("hook", "holds no URL"), ("calendar", "not understood")],
)  # fmt: skip
def test_what_a_run_would_ask_for_is_refused_now(
    gameday: Gameday, home: Path, what: str, said: str
) -> None:
    """And nothing is written."""
    policy = {"announcements": [{"name": "ops", "url_env": "NO_SUCH_HOOK"}]}
    estate.make(home, policy if what == "hook" else None)
    more: list[object] = []
    if what == "signing":
        generate("drills@controller", b"secret", home / "locked" / "key")
        more = ["--key", "locked/key"]
    if what == "ssh":
        estate.key(home / "estate/keys/id_ed25519", "secret")
    if what == "pinned":
        (home / "estate/known_hosts").write_text("", encoding="ascii")
    with pytest.raises(InvalidInput) as caught:
        add(gameday, home, *more, on="fortnightly" if what == "calendar" else "quarterly")
    assert said in "\n".join([caught.value.message, *caught.value.problems])
    assert not (home / "state/gameday/schedules").exists()


def test_nodes_that_the_plan_does_not_reach_are_not_asked_for(gameday: Gameday, home: Path) -> None:
    """The rehearsal reaches no router."""
    estate.make(home)
    path = home / "estate/known_hosts"
    lines = path.read_text(encoding="ascii").splitlines(keepends=True)
    kept = [line for line in lines if not line.startswith("198.19.0.110 ")]
    assert len(kept) == len(lines) - 1
    path.write_text("".join(kept), encoding="ascii")
    assert add(gameday, home) == 0


def test_a_timer_runs_a_date_once_and_in_time(
    gameday: Gameday, home: Path, capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    """Early: nothing. In time: begun, once. Late, as after a sleep of the machine: told."""
    add(gameday, home)
    run = ("schedule", "run", "q", "--user", "--if-due")
    at(monkeypatch, DUE - timedelta(seconds=1))
    assert gameday(*run) == 5 and gameday(*run, "--quiet") == 0
    assert "is not due; its next date is Wed 2026-04-01 00:00" in capsys.readouterr().out
    at(monkeypatch, DUE + timedelta(seconds=601))
    with pytest.raises(CannotRun, match="not begun so late") as late:
        gameday(*run)
    assert late.value.exit_code == 3 and "schedule run q" in late.value.hint
    assert gameday(*run, "--quiet") == 0 and journal(home) == []
    # The nodes are not there: what is shown here is that it was begun.
    at(monkeypatch, DUE + timedelta(seconds=599))
    _unreachable(home)
    with pytest.raises(GamedayError):
        gameday(*run)
    assert [one["what"] for one in journal(home)] == ["began", "ended"]
    assert journal(home)[1]["exit_code"] == 2
    assert gameday(*run) == 5
    assert "was begun for" in capsys.readouterr().out


def test_a_freeze_is_skipped_with_the_next_date(
    gameday: Gameday, home: Path, capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    """Exit code 5; no debt comes of it, and calendars see it cancelled."""
    frozen = {"begins": "2026-03-31", "ends": "2026-04-02", "why": "end; of, year"}
    hooks = Hooks()
    monkeypatch.setenv("HOOK", hooks.url)
    add(gameday, home, policy={"freezes": [frozen], "announcements": [
        {"name": "ops", "format": "slack", "url_env": "HOOK", "timeout_s": 60}]})  # fmt: skip
    assert "skipped: end; of, year" in capsys.readouterr().out
    at(monkeypatch, DUE)
    assert gameday("schedule", "run", "q", "--user", "--if-due") == 5
    said = capsys.readouterr()
    assert "q is skipped: nothing is broken from 2026-03-31" in said.out
    assert "Its next date is Wed 2026-07-01" in said.out
    assert "q is skipped" in hooks.told[0]["text"] and SECRET not in said.out + said.err
    at(monkeypatch, DUE + timedelta(days=3))
    assert gameday("schedule", "list", "--user") == 0
    hooks.close()


def test_a_timer_that_fires_while_a_drill_runs(
    gameday: Gameday, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Exit code 3, who is first is named, the others are told, and no run is made."""
    hooks = Hooks()
    monkeypatch.setenv("HOOK", hooks.url)
    add(gameday, home, policy={"announcements": [{"name": "ops", "url_env": "HOOK",
                                                  "timeout_s": 60}]})  # fmt: skip
    holds = ("import sys\nfrom gameday.drills import lock\n"
             "with lock.hold(['198.19.0.11'], 'run of x.yaml'):\n"
             "    sys.stdout.write('held\\n'); sys.stdout.flush(); sys.stdin.read()\n")  # fmt: skip
    with subprocess.Popen([sys.executable, "-c", holds], stdin=subprocess.PIPE,
                          stdout=subprocess.PIPE) as first:  # fmt: skip
        assert first.stdout is not None and first.stdout.readline() == b"held\n"
        at(monkeypatch, DUE)
        with pytest.raises(CannotRun, match=r"is in use: run of x.yaml.*Nothing was begun") as busy:
            gameday("schedule", "run", "q", "--user", "--if-due")
        first.kill()
    assert busy.value.exit_code == 3 and not (home / "reports").exists()
    assert [one["event"] for one in hooks.told] == ["refused"]
    hooks.close()
    at(monkeypatch, DUE + timedelta(hours=2))
    assert gameday("schedule", "list", "--user") == 1


def test_a_required_announcement_stops_a_scheduled_drill(
    gameday: Gameday, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Before anything is armed; the journal has why, without the URL."""
    hooks = Hooks()
    secret = home / "hook.env"
    secret.write_text(f"# ours\nHOOK='{hooks.url}'\n", encoding="utf-8")
    secret.chmod(0o600)
    add(gameday, home, "--environment-file", secret, policy={"announcements": [
        {"name": "ops", "url_env": "HOOK", "required": True, "timeout_s": 60}]})  # fmt: skip
    monkeypatch.setenv("HOOK", "")
    hooks.status = 403
    at(monkeypatch, DUE)
    with pytest.raises(CannotRun, match="nothing was begun"):
        gameday("schedule", "run", "q", "--user")
    assert hooks.told[0]["event"] == "begins" and hooks.told[0]["drill"] == "q"
    assert "HTTP status 403" in journal(home)[-1]["why"] and SECRET not in str(journal(home))
    drill = (home / "state/gameday/schedules/q.drill.json").read_text(encoding="utf-8")
    assert SECRET not in drill and not (home / "reports").exists()
    hooks.close()


def test_approvals_of_a_scheduled_drill(
    gameday: Gameday, home: Path, capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    """The command that add prints makes them; a changed experiment makes them stale."""
    for name in ("ann", "bob"):
        made = generate(f"{name}@ops", path=home / name / "key")
        with open(home / "config/gameday/allowed_signers", "a", encoding="utf-8") as file:
            file.write(made.allowed_signers.read_text(encoding="utf-8"))
    add(gameday, home, policy={"approvals": 2, "approval_days": 40})
    out = capsys.readouterr().out
    (line,) = [one for one in out.splitlines() if "gameday approve" in one]
    with pytest.raises(Refused) as caught:
        gameday("schedule", "check", "q", "--user")
    assert "0 of 2 approvals for rehearsal" in caught.value.problems
    for name in ("ann", "bob"):
        assert gameday(*line.split()[1:], "--yes", "--key", home / name / "key") == 0
    assert gameday("schedule", "check", "q", "--user") == 0
    assert "Wed 2026-04-01 00:00 +0000 UTC; approved by" in capsys.readouterr().out
    with open(home / "rehearsal.yaml", "a", encoding="utf-8") as file:
        file.write("# changed\n")
    at(monkeypatch, DUE)
    with pytest.raises(Refused) as stale:
        gameday("schedule", "run", "q", "--user", "--if-due")
    assert any("about another plan: the experiment has changed" in x for x in stale.value.problems)
    assert journal(home)[-1]["exit_code"] == 2 and "another plan" in journal(home)[-1]["why"]


def test_overdue_is_an_exit_code_and_a_metric(
    gameday: Gameday, home: Path, capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    """Until a drill is carried out for the date, also by hand; an unknown one does not count."""
    add(gameday, home)
    place = home / "state/gameday/schedules"
    kept = Journal(place / "q.journal")
    assert gameday("schedule", "list", "--user") == 0
    at(monkeypatch, DUE + timedelta(minutes=5))
    assert gameday("schedule", "list", "--user") == 0, "it may be going on"
    at(monkeypatch, DUE + timedelta(hours=1))
    capsys.readouterr()
    assert gameday("schedule", "list", "--user") == 1
    assert "OVERDUE since Wed 2026-04-01 00:00 +0000 UTC" in capsys.readouterr().out
    assert _metrics(gameday, capsys)["gameday_drill_overdue"] == 1
    for code, listed in ((3, 1), (0, 0)):
        kept.claim(dates.ns(DUE), again=True)
        kept.note(dates.ns(DUE), "ended", exit_code=code, why="")
        assert gameday("schedule", "list", "--user") == listed
    found = _metrics(gameday, capsys)
    assert found["gameday_drill_overdue"] == 0
    assert (
        found["gameday_drill_next_timestamp_seconds"]
        == datetime(2026, 7, 1, tzinfo=UTC).timestamp()
    )
    assert found["gameday_drill_last_done_timestamp_seconds"] > DUE.timestamp()
    at(monkeypatch, datetime(2026, 7, 1, 12, tzinfo=UTC))
    assert gameday("schedule", "list", "--user") == 1, "the next date is a debt of its own"
    (place / "bad.drill.json").write_text("{}", encoding="utf-8")
    assert gameday("schedule", "list", "--user") == 2
    assert _metrics(gameday, capsys)["gameday_drill_files_unreadable"] == 1


def test_icalendar(gameday: Gameday, home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A library reads the same dates, freezes as cancelled, and no line is too long."""
    import icalendar

    frozen = {"begins": "2026-06-30", "ends": "2026-07-02", "why": "half, year; 100 % \\ ü" * 9}
    add(gameday, home, "--time-zone", "America/New_York", policy={"freezes": [frozen]},
        on="*-01,04,07,10-01 02:30")  # fmt: skip
    capsys.readouterr()
    assert gameday("schedule", "list", "--user", "--ical", "--dates", 4) == 0
    text = capsys.readouterr().out
    assert text.endswith("\r\n") and max(len(x.encode()) for x in text.split("\r\n")) <= 75
    events = icalendar.Calendar.from_ical(text).walk("VEVENT")
    starts = [one.decoded("DTSTART") for one in events]
    assert [f"{one:%m-%d %H:%M}" for one in starts] == [
        "04-01 06:30", "07-01 06:30", "10-01 06:30", "01-01 07:30"]  # fmt: skip
    assert [str(one["STATUS"]) for one in events] == ["CONFIRMED", "CANCELLED"] + ["CONFIRMED"] * 2
    assert frozen["why"] in str(events[1]["DESCRIPTION"]) and len({x["UID"] for x in events}) == 4
    assert all(one.decoded("DTEND") > one.decoded("DTSTART") for one in events)


def test_remove(gameday: Gameday, home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    add(gameday, home)
    assert gameday("schedule", "remove", "q", "--user") == 0
    assert gameday("schedule", "list", "--user") == 0
    with pytest.raises(InvalidInput, match="no drill named 'q'"):
        gameday("schedule", "run", "q", "--user")


def _unreachable(home: Path) -> None:
    """An inventory that cannot be read any more."""
    path = home / "estate/inventory.yaml"
    data = yaml.safe_load(path.read_text(encoding="utf-8"))
    del data["all"]["vars"]["gameday_management"]
    path.write_text(yaml.safe_dump(data), encoding="utf-8")


def _metrics(gameday: Gameday, capsys: pytest.CaptureFixture[str]) -> dict[str, float]:
    """By name, as Prometheus' own library reads them."""
    from prometheus_client.openmetrics.parser import text_string_to_metric_families

    capsys.readouterr()
    assert gameday("schedule", "list", "--user", "--metrics") == 0
    text = capsys.readouterr().out
    found = {}
    for family in text_string_to_metric_families(text):
        assert family.type == "gauge"
        for sample in family.samples:
            assert sample.labels in ({"drill": "q"}, {})
            found[sample.name] = sample.value
    return found


@pytest.fixture(autouse=True)
def _environment(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A run sets variables for its own process; this one goes on."""
    import os

    before = dict(os.environ)
    yield
    for name in set(os.environ) - set(before):
        monkeypatch.delenv(name, raising=False)


def test_json(gameday: Gameday, home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    add(gameday, home)
    capsys.readouterr()
    assert gameday("schedule", "list", "--user", "--json", "--dates", 1) == 0
    (one,) = json.loads(capsys.readouterr().out)
    assert one["next"] == [{"at": "2026-04-01T00:00:00+00:00", "frozen": ""}]
    assert one["overdue_since"] is None and one["last"] is None
