# SPDX-License-Identifier: Apache-2.0
"""A plan in words, for somebody who has to say yes to it. 100 columns, plain text."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Sequence
from typing import Any

from gameday.clock import NS_PER_MS, NS_PER_S
from gameday.measures.words import count
from gameday.plan import holders
from gameday.plan.model import Plan, PlannedFault, PlannedLease, PlannedProbe, Sampler
from gameday.plan.quorum import join

WIDTH = 100
LABEL = 12
MORE = " \\"
"""Ends a piece of a rule that goes on in the next line."""


def render_plan(plan: Plan) -> list[str]:
    """All lines of the plan; no line is wider than ``WIDTH``."""
    parts = [
        _head(plan), _timeline(plan), _targets(plan), _cuts(plan), _predictions(plan),
        _probes(plan), _proof(plan), _objectives(plan), _aborts(plan), _safety(plan),
        _limits(plan), _leases(plan),
    ]  # fmt: skip
    lines: list[str] = []
    for part in parts:
        if part:
            lines += ["", *part] if lines else part
    return lines


def _head(plan: Plan) -> list[str]:
    about = plan.experiment["metadata"]
    lines = [about["title"], "=" * len(about["title"]), ""]
    lines += _field("experiment", about["name"])
    lines += _field("why", about["why"])
    lines += _field("owner", about["owner"])
    for name, link in about.get("links", {}).items():
        lines += _field(name, link)
    return lines


def _timeline(plan: Plan) -> list[str]:
    time = plan.timeline
    total = time.steady_s + time.faults_end_s + time.recover_s
    lines = [f"Timeline: {total} s, plus preparation"]
    lines += _step(f"-{time.steady_s} s", "watch the steady state; the run stops here if it fails")
    for fault in sorted(plan.faults, key=lambda f: f.at_s):
        end, where = fault.at_s + fault.for_s, holders.place(fault)
        lines += _step(f"T0+{fault.at_s} s", f"{fault.name} ({fault.kind}) begins {where}")
        lines += _step(f"T0+{end} s", f"{fault.name} ends by itself, after {fault.for_s} s")
    done = time.faults_end_s + time.recover_s
    clean = "all of it" if any(holders.elsewhere(fault) for fault in plan.faults) else "every node"
    lines += _step(f"T0+{done} s", f"recovery has been watched; {clean} is proven clean")
    return lines


def _targets(plan: Plan) -> list[str]:
    lines = ["Targets, by site"]
    held: dict[str, list[str]] = {}
    for fault in plan.faults:
        for lease in fault.leases:
            for node in lease.hits:
                held.setdefault(node, []).append(fault.name)
    changed = holders.clusters(plan)
    for site, nodes in plan.sites.items():
        told = [f"its cluster (by {join(changed[site])})"] if site in changed else []
        for node in nodes:
            if node in held:
                told.append(node)
            elif plan.nodes[node].vantage_only:
                told.append(f"{node} (looks only, no fault is put here)")
            else:
                told.append(f"{node} (untouched)")
        lines += _field(site, ", ".join(told))
    return lines


def _cuts(plan: Plan) -> list[str]:
    lines: list[str] = []
    for fault in plan.faults:
        if not fault.sides and all(c.fault != fault.name for g in plan.groups for c in g.cuts):
            continue
        lines += [""] if lines else []
        lines.append(f"Who is where in {fault.name}")
        for side, nodes in fault.sides.items():
            lines += _field(side, f"{', '.join(nodes)}  ({count(len(nodes), 'node')})")
        for group in plan.groups:
            for cut in group.cuts:
                if cut.fault == fault.name:
                    lines += _quorum(group.name, len(group.members), group.majority, cut.sides)
    return lines


def _quorum(name: str, members: int, majority: int, sides: Sequence[Any]) -> list[str]:
    sum_ = f"majority {members} // 2 + 1 = {majority}"
    lines = ["", f"  Raft group {name}: {count(members, 'member')}, {sum_}"]
    for side in sides:
        size = len(side.members)
        sign = "<" if size < majority else ">="
        word = "no quorum: writes stop"
        if side.quorum:
            word = "quorum: writes go on"
        elif size >= majority:
            word = "no member reaches a majority directly: writes stop"
        lead = f"    {size} {sign:<2} {majority}  {word:<24} "
        lines += _wrap(lead + ", ".join(side.members), " " * len(lead))
    return lines


def _predictions(plan: Plan) -> list[str]:
    lines = ["Predicted outcome (the report puts what happens beside it)"]
    for number, one in enumerate(plan.predictions, start=1):
        lines += _wrap(f"  {number}. {one.text}.", "     ")
    if not plan.predictions:
        lines.append("  nothing: no Raft group is cut in a way that can be predicted")
    return lines


def _probes(plan: Plan) -> list[str]:
    effect = {check.probe for check in plan.effect.values()}
    shown = [probe for probe in plan.probes if probe.name not in effect]
    lines = ["Probes, and how exactly each can tell when something changed"]
    size = max((len(probe.name) for probe in shown), default=0)
    for probe in shown:
        width = duration(plan.widths[probe.name])
        lead = f"  {probe.name:<{size}}  "
        what = (
            f"{probe.kind}, every {duration(probe.period_ns)}, gives up after "
            f"{duration(probe.timeout_ns)}; a change is known to {width}"
        )
        lines += _wrap(lead + what, " " * len(lead))
        lines += _wrap(" " * len(lead) + _looks(probe), " " * len(lead))
    return lines


def _looks(probe: PlannedProbe) -> str:
    nodes = sorted({one.node for one in probe.samplers})
    targets = sorted({_target(one) for one in probe.samplers})
    if targets == ["listener"]:
        return f"listens on {join(nodes)}"
    if all(one.node == one.target for one in probe.samplers):
        return f"each of {', '.join(nodes)} looks at itself"
    return f"from {', '.join(nodes)} at {', '.join(targets)}"


def _target(sampler: Sampler) -> str:
    if not sampler.peers:
        return sampler.target
    return f"{sampler.target} (over {', '.join(name for name, _ in sampler.peers)})"


def _proof(plan: Plan) -> list[str]:
    if not plan.effect:
        return []
    lines = ["Proof of effect: the run does not count where this does not hold"]
    witness = {fault.name: holders.witness(fault) for fault in plan.faults}
    for fault, check in plan.effect.items():
        if not check.probe:
            text = f"  {fault}: {witness[fault]} it in effect inside the window"
            lines += _wrap(text, "    ")
            continue
        if check.cut:
            lines += _wrap(f"  {fault}, silent: {_pairs(check.cut)}", "    ")
        if check.shifted:
            lines += _wrap(f"  {fault}, slower or lossy: {_pairs(check.shifted)}", "    ")
        kept = _pairs(check.control) or "none can be chosen"
        lines += _wrap(f"  {fault}, as before: {kept}", "    ")
    return lines


def _pairs(pairs: Iterable[tuple[str, str]]) -> str:
    return ", ".join(f"{a} to {b}" for a, b in pairs)


def _objectives(plan: Plan) -> list[str]:
    found = plan.experiment["objectives"]
    lines = ["Objectives: what must hold"]
    if not found:
        lines.append("  none: the run only reports")
    size = min(max((len(one["name"]) for one in found), default=0), WIDTH // 2)
    for one in found:
        lines += _wrap(f"  {one['name']:<{size}}  {limit_text(one)}", " " * (size + 4))
    return lines


def limit_text(objective: dict[str, Any]) -> str:
    """An objective's limit in words."""
    if "at_most_ms" in objective:
        return f"at most {duration(objective['at_most_ms'] * NS_PER_MS)}"
    if "at_most_percent" in objective:
        return f"at most {objective['at_most_percent']} %"
    if "at_most" in objective:
        return f"at most {objective['at_most']}"
    return "reported only"


