# SPDX-License-Identifier: Apache-2.0
"""Every error gameday raises on purpose, and the exit code that goes with it.

GamedayError
├── InvalidInput          exit 2  the user can fix it: experiment, inventory, arguments
│   └── Refused           exit 2  the input is well formed, but running it would be unsafe
├── CannotRun             exit 3  the estate did not let us: nothing was armed
│   ├── Unreachable       exit 3  a node could not be reached, or its key was refused
│   └── SteadyStateFailed exit 3  the estate was not healthy before the fault
├── EvidenceError         exit 3  a record cannot be read or judged
│   └── NotVerified       exit 1  a report was read, and it is not what was signed
├── NodeError             exit 3  the agent on a node answered with an error
│   ├── Untouched         exit 3  an attempt failed before it had changed anything
│   └── ApiFailed         exit 3  a Kubernetes API server refused, or gave no answer
├── RequirementFailed     exit 3  gameday broke one of its own rules: a bug
└── NotProvenClean        exit 4  a fault may still be there; wins over every other

Exit codes by meaning: 0 objectives met, 1 objectives not met (or a report that does
not verify), 2 usage or invalid input, 3 unknown, invalid run or could not run,
4 not proven clean. ``gameday schedule run`` has one more: 5, nothing was to be done now
(a freeze, or it is not the drill's time); no error, and not to be taken for a drill.

This module travels to nodes: standard library only, Python 3.9 syntax.
"""

from __future__ import annotations

from typing import Sequence

EXIT_MET = 0
EXIT_NOT_MET = 1
EXIT_INVALID_INPUT = 2
EXIT_UNKNOWN = 3
EXIT_NOT_CLEAN = 4
EXIT_SKIPPED = 5


class GamedayError(Exception):
    """Base of all errors that gameday raises on purpose.

    Attributes:
        exit_code: what the command line exits with when this reaches it.
        hint: one sentence that says what to do about it; may be empty.
    """

    exit_code: int = EXIT_UNKNOWN

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint


class InvalidInput(GamedayError, ValueError):
    """The experiment, the inventory or an argument is wrong.

    Attributes:
        problems: every mistake found, each complete in itself (file, line, column,
            field path, what is wrong, nearest valid name).
    """

    exit_code = EXIT_INVALID_INPUT

    def __init__(self, message: str, hint: str = "", problems: Sequence[str] = ()) -> None:
        super().__init__(message, hint)
        self.problems = tuple(problems)


class Refused(InvalidInput):
    """Well formed, but running it would be unsafe; nothing was armed."""


class CannotRun(GamedayError):
    """The estate did not let the run start; nothing was armed."""

    def __init__(self, message: str, hint: str = "", problems: Sequence[str] = ()) -> None:
        super().__init__(message, hint)
        self.problems = tuple(problems)


class Unreachable(CannotRun, ConnectionError):
    """A node could not be reached, its host key differs, or it refused our key."""


class SteadyStateFailed(CannotRun):
    """The estate was not healthy before the fault."""


class EvidenceError(GamedayError):
    """A record or a report cannot be read or judged."""


class NotVerified(EvidenceError):
    """A report is not what was signed, or nobody trusted signed it."""

    exit_code = EXIT_NOT_MET

    def __init__(self, message: str, hint: str = "", problems: Sequence[str] = ()) -> None:
        super().__init__(message, hint)
        self.problems = tuple(problems)


class NodeError(GamedayError):
    """The agent on a node answered with an error."""


class Untouched(NodeError):
    """An attempt to begin or to end an effect failed, and certainly changed nothing."""


class ApiFailed(NodeError):
    """A Kubernetes API server did not do what it was asked, or could not be asked.

    Attributes:
        status: HTTP's; 0 where no answer came.
        reason: one of refused, timeout, tls, unauthorized, forbidden, not-found, conflict, gone,
            server, no-library, config.
        detail: what was said of it; no secrets.
    """

    def __init__(self, status: int, reason: str, detail: str) -> None:
        super().__init__(f"{reason}: {detail}" if detail else reason)
        self.status, self.reason, self.detail = status, reason, detail


class RequirementFailed(GamedayError):
    """gameday broke one of its own rules; please report it."""


class NotProvenClean(GamedayError):
    """A fault may still be in place on a node."""

    exit_code = EXIT_NOT_CLEAN

    def __init__(self, message: str, hint: str = "", problems: Sequence[str] = ()) -> None:
        super().__init__(message, hint)
        self.problems = tuple(problems)


def require(condition: object, message: str) -> None:
    """Check one of gameday's own rules; unlike ``assert`` it survives ``python -O``.

    Raises:
        RequirementFailed: where ``condition`` is false.
    """
    if not condition:
        raise RequirementFailed(message)
