# SPDX-License-Identifier: Apache-2.0
"""bird's table over its control socket, as ``birdc`` reads it. Nodes: Python 3.9 syntax."""

from __future__ import annotations

import re
import socket
from typing import Dict, List, Tuple

from gameday.probes.bgp_table import Route, Table
from gameday.probes.deadline import BODY_BYTES_MAX, Deadline

ESTABLISHED = "Established"
STATES = ("Idle", "Connect", "Active", "OpenSent", "OpenConfirm", ESTABLISHED, "Passive", "Close")
NOT_IN_TABLE = "8001"
SESSION = re.compile(r"^(\S+)\s+BGP\s+\S+\s+(\S+)\s+(.*)$")
ROUTE = re.compile(r"\[(\S+) ")
NUMBER = re.compile(r"\d+")


def read(path: str, prefix: str, deadline: Deadline) -> Table:
    """Sessions and routes, in one conversation that may change nothing (``restrict``).

    Raises:
        OSError: where bird cannot be asked in time. ValueError: where it answers with an error.
    """
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as talk:
        talk.settimeout(deadline.left_s())
        talk.connect(path)
        conversation = Conversation(talk, deadline)
        conversation.answer()
        conversation.ask("restrict")
        sessions = sessions_of(conversation.ask("show protocols"))
        return Table(routes_of(conversation.ask(f"show route all {prefix}")), sessions)


class Conversation:
    """Questions and answers on one control socket; every line has a code or goes on."""

    def __init__(self, talk: socket.socket, deadline: Deadline) -> None:
        self._talk, self._deadline, self._rest = talk, deadline, b""

    def ask(self, command: str) -> List[str]:
        """The lines of one answer, without their codes; see ``answer``."""
        self._talk.settimeout(self._deadline.left_s())
        self._talk.sendall(command.encode() + b"\n")
        return self.answer()

    def answer(self) -> List[str]:
        """Lines up to the one that ends an answer.

        Raises:
            ValueError: with what bird says is wrong; that there is no such route is no error.
        """
        lines: List[str] = []
        while True:
            line = self._line()
            code, mark, text = line[:4], line[4:5], line[5:]
            if not code.isdigit():
                # What belongs to the line before it begins with a space instead of a code.
                lines.append(line[1:])
                continue
            if code[0] in "89" and code != NOT_IN_TABLE:
                raise ValueError(f"bird: {text}"[:200])
            lines.append(text)
            if mark != "-":
                return lines

    def _line(self) -> str:
        while b"\n" not in self._rest:
            self._talk.settimeout(self._deadline.left_s())
            more = self._talk.recv(65536)
            if not more:
                raise ConnectionError("bird closed its control socket")
            self._rest += more
            if len(self._rest) > BODY_BYTES_MAX:
                raise ValueError("bird: an answer without end")
        line, self._rest = self._rest.split(b"\n", 1)
        return line.decode(errors="replace")


def sessions_of(lines: List[str]) -> Dict[str, str]:
    """State by name of every BGP session in ``show protocols``."""
    found = {}
    for line in lines:
        match = SESSION.match(line.strip())
        if match:
            words = match.group(3).split()
            # What precedes it is the time of the last change; why it is down may follow.
            found[match.group(1)] = next((w for w in words if w in STATES), match.group(2))
    return found


def routes_of(lines: List[str]) -> Tuple[Route, ...]:
    """Every path in ``show route all``; those that bird has not from BGP have no path."""
    found: List[Route] = []
    for line in lines:
        match = ROUTE.search(line)
        if match:
            found.append(Route(match.group(1), (), ()))
            continue
        word, _, rest = line.strip().partition(": ")
        if not found:
            continue
        last = found[-1]
        if word == "BGP.as_path":
            path = tuple(int(number) for number in NUMBER.findall(rest))
            found[-1] = Route(last.session, last.next_hops, path)
        elif word == "BGP.next_hop":
            # IPv6 has a second one, of the link.
            found[-1] = Route(last.session, tuple(rest.split()[:1]), last.path)
    return tuple(found)
