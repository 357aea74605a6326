# SPDX-License-Identifier: Apache-2.0
"""A plan says who holds, begins and ends each fault: nodes, or the controller's host."""

from __future__ import annotations

from pathlib import Path

import pytest

from gameday.experiment import load_experiment, parse_experiment
from gameday.lab import optional
from gameday.lab.inventory import render
from gameday.plan import Inventory, load_inventory, make_plan
from gameday.plan.render import render_plan

ROOT = Path(__file__).resolve().parents[3]
SHIPPED = ROOT / "experiments" / "kube-ingress-scaled-to-zero-frankfurt.yaml"
GOOD = (ROOT / "tests" / "cases" / "experiment" / "good.yaml").read_text(encoding="utf-8")
KERNEL = "by its kernel's clock"
EXEMPT = "The management network and SSH are exempt from every rule."

TIMELINE = """\
       T0+0 s  fleet-paused (kube-pause) begins in frankfurt's cluster
      T0+35 s  fleet-paused ends by itself, after 35 s
       T0+3 s  ingress-gone (kube-scale) begins in frankfurt's cluster
      T0+28 s  ingress-gone ends by itself, after 25 s
      T0+50 s  recovery has been watched; all of it is proven clean
"""
PROOF = """\
  fleet-paused: the API server's own objects show it in effect inside the window
  ingress-gone: the API server's own objects show it in effect inside the window
"""
ENDS = """\
Why this ends
  Nothing is set before you start the run. Leases are armed ahead, inert. fleet-paused and
  ingress-gone are held by the controller's host: a keeper there begins and ends them, and a reaper
  and a last resort end them if the keeper is dead; none of them needs gameday. While that host is
  down, nothing there ends them; once it is up again a unit of systemd does, where one could be
  installed, or gameday recover. An API server that does not answer is asked again for as long as a
  guard there lives. Each object that is changed carries what was there and until when
  (gameday.io/lease): gameday sweep --clusters, on any machine with the inventory, gives back what
  is overdue, even if the controller's host is gone for good. A field comes back only where it still
  holds what the lease set.

"""


@pytest.fixture(scope="module")
def estate(tmp_path_factory: pytest.TempPathFactory) -> Inventory:
    """The lab's, with its clusters."""
    directory = tmp_path_factory.mktemp("inventory")
    text = render(str(directory), optional.chosen((), ["kubernetes"]))
    (directory / "lab.yaml").write_text(text, encoding="utf-8")
    return load_inventory(directory / "lab.yaml")


def test_what_only_a_cluster_suffers(estate: Inventory) -> None:
    text = "\n".join(render_plan(make_plan(load_experiment(SHIPPED), estate)))
    for wanted in (
        TIMELINE,
        PROOF,
        ENDS,
        "  frankfurt   its cluster (by fleet-paused and ingress-gone), fra-1 (untouched), fra-2",
        "What fleet-paused sets in frankfurt's cluster, and how it is undone: 1 lease\n\n"
        "  held by controller (ID ",
    ):
        assert wanted in text, text
    for untrue in (KERNEL, EXEMPT, "Who is where", "each node", "its nodes", "own kernel"):
        assert untrue not in text, untrue


def test_both_in_one_plan_each_with_its_own(estate: Inventory) -> None:
    cordoned = """
  - name: cordoned
    kind: kube-cordon
    at_s: 2
    for_s: 10
    params: {site: london, nodes: {node: lon-1}}
"""
    mixed = GOOD.replace("\nfaults:\n", "\nfaults:" + cordoned, 1)
    assert cordoned in mixed
    lines = render_plan(make_plan(parse_experiment(mixed, "x.yaml"), estate))
    text = " ".join("\n".join(lines).split())
    for wanted in (
        "cordoned (kube-cordon) begins in london's cluster",
        "begins on its nodes",
        "Who is where in cordoned nodes lon-1 (1 node)",
        f"Leases are armed ahead, inert; each node begins and ends its own, {KERNEL}, even if",
        f"{EXEMPT} cordoned is held by the controller's host: a keeper there begins and ends it,",
        "london its cluster (by cordoned), lon-1, lon-2",
    ):
        assert wanted in text, wanted


def test_what_only_nodes_suffer_is_not_said_of_anybody_else(estate: Inventory) -> None:
    text = "\n".join(render_plan(make_plan(parse_experiment(GOOD, "x.yaml"), estate)))
    assert KERNEL in " ".join(text.split()) and "every node is proven clean" in text
    assert "controller's host" not in text and "its cluster" not in text
