# SPDX-License-Identifier: Apache-2.0
"""Samples are packed as they came, without being held in memory."""

from __future__ import annotations

import gzip
from pathlib import Path

import pytest

from gameday.record import record
from gameday.record.record import (
    SAMPLES,
    SAMPLES_LIVE,
    drop_unfinished,
    pack_samples,
    read_samples,
)
from tests.unit.synthetic import write_run


def test_the_same_samples_come_back_and_the_same_bytes_again(tmp_path: Path) -> None:
    for name in ("a", "b"):
        write_run(tmp_path / name)
    before = read_samples(tmp_path / "a")
    for name in ("a", "b"):
        pack_samples(tmp_path / name)
        assert not (tmp_path / name / SAMPLES_LIVE).exists()
    assert read_samples(tmp_path / "a") == before
    assert (tmp_path / "a" / SAMPLES).read_bytes() == (tmp_path / "b" / SAMPLES).read_bytes()


@pytest.mark.parametrize("piece", [1, 7, 64, 1 << 20])
def test_an_unfinished_last_line_is_left_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, piece: int
) -> None:
    monkeypatch.setattr(record, "PIECE_BYTES", piece)
    lines = b"".join(b'{"n":%d}\n' % number for number in range(50))
    (tmp_path / SAMPLES_LIVE).write_bytes(lines + b'{"n":')
    pack_samples(tmp_path)
    assert gzip.decompress((tmp_path / SAMPLES).read_bytes()) == lines


def test_a_run_without_samples_has_an_empty_pack(tmp_path: Path) -> None:
    pack_samples(tmp_path)
    assert gzip.decompress((tmp_path / SAMPLES).read_bytes()) == b""
    assert len(read_samples(tmp_path)) == 0


@pytest.mark.parametrize("piece", [1, 3, 1 << 20])
@pytest.mark.parametrize(
    ("left", "kept"), [(b"", b""), (b"half", b""), (b"one\n", b"one\n"), (b"one\nhalf", b"one\n")]
)
def test_who_goes_on_writing_begins_a_line_of_its_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, piece: int, left: bytes, kept: bytes
) -> None:
    monkeypatch.setattr(record, "PIECE_BYTES", piece)
    live = tmp_path / SAMPLES_LIVE
    drop_unfinished(live)
    assert not live.exists()
    live.write_bytes(left)
    drop_unfinished(live)
    assert live.read_bytes() == kept
