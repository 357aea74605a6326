# SPDX-License-Identifier: Apache-2.0
"""Which keys are one person's, by the principals that ``allowed_signers`` gives them.

In doubt two keys are one person's: whoever wants them to count twice lists them apart.
"""

from __future__ import annotations

import fnmatch
from collections.abc import Iterable, Sequence

from gameday.report.sign import SigningKey
from gameday.report.trust import Trusted


def same(trusted: Sequence[Trusted], one: str, other: str) -> bool:
    """Whether two keys, by fingerprint, may be the same person's.

    Lines that share a principal are one person's, also by way of a third line.
    """
    return other in _of(trusted, one)


def same_as_key(trusted: Sequence[Trusted], one: str, key: SigningKey) -> bool:
    """As ``same``, with a key that may not be listed; then its own comment says whose it is."""
    mine = _of(trusted, key.identity.fingerprint)
    names = _names([key.identity.comment])
    listed = _names(line.principals for line in trusted if line.fingerprint == one)
    return one in mine or any(_meet(a, b) for a in names for b in listed)


def _of(trusted: Sequence[Trusted], fingerprint: str) -> set[str]:
    """All keys of the person who has this one."""
    found = {fingerprint}
    while True:
        names = _names(line.principals for line in trusted if line.fingerprint in found)
        more = {
            line.fingerprint
            for line in trusted
            if any(_meet(a, b) for a in names for b in _names([line.principals]))
        }
        if more <= found:
            return found
        found |= more


def _names(principals: Iterable[str]) -> set[str]:
    """Patterns of principals, without those that exclude."""
    words = {word.strip().casefold() for text in principals for word in text.split(",")}
    return {word for word in words if word and not word.startswith("!")}


def _meet(one: str, other: str) -> bool:
    """Whether two patterns can mean the same name."""
    return fnmatch.fnmatchcase(one, other) or fnmatch.fnmatchcase(other, one)
