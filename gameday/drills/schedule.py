# SPDX-License-Identifier: Apache-2.0
"""A drill that comes again: a file that says what is run when, and a journal of what came of it.

The file holds full paths, because what runs it later has no home directory and no working
directory of its own; it holds no secret. The journal beside it has a line when a run for a date
was begun, and one for what came of it: a date that was begun is never begun again by itself.
"""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, ValidationError, field_validator

from gameday import clock
from gameday.drills.calendar import Calendar, parse
from gameday.drills.lock import state_directory
from gameday.errors import EXIT_MET, EXIT_NOT_MET, InvalidInput
from gameday.experiment.params import Strict
from gameday.report.files import write_whole

SUFFIX = ".drill.json"
NAME_PATTERN = r"^[a-z0-9](?:[a-z0-9-]{0,38}[a-z0-9])?$"
"""Also a valid name of a systemd unit and of a CronJob."""

JOURNAL_LINES_MAX = 10_000
"""Read from the end: a drill an hour for half a year."""

Path_ = Annotated[str, Field(pattern=r"^/", max_length=4096)]


class Drill(Strict):
    """What is run, and when.

    Attributes:
        on, time_zone: calendar expression and the zone it is local to.
        kind: what calls it: a timer of the user or of the system, cron, or Kubernetes.
        journal: file of what became of it. length_s: as planned when it was added.
        environment: variables that are set for it; environment_file holds those that are secret.
    """

    schema_: Literal["gameday/drill/v1"] = Field("gameday/drill/v1", alias="schema")
    name: Annotated[str, Field(pattern=NAME_PATTERN)]
    experiment: Path_
    inventory: Path_
    on: Annotated[str, Field(min_length=1, max_length=300)]
    time_zone: Annotated[str, Field(min_length=1, max_length=100)]
    kind: Literal["user", "system", "crontab", "cronjob"]
    reports: Path_
    approvals: Path_
    allowed_signers: Path_
    key: Path_
    journal: Path_
    environment: dict[str, str] = Field(default_factory=dict)
    environment_file: str = ""
    length_s: Annotated[int, Field(ge=0)]
    added_ns: Annotated[int, Field(ge=0)]

    @field_validator("environment_file")
    @classmethod
    def _full(cls, value: str) -> str:
        if value and not value.startswith("/"):
            raise ValueError("is not a full path")
        return value

    @property
    def calendar(self) -> Calendar:
        """Its dates."""
        return parse(self.on, self.time_zone)

    def text(self) -> bytes:
        """As its file has it."""
        data = self.model_dump(by_alias=True)
        return (json.dumps(data, indent=2, sort_keys=True, ensure_ascii=False) + "\n").encode()


def default_directory(kind: str) -> Path:
    """Where drills are kept: of the system ``/var/lib/gameday-schedules``, else in our state."""
    return Path("/var/lib/gameday-schedules") if kind == "system" else user_directory()


def user_directory() -> Path:
    """``$XDG_STATE_HOME/gameday/schedules``, or below ``~/.local/state``."""
    return state_directory() / "schedules"


def add(directory: Path, drill: Drill) -> Path:
    """Write a drill's file.

    Raises:
        InvalidInput: where there is one of its name, or it cannot be written.
    """
    path = directory / f"{drill.name}{SUFFIX}"
    if path.exists():
        raise InvalidInput(f"there is a drill named {drill.name} already: {path}",
                           f"gameday schedule remove {drill.name}, or give --name")  # fmt: skip
    try:
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        write_whole(path, drill.text())
    except OSError as error:
        raise InvalidInput(f"{path}: cannot write: {error.strerror}",
                           "choose another place with --directory") from error  # fmt: skip
    return path


