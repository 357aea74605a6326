# SPDX-License-Identifier: Apache-2.0
"""One line to an experiment: the round trip between two sites leaves its usual range. Pure.

What is made is an experiment like any other, as a file that can be kept, changed and run again.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import yaml

from gameday.errors import InvalidInput
from gameday.experiment.limits import NAME_MAX
from gameday.experiment.load import parse_experiment
from gameday.plan.estate import ROUTER, Inventory, RaftGroup
from gameday.plan.make import make_plan
from gameday.plan.model import Plan
from gameday.plan.wish import US_PER_MS, Pair, Usual, Wish, peak_us, usual_us

STEADY_S, RECOVER_S = 5, 10
US_PER_S = 1_000_000
PERIOD_MS, TIMEOUT_MS = 250, 1000
USER_PERIOD_MS, USER_TIMEOUT_MS = 500, 2000
ABORT_WRITES_S, ABORT_USERS_S = 20, 15
TOLERANCE_MS = 10
"""How far the worst pair's median may be from what was asked before it is called missed."""

MESH, FAULT = "mesh", "excursion"
"""Names of the probe that measures round trips and of the fault; of several, each has its pair."""

RTT_TIMEOUTS = 3
"""A look at a slow path waits this many peak round trips, where that is longer than usual."""

STEADY_RTTS = 6
"""Steady state lasts this many peak round trips where that is longer than usual: the effect's
echoes wait 1.25 of them each, and three have to be answered before the onset."""


def planned(wish: Wish, usual: Usual, inventory: Inventory) -> tuple[str, Plan]:
    """The experiment's text, and its plan.

    Raises:
        InvalidInput, Refused: as ``make_plan``.
    """
    data = experiment(wish, usual, inventory)
    text = yaml.safe_dump(data, sort_keys=False, allow_unicode=True, width=100)
    loaded = parse_experiment(text, f"excurse {' '.join(wish.sites)}")
    known = {_named(FAULT, wish, pair): usual_us(usual, pair) for pair in wish.pairs}
    return text, make_plan(loaded, inventory, base_us={n: us for n, us in known.items() if us})


