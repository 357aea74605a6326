# SPDX-License-Identifier: Apache-2.0
"""``power``: machines lose their power, or are switched on or cycled.

By ``redfish`` a machine's BMC is asked. A machine without power cannot end its own lease, so
this lease is held by the *controller's host*: an agent of its own there, with the same keeper,
reaper and last resort as on any node, switches the power on again even if gameday is killed.
By ``sysrq`` the node itself stops at once, without a sync, as if the power had gone.

What was asked of which BMC is put on disk first, as a note beside the receipt, and holds over
a reboot of the controller's host. A BMC takes seconds to do what it was asked, and one that
is asked to switch on before it has switched off may do both in the wrong order: so "on" is
asked only once "off" was seen, and the lease ends only when the former state was read back.

This module travels to nodes: standard library only, Python 3.9 syntax.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Dict, List, Literal, Mapping, Optional, Tuple

from gameday.clock import NS_PER_S
from gameday.errors import InvalidInput, NodeError
from gameday.faults.base import CONTROLLER, Estate, Facts, ProcessKept, Selector
from gameday.faults.elsewhere import Elsewhere, at_bmcs
from gameday.faults.hosts import Host
from gameday.faults.hosts.power import Supply
from gameday.record.types import Lease, Observation, to_json

SYSTEMS_MAX = 48
"""A rack has no more; what is larger is a site, and nobody is there to switch it on by hand."""

POLL_NS = NS_PER_S
"""Between two looks at BMCs, which are slow and few of which like to be asked often."""

ASK_AGAIN_NS = 8 * NS_PER_S
"""A BMC that has not done what it was asked by then is asked once more."""

SETTLE_NS = 30 * NS_PER_S
"""A machine that is still on so long after "off" was asked has ignored it."""

DO: Mapping[str, Tuple[str, ...]] = {
    "off": ("ForceOff",), "on": ("On", "ForceOn"), "cycle": ("ForceRestart", "PowerCycle"),
}  # fmt: skip
UNDO: Mapping[str, Tuple[str, ...]] = {"off": DO["on"], "on": DO["off"], "cycle": DO["on"]}
WAS: Mapping[str, str] = {"off": "On", "on": "Off", "cycle": "On"}
"""The state before, which is also the one to come back to."""

LETTERS: Mapping[str, str] = {"cycle": "b", "off": "o"}


@dataclass(frozen=True)
class PowerParams:
    """Parameters of ``power``.

    Attributes:
        nodes: machines that lose their power.
        action: off (at once, as a pulled plug; on again at the end), on (machines that are off;
            off again at the end) or cycle (off and on again at once).
        means: redfish (the machines' BMCs, asked by the controller's host) or sysrq (the
            node's own kernel).
        accept_no_return: for off by sysrq, which nothing on the node can undo.
    """

    nodes: Selector
    action: Literal["off", "on", "cycle"]
    means: Literal["redfish", "sysrq"] = "redfish"
    accept_no_return: bool = False


class Power(ProcessKept):
    """A rack that loses power."""

    kind = "power"
    Params: type = PowerParams
    summary = "machines lose their power: off, on or cycled, by Redfish or by sysrq"

    def spread(self, params: PowerParams, estate: Estate) -> Dict[str, Dict[str, Any]]:
        """By Redfish one spec for the controller's host; by sysrq one per node.

        Raises:
            InvalidInput: where a node has no BMC, or nothing could switch it on again.
        """
        nodes = [node for node in estate.select(params.nodes) if estate.can_arm(node)]
        if params.means == "sysrq":
            if params.action == "on":
                raise InvalidInput("action on needs a BMC", "use means redfish")
            if params.action == "off" and not params.accept_no_return:
                raise InvalidInput(
                    "means sysrq with action off leaves the node off: nothing on it can undo that",
                    "use redfish or cycle, or say accept_no_return: true",
                )
            return {node: {"means": "sysrq", "action": params.action} for node in nodes}
        if estate.select(Selector(node=(CONTROLLER,))):
            raise InvalidInput(f"nodes: a node is called {CONTROLLER}, as the controller's host is",
                               "give it another name in the inventory")  # fmt: skip
        if len(nodes) > SYSTEMS_MAX:
            raise InvalidInput(f"nodes selects {len(nodes)} machines; at most {SYSTEMS_MAX}")
        found = [(node, estate.bmc(node)) for node in nodes]
        without = [node for node, bmc in found if bmc is None]
        if without:
            raise InvalidInput(
                f"nodes without a BMC in the inventory: {', '.join(without[:8])}",
                "set gameday_bmc_url and where its credentials are",
            )
        systems = [{"node": node, **bmc} for node, bmc in found if bmc is not None]
        if not systems:
            return {}
        return {CONTROLLER: {"means": "redfish", "action": params.action, "systems": systems}}

    def elsewhere(self, spec: Mapping[str, Any]) -> Optional[Elsewhere]:
        """At the machines' BMCs; by sysrq it is the node itself that acts."""
        return None if spec["means"] == "sysrq" else at_bmcs(len(spec["systems"]))

    def available(self, facts: Facts) -> Optional[str]:
        """Either means will do; which one a lease needs is asked when it is armed."""
        if "redfish" in facts.missing and "sysrq" in facts.missing:
            return f"sysrq: {facts.missing['sysrq']}; Redfish: {facts.missing['redfish']}"
        return None

    def claims(self, spec: Mapping[str, Any]) -> Tuple[str, ...]:
        """The power of each machine."""
        if spec["means"] == "sysrq":
            return ("power of this node",)
        return tuple(f"power of {one['node']}" for one in spec["systems"])

    def explain(self, lease: Lease) -> Tuple[List[str], List[str]]:
        """What is asked of which BMC, and who asks for the opposite."""
        action = lease.spec["action"]
        if lease.spec["means"] == "sysrq":
            word = "restarts at once" if action == "cycle" else "switches itself off"
            undo = "it starts again by itself" if action == "cycle" else "nothing: by hand only"
            return [f"echo {LETTERS[action]} > /proc/sysrq-trigger  (the node {word})"], [undo]
        rules, undo_lines = [], []
        for one in lease.spec["systems"]:
            rules.append(f"{one['node']}: Redfish Reset {DO[action][0]} at {one['url']}")
            undo_lines.append(
                f"{one['node']}: Redfish Reset {UNDO[action][0]}, asked by this host's keeper, "
                f"reaper or last resort, until it reads {WAS[action]}"
            )
        undo_lines.append(
            "this host holds the lease: while it is down itself, only the BMCs' restore policy "
            "(shown when the lease is armed) or a hand brings power back"
        )
        return rules, undo_lines

    def before(self, lease: Lease, host: Host) -> Dict[str, Any]:
        """Each BMC's answer, and that all machines are in the state to come back to.

        Raises:
            NodeError: where one is not, cannot do it, does not answer, or is this very machine.
        """
        if lease.spec["means"] == "sysrq":
            refusal = host.power.sysrq_refusal()
            if refusal:
                raise NodeError(f"sysrq cannot be used here: {refusal}")
            return {}
        action, wrong, policy = lease.spec["action"], [], {}
        own = host.power.own_uuid()
        for node, one in sorted(host.power.supplies(lease.spec["systems"]).items()):
            missing = [w for w in (DO[action], UNDO[action]) if not set(w) & set(one.resets)]
            if one.error:
                wrong.append(f"{node}: {one.error}")
            elif own and one.uuid.lower() == own.lower():
                wrong.append(f"{node} is this very machine; nobody would switch it on again")
            elif one.state != WAS[action]:
                wrong.append(f"{node} is {one.state}, not {WAS[action]}")
            elif missing:
                wrong.append(f"{node}: its BMC does not allow {missing[0][0]}")
            policy[node] = one.policy
        if wrong:
            raise NodeError("; ".join(wrong))
        return {"policy": policy}

    def drive(
        self, lease: Lease, before: Mapping[str, Any], host: Host, since_ns: int
    ) -> Optional[int]:
        """Ask once, then look until every machine was seen to have done it."""
        if lease.spec["means"] == "sysrq":
            if host.processes.kept(lease.id) is None:
                _keep(lease, before, host, {"asked_ns": host.mono_ns()})
                host.power.sysrq(LETTERS[lease.spec["action"]])
            return None
        note = host.processes.kept(lease.id, across_boots=True)
        if note is None:
            note = {"asked_ns": host.mono_ns(), "seen": []}
            _keep(lease, before, host, note)
            _raise(host.power.reset(lease.spec["systems"], DO[lease.spec["action"]]))
            return since_ns + POLL_NS
        if lease.spec["action"] == "cycle":
            return None
        note = _look(lease, before, host, note)
        waiting = [x for x in lease.spec["systems"] if x["node"] not in note["seen"]]
        if waiting and host.mono_ns() - note["asked_ns"] > ASK_AGAIN_NS:
            _keep(lease, before, host, {**note, "asked_ns": host.mono_ns()})
            _raise(host.power.reset(waiting, DO[lease.spec["action"]]))
        return since_ns + POLL_NS if waiting else None

    def observe(self, lease: Lease, before: Mapping[str, Any], host: Host) -> Observation:
        """Active while every machine is away from its former state, foreign while some are."""
        across = lease.spec["means"] == "redfish"
        note = host.processes.kept(lease.id, across_boots=across)
        if note is None or note.get("ended"):
            return Observation("absent", (), {}, ())
        window = host.wall_ns() < lease.expire_at_ns
        if not across:
            still = "sysrq was triggered, and this node runs on: see its kernel's log"
            return Observation("active" if window else "absent", (still,) * window, {}, ())
        action = lease.spec["action"]
        supplies = host.power.supplies(lease.spec["systems"])
        left = tuple(
            f"{one['node']} is {_word(supplies[one['node']])}"
            f"{_policy(before, one['node'])}: ask its BMC at {one['url']} for "
            f"`{UNDO[action][0]}`"
            for one in lease.spec["systems"]
            if supplies[one["node"]].state != WAS[action] or not _settled(lease, note, one, host)
        )
        away = sum(1 for one in supplies.values() if one.state and one.state != WAS[action])
        counters = {"away": away, "seen": len(note["seen"])}
        if action == "cycle" and window:
            done = f"{len(supplies)} machines were restarted: see that they are on"
            return Observation("active", left or (done,), counters, ())
        if not left:
            return Observation("absent", (), counters, ())
        whole = away == len(supplies) and window
        return Observation("active" if whole else "foreign", left, counters, ())

    def disarm(self, lease: Lease, before: Mapping[str, Any], host: Host) -> List[str]:
        """Ask for the former state, each machine once it has done what the lease asked."""
        across = lease.spec["means"] == "redfish"
        note = host.processes.kept(lease.id, across_boots=across)
        if note is None or note.get("ended"):
            return []
        if not across:
            _keep(lease, before, host, {**note, "ended": True})
            return []
        action, done, back = lease.spec["action"], [], True
        note = _look(lease, before, host, note)
        supplies = host.power.supplies(lease.spec["systems"])
        undone: Dict[str, int] = dict(note.get("undone", {}))
        for one in lease.spec["systems"]:
            node, state = one["node"], supplies[one["node"]].state
            if state == WAS[action] and _settled(lease, note, one, host):
                continue
            back = False
            asked = undone.get(node)
            now = host.mono_ns()
            if state == WAS[action] or (asked is not None and 0 <= now - asked < ASK_AGAIN_NS):
                continue
            error = host.power.reset([one], UNDO[action])[node]
            if not error:
                undone[node] = now
                done.append(f"asked the BMC of {node} for {UNDO[action][0]}")
        _keep(lease, before, host, {**note, "undone": undone, "ended": back})
        return done


def _look(
    lease: Lease, before: Mapping[str, Any], host: Host, note: Dict[str, Any]
) -> Dict[str, Any]:
    """The note with those machines that were seen to have done what was asked."""
    supplies = host.power.supplies(lease.spec["systems"])
    gone = {
        n for n, one in supplies.items() if one.state and one.state != WAS[lease.spec["action"]]
    }
    seen = sorted({*note["seen"], *gone})
    if seen != note["seen"]:
        note = {**note, "seen": seen}
        _keep(lease, before, host, note)
    return note


def _settled(lease: Lease, note: Mapping[str, Any], system: Mapping[str, Any], host: Host) -> bool:
    """Whether nothing that was asked of a BMC can still take the machine away."""
    if lease.spec["action"] == "cycle" or system["node"] in note["seen"]:
        return True
    since = host.mono_ns() - int(note["asked_ns"])
    # A negative one is of another boot: whatever was asked then has long been done.
    return since < 0 or since > SETTLE_NS


def _keep(lease: Lease, before: Mapping[str, Any], host: Host, note: Mapping[str, Any]) -> None:
    own = {"lease": to_json(lease), "before": dict(before)}
    host.processes.keep(lease.id, {**note, **own})


def _raise(errors: Mapping[str, str]) -> None:
    wrong = [f"{node}: {error}" for node, error in sorted(errors.items()) if error]
    if wrong:
        raise NodeError("; ".join(wrong))


def _word(supply: Supply) -> str:
    return supply.state or f"unknown ({supply.error})"


def _policy(before: Mapping[str, Any], node: str) -> str:
    policy = before["policy"].get(node)
    return f" (its BMC's restore policy: {policy})" if policy else ""


FAULT = Power()
