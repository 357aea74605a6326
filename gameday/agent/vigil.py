# SPDX-License-Identifier: Apache-2.0
"""What guards do while nothing happens: wait, look for each other, start each other again.

Keeper and reaper stay on a node through a whole fault, so while they wait they have only this
and nothing heavier in memory; the rest is imported ``PREPARE_NS`` before it is needed.
"""

from __future__ import annotations

import os
import sys
import time

from gameday.ticks import NS_PER_S, mono_ns

TYPE_CHECKING = False
if TYPE_CHECKING:
    # The typing module itself would cost 0.6 MB.
    from typing import List, NoReturn, Optional, Sequence, Tuple

NODE_HOME = "/var/lib/gameday"


def home_of(program: str) -> str:
    """Directory with the ledger that a program works on: beside the place it was unpacked to."""
    above = os.path.dirname(os.path.abspath(program))
    return os.path.dirname(above) if os.path.basename(above) == "agent" else NODE_HOME


HOME = home_of(sys.argv[0])
LOCAL = HOME != NODE_HOME
"""Whether this is the agent that the controller runs on its own host, as its user."""

ENTRIES = HOME + "/ledger"

PYTHON_FLAGS = ("-I", "-S")
"""Neither the node's environment nor its site-packages shall change what runs; also less memory."""

PREPARE_NS = 3 * NS_PER_S
"""Before something is due: importing what does it takes 0.2 s, and on a node that is starved of
processor, as one under a fault can be, more than ten times that."""

LAST_GRACE_NS = 600_000_000
"""After the end of a lease: keeper and reaper have had their turns by then."""

LOOK_NS = NS_PER_S
STARTING_LOOKS, STARTING_S = 10, 0.002

NEVER_OURS = 0x4 | 0x200000
"""``PF_EXITING`` and ``PF_KTHREAD`` of a process's flags (proc(5), the kernel's sched.h): neither
what is just ending nor a thread of the kernel will have arguments any more."""

OTHER = {"keep": "reap", "reap": "keep", "last": ""}

OOM_SCORE_ADJ = "-900"
"""The kernel kills others first when memory runs out: without these nothing is undone."""


NICE = -10
"""Ten steps of niceness are about nine times the usual share."""


class Watch:
    """One lease as its guards need to know it; travels from guard to guard as arguments.

    Attributes:
        lease: its id. fire_ns, expire_ns: its window by the monotonic clock.
        kept: "kernel" or "process", as ``Fault.kept_by``.
        driven: whether it has a keeper beside its reaper.
        entries: directory of the ledger's entries.
    """

    def __init__(  # noqa: PLR0917 - a dataclass would cost 2 MB
        self, lease: str, fire_ns: int, expire_ns: int, kept: str, driven: bool,
        entries: str = ENTRIES,
    ) -> None:  # fmt: skip
        self.lease, self.fire_ns, self.expire_ns = lease, fire_ns, expire_ns
        self.kept, self.driven, self.entries = kept, driven, entries
        # The other guard may have been started a moment ago, and not be remembered yet.
        self._looked_ns = mono_ns()

    @classmethod
    def parse(cls, words: Sequence[str]) -> Watch:
        """The inverse of ``words``.

        Raises:
            ValueError: where they are not five words that make sense.
        """
        lease, fire, expire, kept, driven = words
        if len(lease) != 8 or set(lease) - set("0123456789abcdef"):
            raise ValueError("not a lease's id: %r" % lease)
        return cls(lease, int(fire), int(expire), kept, driven == "driven")

    def words(self) -> List[str]:
        """As arguments of ``keep``, ``reap`` and ``last``."""
        driven = "driven" if self.driven else "still"
        return [self.lease, str(self.fire_ns), str(self.expire_ns), self.kept, driven]

    def is_open(self) -> bool:
        """Whether the ledger has the lease as open."""
        return os.path.exists("%s/%s.json" % (self.entries, self.lease))

    def start(self, role: str) -> None:
        """Start the keeper ("keep") or the reaper ("reap"), and remember its process."""
        remember(self.entries, self.lease, role, start_detached(role, *self.words()))

    def wait(self, until_ns: int, role: str) -> bool:
        """Sleep until a moment while the lease is open; starts the other guard if it died.

        Args:
            until_ns: monotonic. role: which guard this process is.

        Returns:
            Whether the lease is still open.
        """
        other = OTHER[role] if self.driven else ""
        if not self.is_open():
            return False
        while True:
            now = mono_ns()
            if now - self._looked_ns >= LOOK_NS:
                self._looked_ns = now
                if not self.is_open():
                    return False
                if other and not lives(self.entries, self.lease, other):
                    self.start(other)
            if now >= until_ns:
                return True
            time.sleep(min(LOOK_NS, until_ns - now) / NS_PER_S)


