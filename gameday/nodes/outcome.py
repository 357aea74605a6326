# SPDX-License-Identifier: Apache-2.0
"""What a playbook did to each node, from the events of ansible-runner. Pure.

A node is done only where the play's last task said so: whoever stops a playbook half way, or loses
it, finds the remaining nodes as not finished.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from threading import Event
from typing import Any

DONE = frozenset({"The node is prepared", "The node is clean"})
"""Names of the last tasks of the playbooks."""

SAID_MAX = 600

HINTS = (
    (r"this needs root", "name an administrator who may use sudo with --as"),
    (r"[Mm]issing sudo password|password is required|Incorrect sudo password",
     "give the administrator's sudo password with --ask-sudo-password"),
    (r"not in the sudoers|may not run sudo|not allowed to execute",
     "name an administrator who may use sudo with --as"),
    (r"Host key verification failed|REMOTE HOST IDENTIFICATION",
     "pin the node's host key in the inventory's gameday_known_hosts"),
    (r"Permission denied \(", "is the administrator's public key in authorized_keys there?"),
    (r"UNKNOWN port", "is the jump host up, and its host key pinned in gameday_known_hosts?"),
    (r"timed out|No route to host|Connection refused|Could not resolve|closed by",
     "is the node up, and ansible_host right?"),
    (r"interpreter|python\S*: not found|No such file or directory.*python",
     "install Python 3.9 or newer there, or set ansible_python_interpreter"),
    (r"No package matching|Unable to locate package|Failed to download|Failed to fetch",
     "can the node reach its package mirror? packages can be installed by other means too"),
    (r"currently used by process", "end what that user runs there, then clean again"),
    (r"No space left", "make room on the node"),
)  # fmt: skip
"""What Ansible says to what helps; the first that fits."""


@dataclass
class Outcome:
    """One node.

    Attributes:
        changed: tasks that changed something, or would have.
        failed: (task, what it said) of the first failure.
        lost: the connection failed; what was under way is unknown.
        done: the play came to its end here.
        after: what the play says became of a node that failed ("undone again").
    """

    node: str
    changed: list[str] = field(default_factory=list)
    failed: tuple[str, str] | None = None
    lost: bool = False
    done: bool = False
    after: str = ""

    @property
    def ok(self) -> bool:
        """Whether everything was done here."""
        return self.done and self.failed is None and not self.lost

    def problem(self) -> str:
        """What went wrong and what to do, as one sentence; "" where nothing did."""
        if self.ok:
            return ""
        if self.failed is None:
            return f"{self.node}: not finished: the playbook stopped before its end; run it again"
        task, said = self.failed
        hint = next((todo for pattern, todo in HINTS if re.search(pattern, said)), "")
        state = self.after or ("what was under way is unknown; run it again" if self.lost else "")
        parts = [f"{self.node}: {task}: {said}", *(one for one in (hint, state) if one)]
        return "; ".join(parts)


class Progress:
    """Gathers events into outcomes, and tells people as they come.

    Attributes:
        stop: set when what runs shall end where it is.
    """

    def __init__(
        self, nodes: Iterable[str], tell: Callable[[str], None], diff: bool, stop: Event
    ) -> None:
        self.outcomes = {name: Outcome(name) for name in nodes}
        self._tell, self._diff, self.stop = tell, diff, stop
        self.said: list[str] = []

    def event(self, event: Mapping[str, Any]) -> bool:
        """Take one event; nothing of it is kept on disk."""
        kind, data = str(event.get("event")), event.get("event_data", {})
        one = self.outcomes.get(str(data.get("host")))
        if one is None:
            if kind in ("error", "verbose") or "ERROR" in str(event.get("stdout", "")):
                self.said.append(str(event.get("stdout", "")))
            return False
        task, result = str(data.get("task")), data.get("res") or {}
        if kind == "runner_on_ok":
            self._went_well(one, task, result)
        elif kind == "runner_on_unreachable" or (
            kind == "runner_on_failed" and not data.get("ignore_errors")
        ):
            self._went_wrong(one, task, result, kind == "runner_on_unreachable")
        return False

    def _went_well(self, one: Outcome, task: str, result: Mapping[str, Any]) -> None:
        if task in DONE:
            one.done = True
            self._tell(f"{one.node}: {task.removeprefix('The node is ')}"
                       if one.ok else f"{one.node}: failed")  # fmt: skip
        elif result.get("changed") and one.failed is None:
            one.changed.append(task)
            self._tell(f"{one.node}: {task}")
            if self._diff:
                for line in diff_lines(result):
                    self._tell(f"    {line}")

    def _went_wrong(self, one: Outcome, task: str, result: Mapping[str, Any], lost: bool) -> None:
        said = reason(result)
        if task == "Not prepared":
            one.after = said
            return
        one.lost = one.lost or lost
        if one.failed is None:
            one.failed = (task, said)
            self._tell(f"{one.node}: {task}: failed")


def reason(result: Mapping[str, Any]) -> str:
    """Why a task failed, in one line: of its first failed item where it has several."""
    items: Sequence[Mapping[str, Any]] = result.get("results") or ()
    for item in items:
        if item.get("failed"):
            return reason({**item, "results": None})
    said = [str(result.get(key) or "").strip() for key in ("msg", "stderr", "module_stderr")]
    known = [one for one in said if one and one not in ("non-zero return code", "MODULE FAILURE")]
    return " ".join(": ".join(known[:2]).split())[:SAID_MAX] or "failed without a word"


def diff_lines(result: Mapping[str, Any]) -> list[str]:
    """A task's difference as Ansible tells it, for people; content as a unified diff."""
    import difflib

    found: list[str] = []
    diffs = result.get("diff") or ()
    for one in [diffs] if isinstance(diffs, Mapping) else diffs:
        if one.get("prepared"):
            found += str(one["prepared"]).splitlines()
            continue
        sides = [one.get("before", ""), one.get("after", "")]
        texts = [x if isinstance(x, str) else "".join(f"{k}: {v}\n" for k, v in x.items())
                 for x in sides if isinstance(x, (str, Mapping))]  # fmt: skip
        if len(texts) == 2 and texts[0] != texts[1]:
            names = (str(one.get("before_header", "before")), str(one.get("after_header", "after")))
            was, will = (text.splitlines() for text in texts)
            found += difflib.unified_diff(was, will, *names, lineterm="")
    return found