def _aborts(plan: Plan) -> list[str]:
    lines = ["Every fault is ended early when"]
    for one in plan.experiment["abort"]:
        text = f"{one['name']}: no look of {one['probe']} succeeded for {one['failed_for_s']} s"
        lines += _wrap(f"  - {text}", "    ")
    lines += _wrap("  - you press Ctrl-C, or the estate is not steady to begin with", "    ")
    return lines


def _leases(plan: Plan) -> list[str]:
    lines: list[str] = []
    for fault in plan.faults:
        many = count(len(fault.leases), "lease")
        lines += [""] if lines else []
        where = holders.place(fault, "on each node")
        lines += _wrap(f"What {fault.name} sets {where}, and how it is undone: {many}", "  ")
        for leases in _alike(fault):
            lines += _lease_lines(leases, holders.elsewhere(fault) is not None)
    return lines


def _alike(fault: PlannedFault) -> list[list[PlannedLease]]:
    """Leases that differ in nothing but their node and id are shown once."""
    found: dict[tuple[str, ...], list[PlannedLease]] = {}
    for lease in fault.leases:
        key = tuple(line.replace(lease.id, "ID") for line in (*lease.rules, "undo", *lease.undo))
        found.setdefault(key, []).append(lease)
    return list(found.values())


def _lease_lines(leases: Sequence[PlannedLease], by_controller: bool) -> list[str]:
    first = leases[0]
    several = len(leases) > 1
    who = ", ".join(f"{one.node} (ID {one.id})" for one in leases)
    lines = ["", *_wrap(f"  {'held by' if by_controller else 'on'} {who}", "     ")]
    for word, rules in (("sets", first.rules), ("undo", first.undo)):
        lines.append(f"    {word}:")
        for rule in rules:
            text = rule.replace(first.id, "ID") if several else rule
            lines += _rule(text)
    return lines


