# SPDX-License-Identifier: Apache-2.0
"""From lists and watches to samples: what is said at once, what is proven, and what is unknown."""

from __future__ import annotations

from collections.abc import Iterator
from types import MappingProxyType
from typing import Any

import pytest

from gameday import clock
from gameday.errors import InvalidInput
from gameday.probes import TABLE, kube_collection
from gameday.probes.base import Failed, Outcome, Schedule, Value
from gameday.probes.kube_client import NAMES_ONLY
from gameday.probes.kube_nodes import KubeNodesParams
from gameday.probes.kube_watch import StateWatch, resolve
from tests.unit.probes.kube_fake import WAIT_S, Api, Seen, healthy

PERIOD = clock.NS_PER_S // 5


@pytest.fixture
def api(monkeypatch: pytest.MonkeyPatch) -> Api:
    found = Api()
    monkeypatch.setattr(kube_collection, "Client", found.client)
    monkeypatch.setattr(kube_collection, "PAUSE_S", 0.01)
    return found


@pytest.fixture
def nodes(api: Api) -> Iterator[tuple[StateWatch, Seen]]:
    """A watch of one feed of nodes, with one ready node."""
    api.put("n1", status=ready("True"))
    kind, seen = TABLE["kube-nodes"], Seen()
    params = KubeNodesParams("frankfurt")
    schedule = Schedule(PERIOD, PERIOD)
    feed = [one for one in kind.feeds(params) if one.name == "nodes"]

    def judge(items: Any, now_ns: int) -> Outcome:
        return kind.judge(params)({**items, "leases": {}}, now_ns)

    watch = StateWatch({}, feed, judge, ("frankfurt", seen.emit), schedule)
    yield watch, seen
    watch.close()


def ready(status: str) -> dict[str, Any]:
    return {"conditions": [{"type": "Ready", "status": status}]}


def opened(api: Api, count: int = 1) -> None:
    """Wait until so many watches have been opened."""
    with api.changed:
        assert api.changed.wait_for(lambda: api.open >= count, WAIT_S)


def test_a_look_is_a_sample_and_a_change_is_one_at_once(
    api: Api, nodes: tuple[StateWatch, Seen]
) -> None:
    watch, seen = nodes
    watch.look()
    assert healthy(seen.last) is True
    opened(api)
    api.put("n1", status=ready("False"))
    seen.wait(2)
    outcome, since, until = seen.all[1]
    assert healthy(outcome) is False
    # It changed after the last sample that saw it otherwise had ended, and before it was received.
    assert seen.all[0][2] <= since <= until
    assert isinstance(outcome, Value) and outcome.value["not_ready"] == ["n1"]


def test_what_does_not_change_the_state_is_no_sample(
    api: Api, nodes: tuple[StateWatch, Seen]
) -> None:
    watch, seen = nodes
    watch.look()
    opened(api)
    api.put("n1", status=ready("True"), spec={"taints": []})
    api.put("n2", status=ready("True"))
    seen.wait(2)
    assert [one[0].value["nodes"] for one in seen.all] == [1, 2]


def test_names_only_are_listed_as_long_as_nothing_differs(
    api: Api, nodes: tuple[StateWatch, Seen]
) -> None:
    watch, _ = nodes
    for _ in range(3):
        watch.look()
    assert [accept == NAMES_ONLY for accept in api.asked] == [False, True, True]


def test_a_list_tells_what_a_hanging_watch_does_not(
    api: Api, nodes: tuple[StateWatch, Seen]
) -> None:
    watch, seen = nodes
    api.hung = True
    watch.look()
    opened(api)
    api.put("n1", status=ready("False"))
    watch.look()
    assert healthy(seen.last) is False, "the list is truth, whatever the watch says"
    api.hung = False
    watch.look()
    opened(api, 2)
    assert isinstance(seen.last, Value)
    watch.look()
    assert seen.last.value["watch"] in ("nodes: hung", ""), "it is said, until the next one tells"
    before = len(seen.all)
    api.put("n1", status=ready("True"))
    seen.wait(before + 1)
    assert healthy(seen.last) is True
    assert any("hung" in one[0].value.get("watch", "") for one in seen.all)


def test_an_answer_that_does_not_come_is_unknown_and_so_is_what_the_watch_says_then(
    api: Api, nodes: tuple[StateWatch, Seen]
) -> None:
    watch, seen = nodes
    watch.look()
    opened(api)
    with watch._lock:
        watch._proven = False
    api.put("n1", status=ready("False"))
    api.down = "timeout"
    watch.look()
    assert isinstance(seen.last, Failed) and seen.last.reason.startswith("timeout: nodes: ")
    assert len(seen.all) == 2, "nobody knew whether it was all"
    api.down = ""
    watch.look()
    assert healthy(seen.last) is False


@pytest.mark.parametrize(
    "word", ["refused", "timeout", "unauthorized", "forbidden", "not-found", "tls", "config"]
)
def test_every_refusal_is_a_failed_sample_with_its_word(
    api: Api, nodes: tuple[StateWatch, Seen], word: str
) -> None:
    watch, seen = nodes
    api.down = word
    watch.look()
    assert isinstance(seen.last, Failed) and seen.last.reason.startswith(f"{word}: nodes")
    api.down = ""
    watch.look()
    assert healthy(seen.last) is True


def test_a_hole_in_the_history_is_said_and_a_list_fills_it(
    api: Api, nodes: tuple[StateWatch, Seen]
) -> None:
    watch, seen = nodes
    watch.look()
    opened(api)
    with api.changed:
        api.hung = True
    api.put("n1", status=ready("False"))
    api.compact()
    seen.wait(2)
    assert isinstance(seen.last, Failed) and seen.last.reason.startswith("gone: nodes")
    assert seen.all[1][1] == pytest.approx(seen.all[0][2], abs=clock.NS_PER_S)
    with api.changed:
        api.hung = False
    watch.look()
    assert healthy(seen.last) is False
    opened(api, 2)
    api.put("n1", status=ready("True"))
    seen.wait(4)
    assert healthy(seen.last) is True


def test_a_deleted_object_is_gone(api: Api, nodes: tuple[StateWatch, Seen]) -> None:
    watch, seen = nodes
    watch.look()
    opened(api)
    api.drop("n1")
    seen.wait(2)
    assert healthy(seen.last) is False and seen.last.value["nodes"] == 0


def test_two_writers_are_each_seen(api: Api, nodes: tuple[StateWatch, Seen]) -> None:
    watch, seen = nodes
    watch.look()
    opened(api)
    for _ in range(5):
        api.put("n1", status=ready("False"))
        api.put("n1", status=ready("True"))
    seen.wait(11)
    assert [healthy(one[0]) for one in seen.all] == [True, *[False, True] * 5]


class Estate:
    """Two sites, one of which has a cluster."""

    sites = MappingProxyType({"frankfurt": (), "london": ()})

    def cluster(self, site: str) -> dict[str, Any] | None:
        found = {"kubeconfig": "/k", "context": "fra", "in_cluster": False}
        return found if site == "frankfurt" else None


def test_the_plan_fills_in_the_cluster_and_says_what_is_missing() -> None:
    params = resolve(KubeNodesParams("frankfurt"), Estate())
    assert params.cluster == {"kubeconfig": "/k", "context": "fra", "in_cluster": False}
    for given, word in (
        (KubeNodesParams("london"), "gameday_kubeconfig"),
        (KubeNodesParams("paris"), "frankfurt, london"),
        (params, "name the site"),
    ):
        with pytest.raises(InvalidInput) as caught:
            resolve(given, Estate())
        assert word in caught.value.hint