def protect() -> None:
    """Ask the kernel not to choose this process when memory runs out."""
    try:
        with open("/proc/self/oom_score_adj", "w", encoding="ascii") as file:
            file.write(OOM_SCORE_ADJ)
    except OSError:
        # Without CAP_SYS_RESOURCE it stays as killable as everybody else.
        return


def prefer() -> None:
    """Ask the kernel for a larger share of the processor than others have.

    For probe loops: they keep their schedule on a node that is starved, and since it is a share,
    they cannot starve what they look at.
    """
    try:
        os.setpriority(os.PRIO_PROCESS, 0, NICE)
        # A session is scheduled as one; within it, being nice to others means nothing to them.
        with open("/proc/self/autogroup", "w", encoding="ascii") as file:
            file.write(str(NICE))
    except OSError:
        # Without CAP_SYS_NICE, or on a kernel without autogroups.
        return


def program() -> List[str]:
    """The argv that runs this agent again, without its arguments."""
    return [sys.executable, *PYTHON_FLAGS, sys.argv[0]]


def start_detached(*arguments: str) -> int:
    """Start this program again as a session of its own; returns its process id."""
    return detach([*program(), *arguments])


def detach(argv: Sequence[str]) -> int:
    """Start a program as a session of its own, without input and output; returns its id."""
    null = [(os.POSIX_SPAWN_OPEN, number, os.devnull, os.O_RDWR, 0o600) for number in (0, 1, 2)]
    return os.posix_spawn(argv[0], list(argv), os.environ, file_actions=null, setsid=True)


def go_on_as(*arguments: str) -> NoReturn:
    """Become this program with other arguments; nothing that was imported stays in memory."""
    # No shell is wanted: this process goes on as itself.
    os.execv(sys.executable, [*program(), *arguments])  # noqa: S606


def remember(entries: str, lease: str, role: str, pid: int) -> None:
    """Keep the process id of a guard; a lost one only means that it is started again."""
    with open("%s/%s.%s.pid" % (entries, lease, role), "w", encoding="ascii") as file:
        file.write(str(pid))


def process(entries: str, lease: str, role: str) -> Optional[int]:
    """The process id kept for a guard; ``None`` where there is none."""
    try:
        with open("%s/%s.%s.pid" % (entries, lease, role), encoding="ascii") as file:
            return int(file.read())
    except (OSError, ValueError):
        return None


def lives(entries: str, lease: str, role: str) -> bool:
    """Whether one guard of a lease is a living process of ours, or one that is being started."""
    pid = process(entries, lease, role)
    return pid is not None and may_be_ours(pid, lease)


def may_be_ours(pid: int, word: str) -> bool:
    """Whether a process lives and has ``word`` among its arguments, or has none as yet.

    A program that is being started has no arguments: on a machine with more to do than cores it
    has been seen so for 0.17 s. Who takes it for dead starts a second guard, or calls a run off.
    Nobody waits for it here: guards have their own moments to keep.
    """
    try:
        state, flags, command = look_at(pid)
    except OSError:
        return False
    if not command:
        return state != "Z" and not flags & NEVER_OURS
    return word.encode() in command


def is_ours(pid: int, word: str) -> bool:
    """Whether a process certainly lives and has ``word`` among its arguments, so that it may be
    killed; a zombie has none."""
    for _ in range(STARTING_LOOKS):
        try:
            state, flags, command = look_at(pid)
        except OSError:
            return False
        if command:
            return word.encode() in command
        if state == "Z" or flags & NEVER_OURS:
            return False
        time.sleep(STARTING_S)
    return False


def look_at(pid: int) -> Tuple[str, int, bytes]:
    """State, flags and arguments of a process, as proc(5) has them.

    Raises:
        OSError: where there is none.
    """
    with open("/proc/%d/stat" % pid, encoding="utf-8", errors="replace") as file:
        fields = file.read().rsplit(")", 1)[1].split()
    with open("/proc/%d/cmdline" % pid, "rb") as file:
        return fields[0], int(fields[6]), file.read()
