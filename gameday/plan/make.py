# SPDX-License-Identifier: Apache-2.0
"""Experiment and inventory to a plan, or every reason why not. Touches nothing."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

from gameday.errors import Refused
from gameday.experiment.load import Loaded
from gameday.experiment.problems import Problems
from gameday.experiment.tables import Tables, all_tables
from gameday.plan.bounds import effective, violations
from gameday.plan.estate import Inventory
from gameday.plan.heartbeats import warnings
from gameday.plan.leases import Aim, Aimed
from gameday.plan.model import SCHEMA, Plan, PlannedNode, Timeline
from gameday.plan.names import add, check_names
from gameday.plan.quorum import Outlook, join, outlook
from gameday.plan.watch import plan_effect, plan_probe, width_ns

LEASE_ID_BYTES = 4
"""Eight hexadecimal digits: four thousand million names, short enough for a chain's name."""

SHOWN_MAX = 8
"""Nodes named in one sentence."""


def make_plan(
    loaded: Loaded,
    inventory: Inventory,
    tables: Tables | None = None,
    new_id: Callable[[], str] | None = None,
    base_us: int | Mapping[str, int] | None = None,
) -> Plan:
    """Decide who is aimed at, with what, what is watched, and what will happen.

    Args:
        loaded: the experiment with its positions. inventory: the estate.
        tables: catalogues; gameday's own by default.
        new_id: makes lease ids; random by default.
        base_us: the usual round trip of the paths that are slowed, where it was measured; one for
            all, or by fault.

    Raises:
        InvalidInput: where the experiment names what the inventory does not have.
        Refused: where running it would be unsafe. Both with every problem found.
    """
    tables = tables or all_tables()
    experiment, positions = loaded.experiment, loaded.positions
    names = Problems(positions.file)
    check_names(experiment, positions, inventory, names)
    names.raise_if_any()

    aim = Aim(inventory, tables, positions, new_id or _random_id)
    found = [aim.fault(index, step) for index, step in enumerate(experiment.faults)]
    aimed = [fault for fault in found if fault is not None]
    probes = [
        plan_probe(index, loaded, inventory, tables, aim.mistakes)
        for index in range(len(experiment.probes))
    ]
    aim.mistakes.raise_if_any()
    aim.check_claims(aimed)
    bounds = effective(inventory.limits, experiment.bounds)
    for index, what, todo in violations(aimed, inventory, bounds):
        add(aim.refusals, positions, ("faults", index), what, todo)
    outlooks = [outlook(group, aimed) for group in inventory.raft_groups]
    _refuse_quorum_loss(loaded, outlooks, aim.refusals)
    _refuse_if_any(aim.refusals)

    effect = {}
    for fault in aimed:
        planned = plan_effect(fault, aimed, inventory)
        if planned is not None:
            effect[fault.planned.name], probe = planned
            probes += [probe] if probe is not None else []
    plan = Plan(
        schema=SCHEMA,
        experiment=experiment.to_json(),
        sites=dict(inventory.sites),
        nodes=_nodes(inventory),
        faults=tuple(fault.planned for fault in aimed),
        probes=tuple(probes),
        effect=effect,
        groups=tuple(one.group for one in outlooks),
        predictions=tuple(p for one in outlooks for p in one.predictions),
        timeline=Timeline(
            experiment.steady_state.for_s, experiment.faults_end_s, experiment.recover_s
        ),
        widths={probe.name: width_ns(probe.period_ns, probe.timeout_ns) for probe in probes},
        limits=tuple(_limits(loaded, inventory, aimed, outlooks, base_us)),
    )
    missing = inventory.missing_files(plan.asked)
    told = [f"{what} is not there yet; the run needs it." for what in missing]
    return replace(plan, limits=(*plan.limits, *told))


def _random_id() -> str:
    return secrets.token_hex(LEASE_ID_BYTES)


def _nodes(inventory: Inventory) -> dict[str, PlannedNode]:
    return {
        node.name: PlannedNode(node.site, node.racks, node.roles, node.addresses, node.vantage_only)
        for node in inventory.nodes
    }


def _refuse_quorum_loss(loaded: Loaded, outlooks: Sequence[Outlook], refusals: Problems) -> None:
    accepted = loaded.experiment.accept_quorum_loss
    for one in outlooks:
        if one.group.name in accepted:
            continue
        for fault in {fault.index: fault for fault, _, _ in one.lost}.values():
            group = one.group
            sides = next(cut.sides for cut in group.cuts if cut.fault == fault.planned.name)
            sizes = join([str(len(side.members)) for side in sides])
            what = (
                f"leaves Raft group {group.name} without quorum: its {len(group.members)} "
                f"members are split {sizes}, and none of them leads a majority of "
                f"{group.majority}; all writes stop"
            )
            todo = f"if that is meant, say so with accept_quorum_loss: [{group.name}]"
            add(refusals, loaded.positions, ("faults", fault.index), what, todo)


def _refuse_if_any(refusals: Problems) -> None:
    found = [problem.text(refusals.file) for problem in refusals]
    if found:
        raise Refused(
            f"{refusals.file} is refused: running it would be unsafe",
            "nothing was touched",
            problems=found,
        )


def _limits(
    loaded: Loaded, inventory: Inventory, aimed: Sequence[Aimed], outlooks: Sequence[Outlook],
    base_us: int | Mapping[str, int] | None,
) -> list[str]:  # fmt: skip
    """What the plan cannot know or promise; said before the run, not found out after it."""
    found = [text for one in outlooks for text in one.limits]
    for group in inventory.raft_groups:
        found += warnings(group, aimed, base_us)
    if any(fault.cut for fault in aimed) and inventory.raft_groups:
        found.append(
            "Who leads each Raft group at T0 is not known yet; an election happens only where "
            "the leader is cut off from the majority."
        )
    for fault in aimed:
        found += _bystanders(fault, inventory)
    lost = {one.group.name for one in outlooks if one.lost}
    for name in loaded.experiment.accept_quorum_loss:
        if name in lost:
            found.append(f"{name} loses its quorum: its writes stop. The experiment accepts it.")
        else:
            found.append(f"accept_quorum_loss names {name}, but no fault takes its quorum.")
    return found


def _bystanders(fault: Aimed, inventory: Inventory) -> list[str]:
    if not fault.cut:
        return []
    hit = {node for pair in fault.cut for node in pair}
    found = []
    outside = sorted(node for node in hit if not inventory.can_arm(node))
    if outside:
        found.append(
            f"{fault.planned.name}: {_some(outside)} hold no lease; the nodes on the other side "
            f"drop both what comes from them and what goes to them."
        )
    unheld = sorted({a for a, b in fault.cut if not (inventory.can_arm(a) or inventory.can_arm(b))})
    if unheld:
        found.append(
            f"{fault.planned.name}: between {_some(unheld)} nothing is cut unless a node with a "
            f"lease forwards their packets, since neither end holds one."
        )
    rest = sorted(node.name for node in inventory.nodes if node.name not in hit)
    if rest:
        found.append(
            f"{fault.planned.name}: on no side, and reached from all: {_some(rest)}."
        )  # fmt: skip
    return found


def _some(nodes: Sequence[str]) -> str:
    if len(nodes) <= SHOWN_MAX:
        return join(nodes)
    return f"{', '.join(nodes[:SHOWN_MAX])} and {len(nodes) - SHOWN_MAX} more"
