# SPDX-License-Identifier: Apache-2.0
"""What the image gets: all that gameday needs, by its hashes, and nothing that develops it."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

from gameday.drills.pod import HOME, KEPT

ROOT = Path(__file__).parents[3]


def test_the_image_has_what_runs_and_not_what_develops() -> None:
    done = subprocess.run(
        [sys.executable, "scripts/locked.py", "kubernetes", "nodes", "power"], cwd=ROOT,
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    entries = re.split(r"(?m)^(?=[a-z0-9])", done.stdout)[1:]
    names = {one.split("==")[0] for one in entries}
    assert {"click", "ansible-core", "kubernetes", "urllib3", "sushy", "cffi"} <= names
    assert not names & {"mypy", "ruff", "hypothesis", "pytest-xdist", "sushy-tools"}
    assert all("--hash=sha256:" in one for one in entries)


def test_the_container_file_names_files_that_are_there() -> None:
    text = (ROOT / "deploy" / "Containerfile").read_text(encoding="utf-8")
    for line in re.findall(r"(?m)^COPY (?!--from)(.*) \S+$", text):
        for name in line.split():
            assert (ROOT / name).exists(), name
    for volume in (KEPT, HOME):
        # Else a runtime may give it to root, and the user of the image cannot write there.
        assert volume in str(re.search(r"(?m)^VOLUME .*$", text))
        assert re.search(rf"install -d -o gameday -g gameday -m 07\d\d {volume}\b", text)
    assert f"WORKDIR {KEPT}\n" in text
    assert "USER 10001:10001" in text and "--require-hashes" in text
