# SPDX-License-Identifier: Apache-2.0
"""The way to a node as OpenSSH would find it: Ansible's variables, then ``~/.ssh/config``.

Both ways must be the same: playbooks go through ``ssh``, runs through paramiko. The plan needs
the real addresses too, since no fault may cut the way that it is controlled by.

Read are HostName, Port, User, IdentityFile, ProxyJump, Include, Host and Match; of ProxyCommand
only ``ssh -W``, which says the same as ProxyJump. The system's own ``ssh_config`` is not read.
"""

from __future__ import annotations

import getpass
import glob
import re
import shlex
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from paramiko import SSHConfig

ARGUMENTS = ("ansible_ssh_args", "ansible_ssh_common_args", "ansible_ssh_extra_args")
"""In the order in which Ansible gives them to ``ssh``; the first value of an option counts."""

JUMPS_MAX, INCLUDES_MAX = 8, 16
"""A way with more machines in between is a circle; OpenSSH allows sixteen levels of Include."""

VALUED = "BbcDEeFIiJLlmOopQRSWw"
"""Options of ``ssh`` that take a value."""

JUMP = re.compile(
    r"(?:ssh://)?(?:(?P<user>[^@]+)@)?(?P<host>\[[^]]+\]|[^:\[\]]+)(?::(?P<port>\d+))?/?"
)


class NoWay(ValueError):
    """A way that gameday cannot go; says what and what to do."""

    def __init__(self, what: str, todo: str) -> None:
        super().__init__(what)
        self.what, self.todo = what, todo


@dataclass(frozen=True)
class Jump:
    """A host that is logged in to on the way.

    Attributes:
        key_file: path of its key; None for the agent and the default keys.
    """

    host: str
    port: int
    user: str
    key_file: str | None


@dataclass(frozen=True)
class Way:
    """What OpenSSH makes of a host's name; empty or None where nothing says."""

    host: str
    port: int | None
    user: str
    key_file: str | None
    jumps: tuple[Jump, ...]


class Ways:
    """Finds ways; reads each configuration file once."""

    def __init__(self, default: Path | None = None) -> None:
        self._default = default or Path.home() / ".ssh" / "config"
        self._read: dict[Path, SSHConfig | None] = {}

    def find(self, name: str, variables: Mapping[str, Any]) -> Way:
        """The way to what Ansible would call ``ssh`` with.

        Args:
            name: ``ansible_host``, or the host's name in the inventory. variables: of the host.

        Raises:
            NoWay: where it leads through what gameday does not know.
        """
        told = options(variables)
        config = self._config(told.get("configfile", ""))
        found = _look_up(config, name, told.get("user", ""))
        if {"proxyjump", "proxycommand"} & told.keys():
            found = {k: v for k, v in found.items() if not k.startswith("proxy")}
        found = {**found, **told}
        port = str(found.get("port", ""))
        jumps = self._jumps(found, config, name, 0)
        return Way(
            str(found.get("hostname", name)), int(port) if port.isdigit() else None,
            str(found.get("user", "")), _key(found), tuple(jumps),
        )  # fmt: skip

    def _jumps(
        self, told: Mapping[str, Any], config: SSHConfig | None, name: str, depth: int
    ) -> Iterator[Jump]:
        proxy, key = _proxy(told)
        if depth > JUMPS_MAX:
            raise NoWay(f"the way to {name} goes through more than {JUMPS_MAX} hosts",
                        "does a ProxyJump lead back to itself?")  # fmt: skip
        for place, word in enumerate(part.strip() for part in proxy.split(",") if part.strip()):
            match = JUMP.fullmatch(word)
            if match is None:
                raise NoWay(f"ProxyJump {word} is no host", "write it as in user@bastion:22")
            host = match["host"].strip("[]")
            found = _look_up(config, host, match["user"] or "")
            if place == 0:
                # Only the first is reached from here, by its own way.
                yield from self._jumps(found, config, name, depth + 1)
            yield Jump(
                str(found.get("hostname", host)), int(match["port"] or found.get("port", 22)),
                match["user"] or str(found.get("user", "")) or getpass.getuser(),
                key or _key(found),
            )  # fmt: skip

    def _config(self, named: str) -> SSHConfig | None:
        path = Path(named).expanduser() if named else self._default
        if path not in self._read:
            self._read[path] = _parsed(path, must=bool(named))
        return self._read[path]