def experiment(wish: Wish, usual: Usual, inventory: Inventory) -> dict[str, Any]:
    """The experiment as it is written to a file.

    Args:
        usual: round trips between the sites, as they were measured.

    Raises:
        InvalidInput: where the inventory has no such site, or nothing to look from.
    """
    _check_sites(wish, inventory)
    peaks = {pair: peak_us(wish, usual_us(usual, pair)) for pair in wish.pairs}
    most = max(peaks.values())
    groups = spanning(wish.sites, inventory)
    wait_ms = max(TIMEOUT_MS, RTT_TIMEOUTS * most // US_PER_MS)
    between = " and ".join([", ".join(wish.sites[:-1]), wish.sites[-1]])
    measured = ", ".join(
        f"{usual_us(usual, pair) / US_PER_MS:g} ms"
        + (f" ({pair[0]}, {pair[1]})" if len(wish.pairs) > 1 else "")
        for pair in wish.pairs
    )
    probes = [_mesh(wish, pair, groups, inventory, wait_ms) for pair in wish.pairs]
    for group in groups:
        probes += _group_probes(group, wait_ms)
    if wish.url:
        probes.append(_users(wish, inventory))
    return {
        "schema": "gameday/v1",
        "metadata": {
            "name": f"excurse-{'-'.join(wish.sites)}"[:NAME_MAX].rstrip("-._"),
            "title": f"{_words(wish)} between {between} for {wish.for_s} s"[: 2 * NAME_MAX],
            "why": (
                f"An ad-hoc excursion: the usual round trip between {between} was measured as "
                f"{measured} just before, and {most / US_PER_MS:g} ms are asked "
                f"for at the most. Do groups that span them keep their leader, and do users notice?"
            ),
            "owner": "who ran it; see the report",
        },
        "steady_state": {
            "for_s": max(STEADY_S, -(-STEADY_RTTS * most // US_PER_S)),
            "checks": [{"probe": p["name"], "ok_percent": 95} for p in probes],
        },
        "faults": [_fault(wish, pair, usual_us(usual, pair), inventory) for pair in wish.pairs],
        "probes": probes,
        "recover_s": RECOVER_S,
        "objectives": _objectives(wish, groups, peaks, usual),
        "abort": _aborts(wish, groups),
    }


def spanning(sites: Sequence[str], inventory: Inventory) -> list[RaftGroup]:
    """Raft groups with members in every one of the sites."""
    return [
        group
        for group in inventory.raft_groups
        if set(sites) <= {inventory.by_name[m].site for m in group.members}
    ]


def _check_sites(wish: Wish, inventory: Inventory) -> None:
    known = ", ".join(inventory.sites)
    for site in wish.sites:
        if site not in inventory.sites:
            raise InvalidInput(f"{inventory.source} has no site {site!r}", f"it has {known}")
    if len(set(wish.sites)) != len(wish.sites):
        both = "both" if len(wish.pairs) == 1 else "two of the"
        raise InvalidInput(f"{both} sites are the same", "name each once")
    unknown = [node for node in wish.at if node not in inventory.by_name]
    if unknown:
        raise InvalidInput(f"{inventory.source} has no node {unknown[0]!r}", "see --at")


def _words(wish: Wish) -> str:
    if wish.profile is not None:
        shape, low, high, _ = wish.profile
        what = f"Round trips of {low / US_PER_MS:g} to {high / US_PER_MS:g} ms ({shape})"
    elif wish.rtt_us is not None:
        what = f"A round trip of {wish.rtt_us / US_PER_MS:g} ms"
    elif wish.factor is not None:
        what = f"{wish.factor:g} times the usual round trip"
    else:
        what = "The usual round trip"
    more = [f"{wish.jitter_ms} ms of jitter"] if wish.jitter_ms else []
    more += [f"{wish.loss_percent:g} % loss"] if wish.loss_percent else []
    return ", ".join([what, *more])


def _named(name: str, wish: Wish, pair: Pair) -> str:
    """A fault's or a probe's name, which tells its pair where there are several."""
    return name if len(wish.pairs) == 1 else f"{name}-{pair[0]}-{pair[1]}"


def _holders(wish: Wish, pair: Pair, inventory: Inventory) -> list[str]:
    """Which of ``--at`` hold this pair's lease.

    Of several pairs each takes those in one of its own sites: both sites' routers would each add
    the whole delay.
    """
    if len(wish.pairs) == 1 or not wish.at:
        return list(wish.at)
    for site in pair:
        found = [node for node in wish.at if inventory.by_name[node].site == site]
        if found:
            return found
    raise InvalidInput(
        f"no node of --at is in {pair[0]} or {pair[1]}",
        "name one for every two sites, such as the routers of all but one",
    )


def _fault(wish: Wish, pair: Pair, base_us: int, inventory: Inventory) -> dict[str, Any]:
    ends: dict[str, Any] = {"from": {"site": pair[0]}, "to": {"site": pair[1]}}
    if wish.at:
        ends["at"] = {"node": _holders(wish, pair, inventory)}
    loss = {"loss_ppm": round(wish.loss_percent * 10_000)} if wish.loss_percent else {}
    step = {"name": _named(FAULT, wish, pair), "at_s": 0, "for_s": wish.for_s}
    if wish.jitter_ms:
        # Jitter is netem's own; it is halved like the delay, half on each way.
        added = (peak_us(wish, base_us) - base_us) // US_PER_MS
        params = {**ends, "rtt_ms": added, "jitter_ms": wish.jitter_ms, **loss}
        return {**step, "kind": "netem", "params": params}
    return {**step, "kind": "excursion", "params": {**ends, **_profile(wish, base_us, loss)}}


def _profile(wish: Wish, base_us: int, loss: Mapping[str, int]) -> dict[str, Any]:
    def point(at_ms: int, rtt_us: int) -> dict[str, int]:
        return {"at_ms": at_ms, "rtt_us": rtt_us - base_us, **loss}

    if wish.profile is None:
        return {"shape": "steps", "points": [point(0, peak_us(wish, base_us))]}
    shape, low, high, period_s = wish.profile
    if shape == "ramp":
        return {"shape": "ramp", "points": [point(0, low), point(period_s * 1000, high)]}
    found: dict[str, Any] = {"shape": shape, "base": point(0, low), "peak": point(0, high),
                             "period_ms": period_s * 1000}  # fmt: skip
    return found if shape == "sawtooth" else {**found, "width_ms": period_s * 500}


def _mesh(
    wish: Wish, pair: Pair, groups: Sequence[RaftGroup], inventory: Inventory, wait_ms: int
) -> dict[str, Any]:
    """Between members of a group that spans both sites; else between the sites' servers."""
    if groups:
        ends: dict[str, Any] = {"role": groups[0].role}
        if len(wish.pairs) > 1:
            ends["site"] = list(pair)
    else:
        nodes = [n.name for n in inventory.nodes if n.site in pair and ROUTER not in n.roles]
        if {inventory.by_name[name].site for name in nodes} != set(pair):
            raise InvalidInput("a site has no node but routers; nobody could look from there")
        ends = {"node": nodes}
    # A copy each: where both were one object, the file would have an anchor and an alias.
    return {"name": _named(MESH, wish, pair), "kind": "rtt-mesh", "from": ends,
            "to": {what: value if isinstance(value, str) else list(value)
                   for what, value in ends.items()},
            "period_ms": PERIOD_MS, "timeout_ms": wait_ms}  # fmt: skip


def _group_probes(group: RaftGroup, wait_ms: int) -> list[dict[str, Any]]:
    if group.kind != "etcd":
        return []
    return [
        {"name": f"{group.name}-{what}", "kind": f"etcd-{what}", "from": {"role": group.role},
         "period_ms": PERIOD_MS, "timeout_ms": wait_ms, "params": {"port": group.port}}
        for what in ("write", "status")
    ]  # fmt: skip


def _users(wish: Wish, inventory: Inventory) -> dict[str, Any]:
    servers = {"role": "gslb"} if "gslb" in inventory.names["role"] else None
    return {
        "name": "users", "kind": "http", "from": {"role": wish.role},
        **({"to": servers} if servers else {}), "period_ms": USER_PERIOD_MS,
        "timeout_ms": USER_TIMEOUT_MS, "params": {"url": wish.url},
    }  # fmt: skip


def mesh_of(wish: Wish, pair: Pair) -> str:
    """Name of the probe that measures a pair's round trips."""
    return _named(MESH, wish, pair)


def _achieved(wish: Wish, pair: Pair, added_us: int) -> dict[str, Any]:
    limit_ms = max(TOLERANCE_MS, added_us // US_PER_MS // 10) + wish.jitter_ms
    several = len(wish.pairs) > 1
    params = {"probe": mesh_of(wish, pair)}
    if several:
        params["fault"] = _named(FAULT, wish, pair)
    where = f" between {pair[0]} and {pair[1]}" if several else ""
    return {"name": f"round trips{where} are what was asked for", "measure": "rtt-achieved",
            "at_most_ms": limit_ms, "params": params}  # fmt: skip


def _objectives(
    wish: Wish, groups: Sequence[RaftGroup], peaks: Mapping[Pair, int], usual: Usual
) -> list[dict[str, Any]]:
    found = [_achieved(wish, pair, peaks[pair] - usual_us(usual, pair)) for pair in wish.pairs]
    # A write that may be prompt and still take two round trips (to the leader, to its majority)
    # shows a quorum at no moment of its own: there the members' own statuses have to tell.
    slow = 2 * max(peaks.values()) > PERIOD_MS * US_PER_MS
    for group in groups:
        if group.kind == "etcd":
            params = {"probe": f"{group.name}-status", "group": group.name}
            found.append({"name": f"leaders of {group.name} elected", "measure": "leader-changes",
                          "at_most": 0, "params": params})  # fmt: skip
            params = {**params, "probe": f"{group.name}-{'status' if slow else 'write'}"}
            found.append({"name": f"{group.name} without a quorum", "measure": "quorum-loss",
                          "at_most_ms": group.election_ms, "params": params})  # fmt: skip
    if wish.url:
        found.append({"name": "failed user requests", "measure": "client-failure-share",
                      "at_most_percent": 2, "params": {"probe": "users"}})  # fmt: skip
    return found


def _aborts(wish: Wish, groups: Sequence[RaftGroup]) -> list[dict[str, Any]]:
    found = [
        {"name": f"{group.name} acknowledges nothing", "probe": f"{group.name}-write",
         "failed_for_s": ABORT_WRITES_S}
        for group in groups if group.kind == "etcd"
    ]  # fmt: skip
    if wish.url:
        found.append({"name": "users are down", "probe": "users", "failed_for_s": ABORT_USERS_S})
    # Where nothing but the path itself is watched: a path that is gone is no excursion.
    return found or [{"name": "the path is gone", "probe": MESH, "failed_for_s": ABORT_WRITES_S}]
