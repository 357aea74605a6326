# SPDX-License-Identifier: Apache-2.0
"""What the probes say now, and whether that is steady."""

from __future__ import annotations

from typing import Any

from gameday.clock import NS_PER_S
from gameday.conduct import steady
from gameday.conduct.board import Board
from gameday.record.types import Sample

PERIOD = NS_PER_S // 4
PLAN: dict[str, Any] = {
    "experiment": {"steady_state": {"for_s": 2, "checks": [{"probe": "w", "ok_percent": 90}]}},
    "probes": [{"name": "w", "period_ns": PERIOD,
                "samplers": [{"node": "a", "target": "a"}, {"node": "b", "target": "b"}]}],
}  # fmt: skip


def fill(board: Board, node: str, good: str, skew: int = 0) -> None:
    """One sample per character, a period apart; "+" is a good one."""
    samples = [
        Sample("w", node, node, seq, seq * PERIOD + skew, seq * PERIOD + skew + 1, mark == "+", {},
               "" if mark == "+" else "timeout")
        for seq, mark in enumerate(good)
    ]  # fmt: skip
    board.add(samples, skew)


def check(a: str, b: str, skew: int = 0) -> steady.Check:
    board = Board()
    fill(board, "a", a)
    fill(board, "b", b, skew)
    return steady.look(PLAN, board, 2 * NS_PER_S)[0]


def test_steady_when_every_sampler_is_good() -> None:
    assert check("++++++++", "++++++++").held
    assert check("++++++++", "++++++++", skew=90 * NS_PER_S).held, "a node's clock does not matter"


def test_one_bad_sampler_is_not_averaged_away() -> None:
    found = check("++++++++", "--------")
    assert not found.held
    assert "w from b" in found.reason and "timeout" in found.reason


def test_a_look_that_sees_what_is_not_healthy_is_not_good() -> None:
    board = Board()
    for node, healthy in (("a", True), ("b", False)):
        board.add([
            Sample("w", node, node, seq, seq * PERIOD, seq * PERIOD + 1, True,
                   {"healthy": healthy, "ready": 0, "watch": ""}, "")
            for seq in range(8)
        ], 0)  # fmt: skip
    (found,) = steady.look(PLAN, board, 2 * NS_PER_S)
    assert not found.held and "w from b" in found.reason and "not healthy" in found.reason


def test_missing_samples_are_not_good() -> None:
    assert not check("++++++++", "").held
    assert not check("++++++++", "++").held


def test_what_comes_in_batches_is_judged_up_to_where_it_came() -> None:
    """Three seconds without news are normal behind a worker, and silence elsewhere."""
    for patience_s, held in ((12, True), (1, False)):
        board = Board()
        for node in ("a", "b"):
            fill(board, node, "++++++++")
            board.heard(node, 2 * NS_PER_S, patience_s * NS_PER_S)
        assert steady.look(PLAN, board, 5 * NS_PER_S)[0].held is held
    assert not steady.look(PLAN, board, 60 * NS_PER_S)[0].held


def test_a_firing_alert_is_not_steady() -> None:
    plan = {
        "experiment": {"steady_state": {"for_s": 2, "checks": [{"probe": "al", "ok_percent": 90}]}},
        "probes": [{"name": "al", "period_ns": NS_PER_S,
                    "samplers": [{"node": "m", "target": "listener"}]}],
    }  # fmt: skip
    board = Board()
    beats = [Sample("al", "m", "listener", n, n * NS_PER_S, n * NS_PER_S, True, {}, "")
             for n in range(2)]  # fmt: skip
    board.add(beats, 0)
    assert steady.look(plan, board, 2 * NS_PER_S)[0].held
    alert = {"status": "firing", "labels": ["site=x"]}
    board.add([Sample("al", "m", "Down", 0, 5, 5, True, alert, "")], 0)
    assert not steady.look(plan, board, 2 * NS_PER_S)[0].held
    resolved = {"status": "resolved", "labels": ["site=x"]}
    board.add([Sample("al", "m", "Down", 1, 6, 6, True, resolved, "")], 0)
    assert steady.look(plan, board, 2 * NS_PER_S)[0].held


def test_failing_everywhere_is_as_long_as_the_last_to_fail() -> None:
    board = Board()
    fill(board, "a", "+--------")
    fill(board, "b", "+++++----")
    assert board.failed_for_ns("w") == 4 * PERIOD
    fill(board, "b", "++++++++++")
    assert board.failed_for_ns("w") == 0
    assert Board().failed_for_ns("w") == 0, "nothing heard is not this condition's business"


def test_a_long_failure_outlives_the_looks_that_are_kept() -> None:
    """A condition of 20 s on a probe that looks fifty times a second can hold."""
    period = NS_PER_S // 50
    board = Board()
    looks = [Sample("fast", "a", "a", n, n * period, n * period + 1, n == 10, {}, "timeout")
             for n in range(50 * 21)]  # fmt: skip
    for begin in range(0, len(looks), 100):
        board.add(looks[begin : begin + 100], 0)
    assert board.failed_for_ns("fast") == (50 * 21 - 1 - 10) * period > 20 * NS_PER_S
    kept = board.since("fast", 0)["a", "a"]
    assert len(kept) == 512, "and what is kept stays bounded"


def test_a_long_steady_window_is_kept_whole() -> None:
    """Otherwise too few samples would be there ever, and no estate would be steady."""
    period = NS_PER_S // 50
    board = Board(span_ns=30 * NS_PER_S)
    board.add([Sample("fast", "a", "a", n, n * period, n * period + 1, True, {}, "")
               for n in range(50 * 60)], 0)  # fmt: skip
    assert len(board.since("fast", 0)["a", "a"]) == 50 * 30 + 1


def test_a_settled_board_keeps_the_latest_only() -> None:
    """However long the window is: what hundreds of vantages see must not stay in memory."""
    board = Board(span_ns=600 * NS_PER_S)
    fill(board, "a", "+" + "-" * 700)
    board.settle()
    assert len(board.since("w", 0)["a", "a"]) == 8
    fill(board, "b", "+" + "-" * 700)
    assert len(board.since("w", 0)["b", "b"]) == 8
    assert board.failed_for_ns("w") == 700 * PERIOD, "how long a failure lasts is known as before"
    fill(board, "b", "-" * 701 + "+")
    latest = {node: look.ok for (_, node, _), look in board.latest().items()}
    assert latest == {"a": False, "b": True}
    assert board.failed_for_ns("w") == 0