def options(variables: Mapping[str, Any]) -> dict[str, str]:
    """What Ansible's variables with arguments for ``ssh`` say, by the names of its options.

    Raises:
        NoWay: where the arguments cannot be split into words.
    """
    found: dict[str, str] = {}
    try:
        words = [w for name in ARGUMENTS for w in shlex.split(str(variables.get(name) or ""))]
    except ValueError as error:
        raise NoWay(f"arguments for ssh: {error}", "correct the quotes") from error
    names = {"J": "proxyjump", "F": "configfile", "p": "port", "l": "user", "i": "identityfile"}
    rest = iter(words)
    for word in rest:
        match = re.match(rf"-\w*?([{VALUED}])(.*)", word)
        if match is None:
            continue
        letter, value = match[1], match[2] or next(rest, "")
        if letter == "o":
            name, _, value = value.replace("=", " ", 1).strip().partition(" ")
            found.setdefault(name.lower(), value.strip().strip('"'))
        elif letter in names:
            found.setdefault(names[letter], value)
    return found


def included(path: Path, depth: int = 0) -> str:
    """A configuration file with the files that it includes in their places.

    Raises:
        NoWay: where a file cannot be read, or includes itself.
    """
    if depth > INCLUDES_MAX:
        raise NoWay(f"{path} is included too deep", "does a file include itself?")
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise NoWay(f"{path} cannot be read: {getattr(error, 'strerror', None) or error}",
                    "correct it, or its permissions") from error  # fmt: skip
    found, block = [], "Host *"
    for line in lines:
        word, _, value = line.strip().replace("=", " ", 1).partition(" ")
        if word.lower() in ("host", "match"):
            block = line
        if word.lower() != "include":
            found.append(line)
            continue
        for pattern in shlex.split(value):
            full = Path.home() / ".ssh" / Path(pattern).expanduser()
            found += [included(Path(one), depth + 1) for one in sorted(glob.glob(str(full)))]
        # What an included file says of its hosts ends with it.
        found.append(block)
    return "\n".join(found)


def read(
    ways: Ways, name: str, variables: Mapping[str, Any], problem: Callable[[str, str, str], None]
) -> Way:
    """As ``Ways.find``; a way that cannot be gone is a problem of the inventory.

    Args:
        problem: told (variable, what, what to do).
    """
    try:
        return ways.find(name, variables)
    except NoWay as error:
        given = [one for one in ARGUMENTS if variables.get(one)]
        problem(given[0] if given else "ansible_host", error.what, error.todo)
        return Way(name, None, "", None, ())


def _parsed(path: Path, must: bool) -> SSHConfig | None:
    import paramiko

    if not must and not path.exists():
        return None
    try:
        return paramiko.SSHConfig.from_text(included(path))
    except paramiko.SSHException as error:
        raise NoWay(f"{path}: {error}", "correct it there") from error


def _look_up(config: SSHConfig | None, name: str, user: str) -> dict[str, Any]:
    import paramiko

    if config is None:
        return {}
    try:
        found = dict(config.lookup(name))
    except (paramiko.SSHException, ImportError) as error:
        # ``Match exec`` would need a library that nobody else asks for.
        raise NoWay(
            f"the configuration of ssh, for {name}: {error}", "write it with Host"
        ) from None
    return {**found, **({"user": user} if user else {})}


def _proxy(found: Mapping[str, Any]) -> tuple[str, str | None]:
    """(jump hosts of a look-up, as ProxyJump has them, "" for none; the key of a command)."""
    jump, command = str(found.get("proxyjump") or ""), str(found.get("proxycommand") or "")
    if jump:
        return ("", None) if jump.lower() == "none" else (jump, None)
    if not command or command.lower() == "none":
        return "", None
    words = shlex.split(command)
    given = options({ARGUMENTS[0]: command.partition(" ")[2]})
    hosts, rest = [], iter(words[1:])
    for word in rest:
        if re.fullmatch(rf"-[{VALUED}]", word):
            next(rest, "")
        elif not word.startswith("-"):
            hosts.append(word)
    if Path(words[0]).name != "ssh" or "-W" not in command or len(hosts) != 1:
        raise NoWay(f"ProxyCommand {command!r} is no way that gameday knows",
                    "write it as ProxyJump, as in -o ProxyJump=user@bastion")  # fmt: skip
    user, port = given.get("user", ""), given.get("port", "")
    word = (f"{user}@" if user else "") + hosts[0] + (f":{port}" if port else "")
    return word, _key(given)


def _key(found: Mapping[str, Any]) -> str | None:
    """The first key that is there, else the first that is named."""
    named = found.get("identityfile") or []
    paths = [str(Path(one).expanduser()) for one in ([named] if isinstance(named, str) else named)]
    return next((one for one in paths if Path(one).exists()), paths[0] if paths else None)
