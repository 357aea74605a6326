# SPDX-License-Identifier: Apache-2.0
"""BMCs by Redfish. Runs on the controller's host only, where ``sushy`` is installed.

Credentials are read where they are used and nowhere kept: basic authentication, so that no
session is left open on a BMC that has room for a few; what a library says of a failure is
searched for them before it is passed on.
"""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any, Callable, Dict, Sequence, Tuple, TypeVar

from gameday.errors import NodeError
from gameday.faults.hosts.power import Supply, System

TIMEOUT_S = 6
"""A BMC answers within a second or two; one that hangs must not hold up the others' end."""

TRIES, PAUSE_S = 3, 1
"""BMCs that are busy with themselves refuse connections, or answer 5xx to a read; sushy then asks
again this often, in seconds. What acts is asked again only where no answer came: the same reset
twice leaves a machine as one does."""

PARALLEL = 16
"""BMCs asked at once: a rack loses its power as one."""

REASON_MAX = 300

T = TypeVar("T")


def supplies(systems: Sequence[System]) -> Dict[str, Supply]:
    """See ``Power``."""
    found = _each(systems, _supply)
    return {node: Supply(error=one) if isinstance(one, str) else one for node, one in found.items()}


def reset(systems: Sequence[System], kinds: Sequence[str]) -> Dict[str, str]:
    """See ``Power``."""
    return {node: one or "" for node, one in _each(systems, partial(_reset, kinds)).items()}


def credentials(system: System) -> Tuple[str, str]:
    """(user, password) of a system, from where the inventory says.

    Raises:
        NodeError: where they are not there, or the file is open to others; never with them.
    """
    path = system.get("credentials_file", "")
    if path:
        return _from_file(Path(path))
    found = []
    for key in ("user_env", "password_env"):
        name = system[key]
        if not os.environ.get(name):
            raise NodeError(f"the environment variable {name} is not set for gameday")
        found.append(os.environ[name])
    return found[0], found[1]


def _from_file(path: Path) -> Tuple[str, str]:
    try:
        facts = path.stat()
        if facts.st_mode & 0o077:
            raise NodeError(f"{path} is open to others; chmod 0600 it")
        if facts.st_uid not in (0, os.geteuid()):
            raise NodeError(f"{path} belongs to somebody else")
        pairs = [x.split("=", 1) for x in path.read_text("utf-8").splitlines() if "=" in x]
    except (OSError, UnicodeDecodeError) as error:
        raise NodeError(f"cannot read {path}: {type(error).__name__}") from None
    found = {key.strip(): value.strip() for key, value in pairs}
    if not found.get("username") or not found.get("password"):
        raise NodeError(f"{path} lacks a line username=... or password=...")
    return found["username"], found["password"]


def _each(systems: Sequence[System], ask: Callable[[Any], Any]) -> Dict[str, Any]:
    """What each system's BMC answers, or a text that says why it did not."""

    def one(system: System) -> Any:
        secrets: Tuple[str, ...] = ()
        try:
            secrets = credentials(system)
            return ask(_open(system, secrets))
        except Exception as error:  # noqa: BLE001 - the others' power must not depend on it
            return _reason(error, secrets)

    with ThreadPoolExecutor(max_workers=PARALLEL) as pool:
        answers = list(pool.map(one, systems))
    return {str(system["node"]): answers[i] for i, system in enumerate(systems)}


def _open(system: System, secrets: Tuple[str, ...]) -> Any:
    import sushy
    from sushy import auth, connector

    base, _, path = str(system["url"]).partition("/redfish/v1")
    how = connector.Connector(
        base, verify=system.get("ca_file") or True, default_request_timeout=TIMEOUT_S,
        connect_timeout=TIMEOUT_S, server_side_retries=TRIES, server_side_retries_delay=PAUSE_S,
    )  # fmt: skip
    root = sushy.Sushy(base, auth=auth.BasicAuth(*secrets), connector=how)
    if path.strip("/"):
        return root.get_system(f"/redfish/v1{path}")
    names = root.get_system_collection().members_identities
    if len(names) != 1:
        raise NodeError(f"its BMC has {len(names)} systems; add the path of one to gameday_bmc_url")
    return root.get_system(names[0])


def _supply(found: Any) -> Supply:
    return Supply(
        str(getattr(found.power_state, "value", found.power_state) or ""),
        str(found.json.get("PowerRestorePolicy") or ""),
        tuple(sorted(one.value for one in found.get_allowed_reset_system_values())),
        str(found.uuid or ""),
    )


def _reset(kinds: Sequence[str], found: Any) -> str:
    import sushy

    allowed = {one.value for one in found.get_allowed_reset_system_values()}
    chosen = next((kind for kind in kinds if kind in allowed), "")
    if not chosen:
        raise NodeError(f"its BMC allows none of {', '.join(kinds)}")
    found.reset_system(sushy.ResetType(chosen))
    return ""


def _reason(error: Exception, secrets: Sequence[str]) -> str:
    text = str(error) if isinstance(error, NodeError) else f"{type(error).__name__}: {error}"
    for secret in secrets:
        text = text.replace(secret, "***")
    return text[:REASON_MAX]
