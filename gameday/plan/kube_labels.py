# SPDX-License-Identifier: Apache-2.0
"""Which labels of a cluster's nodes say where they are, from inventory variables. Pure.

Clusters of one region have it as their label's value, and many name their sites by zone, so an
inventory says which labels its clusters use: once for all, or for a site.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from gameday.errors import InvalidInput
from gameday.plan.ansible_source import RawHost, RawInventory
from gameday.plan.clusters import CONTEXT, WHERE, Complain, Host, of_site
from gameday.plan.kube_nodes import REGION_LABEL, ZONE_LABEL

SITE_LABEL, RACK_LABEL = "gameday_site_label", "gameday_rack_label"
DEFAULTS: Mapping[str, str] = {SITE_LABEL: REGION_LABEL, RACK_LABEL: ZONE_LABEL}
OPTIONS: Mapping[str, str] = {SITE_LABEL: "--site-label", RACK_LABEL: "--rack-label"}
VARIABLES = tuple(DEFAULTS)

PREFIX_MAX = 253
KEY = re.compile(
    r"(?:(?P<prefix>[a-z0-9](?:[a-z0-9.-]*[a-z0-9])?)/)?"
    r"[A-Za-z0-9](?:[A-Za-z0-9_.-]{0,61}[A-Za-z0-9])?"
)
"""A label's key as Kubernetes takes it: a DNS name and a slash, where it has them, and a name."""


@dataclass(frozen=True)
class Labels:
    """Labels of nodes that say where they are."""

    site: str = REGION_LABEL
    rack: str = ZONE_LABEL


def read(hosts: Sequence[Host], complain: Complain) -> Mapping[str, Labels]:
    """Labels by site; sites that say nothing of them are absent.

    Args:
        hosts: all of the inventory. complain: is told every mistake.
    """
    found: dict[str, Labels] = {}
    for site in sorted({host.site for host in hosts if host.site}):
        values = of_site([host for host in hosts if host.site == site], VARIABLES, complain)
        good = dict(DEFAULTS)
        for name, (host, value) in values.items():
            wrong = _wrong(value)
            if wrong:
                todo = f"write a label's key in quotes, as in {DEFAULTS[name]}"
                complain(host, name, wrong, todo)
            else:
                good[name] = value
        if values:
            found[site] = Labels(good[SITE_LABEL], good[RACK_LABEL])
    return found


def _wrong(value: Any) -> str:
    if not isinstance(value, str):
        return "is not text"
    match = KEY.fullmatch(value)
    if match is None or len(match["prefix"] or "") > PREFIX_MAX:
        return f"cannot be {value[:80]!r}, which is no key of a label"
    return ""


def for_import(
    raw: RawInventory, clusters: Sequence[Mapping[str, str]], given: Mapping[str, str | None]
) -> Labels:
    """The labels to import by: as an option says, else as the inventory does, else the defaults.

    Args:
        clusters: the variables that name each cluster to import.
        given: variable to the option's value, ``None`` where the option was not given.

    Raises:
        InvalidInput: where the inventory says different ones for these clusters, or what is
            given is no label.
    """
    for name, value in given.items():
        if value is not None and _wrong(value):
            raise InvalidInput(f"{OPTIONS[name]} {_wrong(value)}",
                               f"write it as in {DEFAULTS[name]}")  # fmt: skip
    found = {name: value or _said(raw, clusters, name) for name, value in given.items()}
    return Labels(found[SITE_LABEL], found[RACK_LABEL])


def _said(raw: RawInventory, clusters: Sequence[Mapping[str, str]], name: str) -> str:
    own = [host for host in raw.hosts if any(_is_of(host, one) for one in clusters)]
    values = {str(host.variables.get(name) or DEFAULTS[name]) for host in own or raw.hosts}
    if not own and DEFAULTS[name] in values:
        # A site of its own; what other sites say is theirs alone, since not all say it.
        return DEFAULTS[name]
    if len(values) > 1:
        what = f"{name} differs between sites: {' and '.join(sorted(values))}"
        raise InvalidInput(what, f"say which with {OPTIONS[name]}, or import one cluster at a time")
    return next(iter(values), DEFAULTS[name])


def _is_of(host: RawHost, cluster: Mapping[str, str]) -> bool:
    """Whether a host's site is of the cluster that these variables name."""
    return any(name in cluster and host.variables.get(name) == cluster[name]
               for name in (CONTEXT, WHERE))  # fmt: skip


def to_add(site: str, hosts: Sequence[RawHost], labels: Labels) -> tuple[dict[str, str], list[str]]:
    """(variables that a site lacks, notes) after an import by these labels.

    Args:
        hosts: of the site, as the inventory has them: what it says stays.
    """
    lacking: dict[str, str] = {}
    notes = []
    for name, value in ((SITE_LABEL, labels.site), (RACK_LABEL, labels.rack)):
        have = next((str(h.variables[name]) for h in hosts if h.variables.get(name)), None)
        if have is None and value != DEFAULTS[name]:
            lacking[name] = value
        elif have is not None and have != value:
            notes.append(f"{site}: {name} is {have} and stays so; this import has {value}")
    return lacking, notes