def _rule(text: str) -> list[str]:
    """An exact rule; where it is too long, it goes on after a backslash as in a shell."""
    lead, more = " " * 6, " " * 10
    if len(lead) + len(text) <= WIDTH:
        return [lead + text]
    pieces = textwrap.wrap(
        text, WIDTH - len(MORE), initial_indent=lead, subsequent_indent=more,
        break_long_words=False, break_on_hyphens=False,
    )  # fmt: skip
    return [piece + MORE for piece in pieces[:-1]] + pieces[-1:]


def _safety(plan: Plan) -> list[str]:
    lines = ["Why this ends"]
    for text in holders.ends(plan):
        lines += _wrap(f"  {text}", "  ")
    return lines


def _limits(plan: Plan) -> list[str]:
    if not plan.limits:
        return []
    lines = ["Limits: what this plan does not know or cannot promise"]
    for text in plan.limits:
        lines += _wrap(f"  - {text}", "    ")
    return lines


def duration(nanoseconds: int) -> str:
    """``250 ms``, ``1.5 s``, ``30 s``."""
    if nanoseconds < NS_PER_S:
        return f"{nanoseconds // NS_PER_MS} ms"
    whole, rest = divmod(nanoseconds // NS_PER_MS, 1000)
    fraction = f".{rest:03d}".rstrip("0") if rest else ""
    return f"{whole}{fraction} s"


def _field(label: str, text: str) -> list[str]:
    lead = f"  {label:<{LABEL - 1}} "
    return _wrap(lead + text.strip(), " " * (LABEL + 2))


def _step(moment: str, text: str) -> list[str]:
    return _wrap(f"  {moment:>{LABEL - 1}}  {text}", " " * (LABEL + 3))


def _wrap(text: str, indent: str) -> list[str]:
    lead = len(text) - len(text.lstrip(" "))
    return textwrap.wrap(
        text[lead:], WIDTH, initial_indent=" " * lead, subsequent_indent=indent,
        break_long_words=True, break_on_hyphens=False, drop_whitespace=True,
        fix_sentence_endings=False,
    )  # fmt: skip
