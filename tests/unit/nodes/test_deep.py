# SPDX-License-Identifier: Apache-2.0
"""What pytest's JUnit XML says of nodes: proven, not proven, cannot say."""

from __future__ import annotations

from gameday.nodes.deep import Proof, judged, read

XML = """<testsuites><testsuite>
<testcase name="test_no_lease_is_open[ansible://fra-1]"/>
<testcase name="test_nothing_is_left[ansible://fra-1-b-/etc/gameday]">
 <failure message="AssertionError: still there:  /etc/gameday">trace</failure></testcase>
<testcase name="test_no_lease_is_open[ansible://fra-1-b]">
 <error message="RuntimeError: ssh failed">trace</error></testcase>
<testcase name="test_x[ansible://fra-1]"><skipped message="no"/></testcase>
</testsuite></testsuites>"""


def test_proofs() -> None:
    found = read(XML, ["fra-1", "fra-1-b"])
    assert [str(one) for one in found] == [
        "fra-1: no lease is open: proven",
        "fra-1: x: cannot say: no",
        "fra-1-b: nothing is left (/etc/gameday): not proven: still there: /etc/gameday",
        "fra-1-b: no lease is open: cannot say: RuntimeError: ssh failed",
    ]


def test_what_could_not_be_tried_is_not_proven() -> None:
    good, bad, dark = (Proof("n", what) for what in ("proven", "not proven", "cannot say"))
    assert judged([good]) == 0
    assert judged([good, dark]) == 3
    assert judged([dark, bad, good]) == 1
