# SPDX-License-Identifier: Apache-2.0
"""The drawing: whoever is named on it can be read."""

from __future__ import annotations

import copy
import re

from gameday.report.build import build_report
from gameday.report.timeline import draw
from tests.unit.synthetic import S, make_record


def test_lanes_and_numbers_have_their_names_beside_them() -> None:
    record = make_record()
    svg = draw(build_report(record), record).svg
    names = re.findall(r'class="label"[^>]*>([^<]+)<', svg)
    assert "quorum recovered after healing" in names, "there is room for as much"
    assert all(len(name) > 3 for name in names), names


def test_names_of_faults_at_the_same_time_are_below_each_other() -> None:
    record = make_record()
    report = copy.deepcopy(build_report(record))
    (one,) = report["faults"]
    soon, later = copy.deepcopy(one), copy.deepcopy(one)
    for fault, name, shift in ((soon, "soon", S // 2), (later, "later", 3600 * S)):
        fault["name"] = name
        fault["onset"] = [moment + shift for moment in fault["onset"]]
    report["faults"] = [one, soon, later]
    svg = draw(report, record).svg
    rows = {text.partition(",")[0]: int(y) for y, text in
            re.findall(r'class="window-label"[^>]* y="(\d+)">([^<]+)<', svg)}  # fmt: skip
    assert rows[one["name"]] < rows["soon"]
    assert rows["later"] == rows[one["name"]], "there is room again beside the first"