def load(directory: Path, name: str) -> Drill:
    """A drill by its name.

    Raises:
        InvalidInput: where there is none, or its file is not one.
    """
    path = directory / f"{name}{SUFFIX}"
    if not path.is_file():
        names = ", ".join(one.name.removesuffix(SUFFIX) for one in files(directory)) or "none"
        raise InvalidInput(f"no drill named {name!r} in {directory}; there are: {names}",
                           "gameday schedule list shows them")  # fmt: skip
    return read(path)


def read(path: Path) -> Drill:
    """A drill from its file.

    Raises:
        InvalidInput: with everything that is wrong with it.
    """
    try:
        drill = Drill.model_validate_json(path.read_bytes())
        parse(drill.on, drill.time_zone)
        return drill
    except OSError as error:
        raise InvalidInput(f"{path}: {error.strerror}") from error
    except ValidationError as error:
        wrong = [
            f"{'.'.join(str(part) for part in one['loc']) or 'the file'}: {one['msg']}"
            for one in error.errors(include_url=False)
        ]
        raise InvalidInput(f"{path} is not a drill's file", "remove it and add the drill again",
                           problems=wrong) from error  # fmt: skip


def files(directory: Path) -> list[Path]:
    """Files of drills, by name."""
    return sorted(directory.glob(f"*{SUFFIX}")) if directory.is_dir() else []


class Journal:
    """What became of a drill's dates.

    Lines are JSON: ``due_ns`` (the date, 0 where a run was asked for by hand before the first),
    ``at_ns``, ``what``: began | ended | skipped, and with the last two ``why``; ``exit_code`` with
    ended.
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    def entries(self) -> list[dict[str, Any]]:
        """All of them, oldest first; a line that a power cut left half written is passed over."""
        try:
            lines = self.path.read_bytes().splitlines()[-JOURNAL_LINES_MAX:]
        except FileNotFoundError:
            return []
        except OSError as error:
            raise InvalidInput(f"{self.path}: {error.strerror}") from error
        found = []
        for line in lines:
            try:
                entry = json.loads(line)
            except ValueError:
                continue
            if isinstance(entry, dict) and {"due_ns", "at_ns", "what"} <= set(entry):
                found.append(entry)
        return found

    def claim(self, due_ns: int, again: bool) -> bool:
        """Write down that a date's run is begun; False where it was begun before.

        Args:
            again: by hand, so that it may be begun although it was before.

        Raises:
            InvalidInput: where the journal cannot be written.
        """
        try:
            self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            with open(self.path, "ab") as file:
                # Two timers that fire at once must not both find that it was not begun.
                fcntl.flock(file, fcntl.LOCK_EX)
                if not again and any(entry["due_ns"] == due_ns for entry in self.entries()):
                    return False
                self._append(file, {"due_ns": due_ns, "what": "began"})
                return True
        except OSError as error:
            raise InvalidInput(f"{self.path}: cannot write: {error.strerror}") from error

    def note(self, due_ns: int, what: str, **more: Any) -> None:
        """Write down what came of it.

        Raises:
            InvalidInput: where the journal cannot be written.
        """
        try:
            with open(self.path, "ab") as file:
                fcntl.flock(file, fcntl.LOCK_EX)
                self._append(file, {"due_ns": due_ns, "what": what, **more})
        except OSError as error:
            raise InvalidInput(f"{self.path}: cannot write: {error.strerror}") from error

    def _append(self, file: Any, entry: Mapping[str, Any]) -> None:
        if file.tell() and not self.path.read_bytes().endswith(b"\n"):
            file.write(b"\n")
        line = json.dumps({**entry, "at_ns": clock.wall_ns()}, sort_keys=True, ensure_ascii=False)
        file.write(line.encode() + b"\n")
        file.flush()
        os.fsync(file.fileno())


def counts(entry: Mapping[str, Any]) -> bool:
    """Whether a drill was carried out: its objectives were met, or are known to be missed."""
    return entry["what"] == "ended" and entry.get("exit_code") in (EXIT_MET, EXIT_NOT_MET)
