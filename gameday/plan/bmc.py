# SPDX-License-Identifier: Apache-2.0
"""How a machine's BMC is reached, from inventory variables; credentials by reference only."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import urlsplit

URL, USER, PASSWORD = "gameday_bmc_url", "gameday_bmc_user_env", "gameday_bmc_password_env"
FILE, AUTHORITY = "gameday_bmc_credentials_file", "gameday_bmc_ca_file"
VARIABLES = (URL, USER, PASSWORD, FILE, AUTHORITY)

ENVIRONMENT_NAME = re.compile(r"^[A-Za-z_][A-Za-z0-9_]{0,99}$")

Complain = Callable[[str, str, str], None]
"""Takes a variable, what is wrong with it, and what to do."""


def read(
    variables: Mapping[str, Any], file: Callable[[Any], str | None], complain: Complain
) -> Mapping[str, str] | None:
    """A system as ``gameday.faults.hosts.power`` wants it; ``None`` where no BMC is named.

    Args:
        variables: of the host. file: resolves a path as the inventory's others are.
        complain: is told every mistake.
    """
    given = {name: str(variables[name]) for name in VARIABLES if variables.get(name)}
    if not given:
        return None
    url = given.get(URL, "").rstrip("/")
    problem = _wrong_url(url)
    if problem:
        complain(URL, *problem)
    for name in (USER, PASSWORD):
        if name in given and not ENVIRONMENT_NAME.match(given[name]):
            # What stands there may be the secret itself, so it is not repeated.
            complain(name, "is no name of an environment variable", "name one, as in BMC_PASSWORD")
    pair = {USER, PASSWORD} & set(given)
    if (FILE in given) == bool(pair) or len(pair) == 1:
        todo = f"set {FILE}, or both {USER} and {PASSWORD}"
        complain(URL, "does not say where the credentials are", todo)
    return {
        "url": url,
        "user_env": given.get(USER, ""),
        "password_env": given.get(PASSWORD, ""),
        "credentials_file": file(given.get(FILE)) or "",
        "ca_file": file(given.get(AUTHORITY)) or "",
    }


def _wrong_url(url: str) -> tuple[str, str] | None:
    try:
        parts = urlsplit(url)
        host = parts.hostname or ""
        named = parts.username is not None or parts.password is not None
    except ValueError:
        return "is no URL", "write it as in https://10.0.0.1"
    if named:
        return "holds credentials", f"name them by {FILE}, or by {USER} and {PASSWORD}"
    if parts.scheme not in ("http", "https") or not host or parts.query or parts.fragment:
        return "is no URL of a BMC", "write it as in https://10.0.0.1"
    if parts.path and not parts.path.startswith("/redfish/v1/Systems/"):
        return f"has the path {parts.path}", "leave it out, or write /redfish/v1/Systems/<name>"
    if parts.scheme == "http" and not _is_loopback(host):
        return "would send credentials in the clear", "use https; its CA goes in " + AUTHORITY
    return None


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
