# SPDX-License-Identifier: Apache-2.0
"""What a run with nobody at the keyboard would ask for, found when its drill is added."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

import paramiko
from paramiko.pkey import UnknownKeyType

from gameday.conduct.fleet import addresses
from gameday.conduct.preflight import lease_nodes, vantages
from gameday.drills import announce
from gameday.drills.lock import state_directory
from gameday.errors import InvalidInput
from gameday.plan import Inventory, Plan
from gameday.plan.bmc import ENVIRONMENT_NAME
from gameday.report.sign import SigningKey, load_signing_key
from gameday.transport.pinned import not_pinned, open_keys

KEPT = ("ANSIBLE_CONFIG", "ANSIBLE_VAULT_PASSWORD_FILE", "ANSIBLE_VAULT_IDENTITY_LIST")
"""Variables that say where things are, and hold no secret: a drill keeps them as they are now."""

DEFAULT_KEYS = ("id_ed25519", "id_ecdsa", "id_rsa")
ENVIRONMENT_BYTES_MAX = 65_536


def kept(environment: Mapping[str, str]) -> dict[str, str]:
    """What of our environment a drill needs later, as full paths."""
    found = {name: environment[name] for name in KEPT if environment.get(name)}
    if "ANSIBLE_CONFIG" not in found and Path("ansible.cfg").is_file():
        # Ansible would read it because we are here; nobody will be.
        found["ANSIBLE_CONFIG"] = "ansible.cfg"
    full = {
        name: value if name == "ANSIBLE_VAULT_IDENTITY_LIST" else os.path.abspath(value)
        for name, value in found.items()
    }
    # The lock is there, which a run by hand and a timer's must share.
    return {**full, "XDG_STATE_HOME": str(state_directory().parent)}


def read_environment(path: Path) -> dict[str, str]:
    """Variables from a file with lines ``NAME=value``; it may hold secrets.

    Raises:
        InvalidInput: what is wrong, without any value.
    """
    try:
        text = path.read_text(encoding="utf-8")[:ENVIRONMENT_BYTES_MAX]
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "is not text"
        raise InvalidInput(f"environment file {path}: {reason}") from error
    if open_keys([str(path)]):
        raise InvalidInput(f"environment file {path} may be read by others", f"chmod 600 {path}")
    found = {}
    for number, line in enumerate(text.splitlines(), start=1):
        name, equals, value = line.strip().partition("=")
        if not name or name.startswith("#"):
            continue
        if not equals or not ENVIRONMENT_NAME.match(name):
            raise InvalidInput(f"environment file {path}:{number}: not NAME=value")
        quoted = len(value) > 1 and value[0] == value[-1] and value[0] in "'\""
        found[name] = value[1:-1] if quoted else value
    return found


def signing_key(path: Path) -> SigningKey:
    """A key that signs without being asked for anything.

    Raises:
        InvalidInput: where there is none, or it asks for a passphrase.
    """

    def ask(_: str) -> bytes:
        raise InvalidInput(
            f"signing key {path} asks for a passphrase, and nobody will be there to type it",
            f"make one for drills: gameday keygen --key {path.parent}/drill_key, and name it "
            "with --key",
        )

    return load_signing_key(path, ask)


def wants(inventory: Inventory, plan: Plan) -> list[str]:
    """Everything that a run of this plan would stumble over without a person, each with what to
    do. The environment is as the run will have it."""
    data = plan.to_json()
    reached = {*lease_nodes(data), *vantages(data)} & set(inventory.by_name)
    ways = addresses(inventory.to_json(), sorted(reached))
    said = not_pinned(ways) + open_keys(one.key_file for one in ways if one.key_file)
    found = [f"{name}: {what}; {todo}" for name, what, todo in said]
    for path in sorted({one.key_file for one in ways if one.key_file}):
        why = _locked(Path(path))
        if why:
            found.append(f"SSH key {path} {why}; give gameday a key of its own, protected by its "
                         "file's mode")  # fmt: skip
    without = [one.node for one in ways if not one.key_file]
    if without and not _default_key():
        found.append(
            f"{', '.join(without[:5])}: no ansible_ssh_private_key_file, no default key without a "
            "passphrase, and an agent is not there when nobody is logged in; name a key file"
        )
    asked = {one["node"] for fault in plan.faults for lease in fault.leases
             for one in lease.spec.get("systems", ())}  # fmt: skip
    names = {name for node in inventory.nodes if node.bmc and node.name in asked
             for name in (node.bmc["user_env"], node.bmc["password_env"]) if name}  # fmt: skip
    found += [f"environment variable {name}, which the inventory names for a BMC, will not be "
              "set; put it into a file and name that with --environment-file"
              for name in sorted(names - set(os.environ))]  # fmt: skip
    return found + announce.missing(inventory.policy.announcements)


def _default_key() -> bool:
    paths = [Path.home() / ".ssh" / name for name in DEFAULT_KEYS]
    return any(path.is_file() and not _locked(path) for path in paths)


def _locked(path: Path) -> str:
    """Why an SSH key cannot be used as it is; empty where it can, or is missing."""
    try:
        paramiko.PKey.from_path(path)
    except (FileNotFoundError, paramiko.PasswordRequiredException, TypeError) as error:
        # That it is missing is said elsewhere; TypeError is cryptography's word for locked.
        return "" if isinstance(error, FileNotFoundError) else "asks for a passphrase"
    except (OSError, ValueError, paramiko.SSHException, UnknownKeyType) as error:
        return f"cannot be read ({type(error).__name__})"
    return ""
