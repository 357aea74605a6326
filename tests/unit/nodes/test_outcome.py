# SPDX-License-Identifier: Apache-2.0
"""What a playbook did, from events as ansible-runner gives them."""

from __future__ import annotations

from threading import Event
from typing import Any

from gameday.nodes.outcome import Progress, diff_lines, reason


def event(kind: str, host: str, task: str, **result: Any) -> dict[str, Any]:
    return {"event": kind, "event_data": {"host": host, "task": task, "res": result}}


def progress() -> tuple[Progress, list[str]]:
    told: list[str] = []
    return Progress(("a", "b"), told.append, False, Event()), told


def test_only_the_last_task_makes_a_node_done() -> None:
    one, told = progress()
    one.event(event("runner_on_ok", "a", "User", changed=True))
    one.event(event("runner_on_ok", "b", "User", changed=False))
    one.event(event("runner_on_ok", "a", "The node is prepared", changed=False))
    a, b = one.outcomes["a"], one.outcomes["b"]
    assert a.ok and a.changed == ["User"] and a.problem() == ""
    assert not b.ok
    assert b.problem() == "b: not finished: the playbook stopped before its end; run it again"
    assert told == ["a: User", "a: prepared"]


def test_the_first_failure_counts_and_what_became_of_the_node_is_said() -> None:
    one, told = progress()
    one.event(event("runner_on_failed", "a", "Packages", failed=True,
                    msg="No package matching 'ipset' is available"))  # fmt: skip
    one.event(event("runner_on_ok", "a", "No user", changed=True))
    one.event(event("runner_on_failed", "a", "Not prepared", failed=True, msg="undone again"))
    found = one.outcomes["a"]
    assert not found.ok
    assert found.problem() == (
        "a: Packages: No package matching 'ipset' is available; can the node reach its package "
        "mirror? packages can be installed by other means too; undone again"
    )
    assert found.changed == [], "what is undone is no change"
    assert told == ["a: Packages: failed"]


def test_a_lost_node_is_not_known() -> None:
    one, _ = progress()
    one.event(event("runner_on_unreachable", "b", "User", unreachable=True,
                    msg="Failed to connect to the host via ssh: Connection timed out"))  # fmt: skip
    assert (
        one.outcomes["b"]
        .problem()
        .endswith(
            "is the node up, and ansible_host right?; what was under way is unknown; run it again"
        )
    )


def test_a_failure_that_a_task_ignores_is_none() -> None:
    one, _ = progress()
    ignored = event("runner_on_failed", "a", "Look", failed=True, msg="x")
    ignored["event_data"]["ignore_errors"] = True
    one.event(ignored)
    one.event(event("runner_on_ok", "a", "The node is clean"))
    assert one.outcomes["a"].ok


def test_reasons() -> None:
    assert reason({"msg": "non-zero return code", "stderr": "no\n such"}) == "no such"
    items = [{"failed": False, "msg": "fine"}, {"failed": True, "msg": "bad", "stderr": "why"}]
    assert reason({"msg": "One or more items failed", "results": items}) == "bad: why"
    assert reason({}) == "failed without a word"


def test_differences() -> None:
    lines = diff_lines({"diff": [{"before": "a\n", "after": "a\nb\n"}, {"prepared": "whole"}]})
    assert lines[0] == "--- before" and "+b" in lines and lines[-1] == "whole"
    states = {"before": {"state": "absent"}, "after": {"state": "link"}}
    assert "+state: link" in diff_lines({"diff": states})
    assert diff_lines({"diff": {"before": "same", "after": "same"}}) == []
