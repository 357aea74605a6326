# SPDX-License-Identifier: Apache-2.0
"""Which Kubernetes cluster each site has, from inventory variables; credentials stay in files.

A site has a cluster where its group names a context, or says ``in-cluster``. The kubeconfig may
be one for all. Two sites that name the same context are one cluster, stretched over both.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

KUBECONFIG, CONTEXT, WHERE = "gameday_kubeconfig", "gameday_context", "gameday_kubernetes"
VARIABLES = (KUBECONFIG, CONTEXT, WHERE)
IN_CLUSTER = "in-cluster"

TEXT_MAX = 4096
"""As long as a path may be; no context is longer."""

Complain = Callable[[str, str, str, str], None]
"""Takes the host whose variable it is, the variable, what is wrong with it, and what to do."""


class Host(NamedTuple):
    """A host as far as its site's cluster is concerned; ``own`` its resolved variables."""

    name: str
    site: str
    own: Mapping[str, Any]


def read(
    hosts: Sequence[Host], file: Callable[[Any], str | None], complain: Complain
) -> Mapping[str, Mapping[str, Any]]:
    """Clusters by site; sites without one are absent.

    Args:
        hosts: all of the inventory. file: resolves a path as the inventory's others are.
        complain: is told every mistake.
    """
    found: dict[str, Mapping[str, Any]] = {}
    for site in sorted({host.site for host in hosts if host.site}):
        values = of_site([host for host in hosts if host.site == site], VARIABLES, complain)
        cluster = _cluster(site, values, file, complain)
        if cluster is not None:
            found[site] = cluster
    named = {CONTEXT, WHERE} & {name for host in hosts for name in host.own}
    given = next((host for host in hosts if host.own.get(KUBECONFIG)), None)
    if given is not None and not named:
        todo = f"set {CONTEXT} on each site; a file's current context changes by hand"
        complain(given.name, KUBECONFIG, "is set and no site names a context", todo)
    return found


def of_site(
    hosts: Sequence[Host], names: Sequence[str], complain: Complain
) -> dict[str, tuple[str, Any]]:
    """Each variable's value with a host that has it; all hosts of a site must see it alike."""
    found: dict[str, tuple[str, Any]] = {}
    for name in names:
        values = [(host.name, host.own.get(name)) for host in hosts]
        first, value = values[0]
        other = next((one for one in values if one[1] != value), None)
        if other is not None:
            what = f"differs between {first} and {other[0]}, which are in one site"
            complain(first, name, what, "set it once, in the vars of the site's group")
        if value not in (None, ""):
            found[name] = (first, value)
    return found


def _cluster(
    site: str, values: Mapping[str, tuple[str, Any]], file: Callable[[Any], str | None],
    complain: Complain,
) -> Mapping[str, Any] | None:  # fmt: skip
    wrong = _wrong(site, values)
    if wrong is not None:
        name, what, todo = wrong
        complain(values[name][0], name, what, todo)
        return None
    if WHERE in values:
        return {"kubeconfig": "", "context": "", "in_cluster": True}
    if CONTEXT not in values:
        return None
    path, context = file(values[KUBECONFIG][1]), values[CONTEXT][1]
    return {"kubeconfig": path, "context": context, "in_cluster": False}


def _wrong(site: str, values: Mapping[str, tuple[str, Any]]) -> tuple[str, str, str] | None:
    """The variable, what is wrong with it, and what to do."""
    for name, (_, value) in values.items():
        if not isinstance(value, str) or not value.isprintable() or len(value) > TEXT_MAX:
            return name, "is not text", "put it in quotes"
    if WHERE in values and values[WHERE][1] != IN_CLUSTER:
        todo = f"write {IN_CLUSTER}, or leave it out and set {KUBECONFIG} and {CONTEXT}"
        return WHERE, f"cannot be {values[WHERE][1]}", todo
    if WHERE in values and CONTEXT in values:
        return CONTEXT, f"names a context, and {WHERE} says {IN_CLUSTER}", "keep one of them"
    if CONTEXT in values and KUBECONFIG not in values:
        what = f"names a context of {site} and no file has it"
        return CONTEXT, what, f"set {KUBECONFIG}, or {WHERE}: {IN_CLUSTER}"
    return None
