# SPDX-License-Identifier: Apache-2.0
"""What an inventory asks of whoever breaks its estate."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest

from gameday.errors import InvalidInput
from gameday.plan import Inventory, inventory_from_json, load_inventory

ESTATE = """\
all:
  vars:
    gameday_known_hosts: known
    gameday_management: [10.0.0.0/24]
    gameday_policy:
      approvals: 2
      freezes:
        - {begins: 2026-12-18 20:00, ends: "2027-01-04", why: end of year, time_zone: Europe/Berlin}
        - {begins: 2026-11-27, ends: 2026-12-01, why: sales}
  children:
    sites: {children: {a: {hosts: {n1: {ansible_host: 10.0.0.1, ansible_user: u}}}}}
"""


def load(tmp_path: Path, text: str = ESTATE) -> Inventory:
    path = tmp_path / "inventory.yaml"
    path.write_text(text, encoding="utf-8")
    return load_inventory(path)


def test_a_policy_is_read_with_its_zones(tmp_path: Path) -> None:
    """A date without a time is its midnight, in the zone that was named."""
    found = load(tmp_path)
    assert found.policy.approvals == 2 and found.policy.approval_days == 30
    assert found.policy.freezes[0].begins == "2026-12-18T19:00:00+00:00"
    assert found.policy.freezes[1].ends == "2026-12-01T00:00:00+00:00"
    assert inventory_from_json(found.to_json()) == found


@pytest.mark.parametrize(
    ("at", "until", "why"),
    [("2026-12-18T18:58", "2026-12-18T18:59", None), ("2026-12-18T18:58", "2026-12-18T19:01",
      "end of year"), ("2027-01-03T22:59", "2027-01-03T23:30", "end of year"),
     ("2027-01-03T23:00", "2027-01-03T23:30", None), ("2026-11-28T00:00", "2026-11-28T01:00",
      "sales")],
)  # fmt: skip
def test_a_freeze_holds_where_a_run_would_reach_into_it(
    tmp_path: Path, at: str, until: str, why: str | None
) -> None:
    moments = [datetime.fromisoformat(text).replace(tzinfo=UTC) for text in (at, until)]
    freeze = load(tmp_path).policy.freeze_at(*moments)
    assert (freeze.why if freeze else None) == why


def test_every_mistake_is_said(tmp_path: Path) -> None:
    wrong = ESTATE.replace("approvals: 2", "approvals: 12").replace("Europe/Berlin", "Mars/North")
    wrong = wrong.replace("begins: 2026-11-27", "begins: 2027-11-27")
    with pytest.raises(InvalidInput) as caught:
        load(tmp_path, wrong)
    said = "\n".join(caught.value.problems)
    for what in ("approvals", "Mars/North is no time zone", "ends before it begins"):
        assert what in said, said


def test_webhooks_are_named_and_their_urls_are_not(tmp_path: Path) -> None:
    """A file is looked for beside the inventory; a URL that stands there is not repeated."""
    told = "      announcements:\n        - {name: ops, format: slack, url_file: ops.url}\n"
    found = load(tmp_path, ESTATE.replace("  children:\n", told + "  children:\n", 1))
    (one,) = found.policy.announcements
    assert one.url_file == str(tmp_path / "ops.url") and one.timeout_s == 10 and not one.required
    assert inventory_from_json(found.to_json()) == found
    wrongs = {"url_file: 'https://hooks.test/T0/token'": "url_file: ops.url",
              "url_env: A, url_file: b": "url_file: ops.url", "name: 'o p s'": "name: ops",
              "format: irc": "format: slack"}  # fmt: skip
    for said, wrong in wrongs.items():
        text = ESTATE.replace("  children:\n", told.replace(wrong, said) + "  children:\n", 1)
        with pytest.raises(InvalidInput) as caught:
            load(tmp_path, text)
        assert "announcements" in "\n".join(caught.value.problems)
        assert "token" not in f"{caught.value} {caught.value.problems}"
