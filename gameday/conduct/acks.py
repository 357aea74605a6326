# SPDX-License-Identifier: Apache-2.0
"""What people tell a run while it goes on: ``gameday ack`` leaves a file, the run writes it down.

The file says what and when (the monotonic clock of this host, which both share); who it is, the
kernel says: the file's owner. A file that was taken is removed, which is how the teller knows.
The directory is there only while the run listens.
"""

from __future__ import annotations

import contextlib
import json
import os
import pwd
import stat
import threading
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from gameday import clock
from gameday.conduct.collect import Recorder
from gameday.errors import InvalidInput, Refused
from gameday.record import kinds

DIRECTORY = "acks"
POLL_S = 0.1
TAKEN_NS = 10 * clock.NS_PER_S
"""A run that takes nothing for so long does not listen: its machine is stopped, or its disk."""

TEXT_MAX = 500
FILE_BYTES_MAX = 4096
ACKS_MAX = 200
"""More words than that in one run are a mistake of some program."""


@dataclass(frozen=True)
class Said:
    """One word of a person: ``said_ns`` is this host's monotonic clock in its boot ``boot_id``."""

    text: str
    said_by: str
    said_ns: int
    boot_id: str


class Acks:
    """Listens for one run, in a thread of its own."""

    def __init__(self, directory: Path, recorder: Recorder, note: Callable[[str], None]) -> None:
        self._place = directory / DIRECTORY
        self._recorder, self._note = recorder, note
        self._count, self._opened = 0, False
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._loop, name="acks", daemon=True)

    def open(self) -> None:
        """Listen from now on."""
        self._place.mkdir(mode=0o700, exist_ok=True)
        self._opened = True
        self._recorder.event(kinds.ACKS_OPENED)
        self._thread.start()

    def close(self) -> None:
        """Take what is there, and listen no more. Harmless where it never listened."""
        if not self._opened:
            return
        if self._thread.is_alive():
            self._stop.set()
            self._thread.join()
            self._take_all()
            # Without this event nobody claims that the run listened to its end.
            self._recorder.event(kinds.ACKS_CLOSED)
        discard(self._place.parent)

    def _loop(self) -> None:
        while not self._stop.wait(POLL_S):
            self._take_all()

    def _take_all(self) -> None:
        for path in sorted(self._place.glob("*.json")):
            try:
                user, said = read(path)
            except (OSError, ValueError, TypeError) as error:
                self._note(f"{path.name} in {DIRECTORY} is not of gameday ack: {error}")
            else:
                self._take(user, said)
            with contextlib.suppress(FileNotFoundError):
                path.unlink()

    def _take(self, user: str, said: Said) -> None:
        self._count += 1
        if self._count > ACKS_MAX:
            return
        now = clock.mono_ns()
        here = said.boot_id == clock.boot_id() and 0 <= said.said_ns <= now
        self._recorder.event(
            kinds.HUMAN_ACK, user=user, said_by=said.said_by, text=said.text,
            said_ns=said.said_ns if here else now,
        )  # fmt: skip
        self._note(f"{said.said_by or user} says: {said.text}")


def read(path: Path) -> tuple[str, Said]:
    """Whose file it is, and what it says.

    Raises:
        OSError: where it cannot be read, or is a link.
        ValueError, TypeError: where it is not one of ours.
    """
    number = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    with open(number, "rb") as file:
        about = os.fstat(number)
        if not stat.S_ISREG(about.st_mode) or about.st_size > FILE_BYTES_MAX:
            raise ValueError("no small regular file")
        data: dict[str, Any] = json.loads(file.read(FILE_BYTES_MAX))
    said = Said(**data)
    if not (
        isinstance(said.text, str) and isinstance(said.said_by, str)
        and type(said.said_ns) is int and isinstance(said.boot_id, str)
    ):  # fmt: skip
        raise ValueError("its fields are not as they should be")
    return login(about.st_uid), Said(
        plain(said.text), plain(said.said_by), said.said_ns, said.boot_id
    )


def login(uid: int) -> str:
    """A user's login, or its number where it has none."""
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return f"uid {uid}"


def plain(text: str) -> str:
    """Text on one line, without control characters, cut to what a report shows."""
    return "".join(c if c.isprintable() else " " for c in text).strip()[:TEXT_MAX]


def tell(directory: Path, text: str, said_by: str) -> None:
    """Tell a run, and wait until it has written that down.

    Raises:
        InvalidInput: where there is nothing to say.
        Refused: where the run does not listen, or did not take it.
    """
    said = Said(plain(text), plain(said_by), clock.mono_ns(), clock.boot_id())
    if not said.text:
        raise InvalidInput("there is nothing to tell", 'gameday ack "what you see"')
    place = directory / DIRECTORY
    name = f"{said.said_ns:020d}-{os.urandom(4).hex()}"
    part, whole = place / f"{name}.part", place / f"{name}.json"
    try:
        part.write_text(json.dumps(asdict(said)), encoding="utf-8")
        part.rename(whole)
    except FileNotFoundError as error:
        raise Refused(f"{directory.name} does not listen", "gameday status lists runs") from error
    except OSError as error:
        raise Refused(f"{place}: {error.strerror}", "only who runs it, or root, can tell it") from (
            error
        )
    end = clock.mono_ns() + TAKEN_NS
    while whole.exists():
        if clock.mono_ns() > end:
            whole.unlink(missing_ok=True)
            raise Refused(f"{directory.name} did not take it in {TAKEN_NS // clock.NS_PER_S} s")
        clock.sleep_until_mono(clock.mono_ns() + clock.NS_PER_S // 20)


def discard(directory: Path) -> None:
    """Remove the place for what people tell, with what nobody took."""
    place = directory / DIRECTORY
    if place.is_symlink() or not place.is_dir():
        return
    for left in place.iterdir():
        left.unlink(missing_ok=True)
    place.rmdir()
