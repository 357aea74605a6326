# SPDX-License-Identifier: Apache-2.0
"""The node's ledger: one receipt per lease, on disk before anything is changed.

/var/lib/gameday/            root only
  ledger/<lease>.json        receipt of a lease that may have left something
  ledger/<lease>.<role>.pid  process id of a guard of the lease
  ledger/<lease>.began, .gone  see ``gameday.agent.moments``
  ledger/<lease>.ended.json  receipt of a lease that was disarmed and read back absent
  runs/<run>/                probe specification and samples of a run
  agent/<sha256>/            this program
  carried/<sha256>.zip       libraries that only some probes need
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import shutil
from pathlib import Path
from typing import Dict, Iterator, List

from gameday.agent import vigil
from gameday.errors import EvidenceError, NodeError
from gameday.record.types import Receipt, from_json, to_json

HOME = Path(vigil.HOME)


class Ledger:
    """The receipts below ``home``; every change is fsynced, file and directory."""

    def __init__(self, home: Path = HOME) -> None:
        self.home = home
        self.entries = home / "ledger"

    def check_writable(self) -> None:
        """Make the directories, and write and remove a file.

        Raises:
            OSError: where that fails: read-only, full, or not root.
        """
        for directory in (self.home, self.entries):
            directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        probe = self.entries / ".writable"
        self._write(probe, {"writable": True})
        probe.unlink()

    @contextlib.contextmanager
    def locked(self, lease_id: str = "") -> Iterator[None]:
        """Hold the node's lease lock: one process at a time arms or disarms.

        Args:
            lease_id: hold that lease's own lock instead, so that the others need not wait.
        """
        self.entries.mkdir(mode=0o700, parents=True, exist_ok=True)
        path = self._path(lease_id).with_suffix(".lock") if lease_id else self.entries / ".lock"
        with open(path, "w", encoding="ascii") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            yield

    def add(self, receipt: Receipt) -> None:
        """Put a receipt on disk; returns when it is there to stay.

        Raises:
            OSError: where the disk is full or read-only; nothing was changed by then.
        """
        self.entries.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._write(self._path(str(receipt.lease["id"])), to_json(receipt))

    def get(self, lease_id: str) -> Receipt:
        """The receipt of a lease, open or ended.

        Raises:
            NodeError: where this node has none.
        """
        # In this order: a lease that ends meanwhile goes from the first name to the second.
        for path in (self._path(lease_id), self._ended(lease_id)):
            with contextlib.suppress(FileNotFoundError):
                return self._read(path)
        raise NodeError(f"no lease {lease_id} in this node's ledger")

    def open_leases(self, skip_damaged: bool = False) -> List[Receipt]:
        """Receipts of leases that were not read back absent yet.

        Raises:
            NodeError: where one cannot be read, unless those are skipped.
        """
        skipped = self.damaged() if skip_damaged else []
        return [self._read(path) for path in self._open_paths() if path not in skipped]

    def damaged(self) -> List[Path]:
        """Receipts of open leases that cannot be read."""
        found = []
        for path in self._open_paths():
            try:
                self._read(path)
            except (NodeError, EvidenceError):
                found.append(path)
        return found

    def set_aside(self, path: Path) -> None:
        """Keep a damaged receipt for people; for gameday it is gone."""
        os.replace(path, path.with_suffix(".damaged.txt"))
        self._sync_directory()

    def is_open(self, lease_id: str) -> bool:
        """Whether the lease may still have something in place."""
        return self._path(lease_id).exists()

    def end(self, lease_id: str) -> None:
        """Mark a lease as disarmed and read back absent."""
        if self._path(lease_id).exists():
            os.replace(self._path(lease_id), self._ended(lease_id))
            self._sync_directory()

    def note(self, lease_id: str, text: str) -> None:
        """Keep the last trouble with a lease beside its receipt, for people."""
        self._path(lease_id).with_suffix(".trouble.txt").write_text(text + "\n", encoding="utf-8")

    def forget_run(self, run: str) -> None:
        """Drop ended receipts and the samples of a run; open receipts stay."""
        for path in list(self.entries.glob("*.ended.json")):
            if self._read(path).lease["run"] == run:
                lease_id = path.name.split(".")[0]
                for own in self.entries.glob(f"{lease_id}.*"):
                    own.unlink()
        shutil.rmtree(self.run_directory(run), ignore_errors=True)

    def run_directory(self, run: str) -> Path:
        """Where a run keeps its probes' samples.

        Raises:
            NodeError: where the name could leave the directory.
        """
        if not run or "/" in run or run.startswith("."):
            raise NodeError(f"not a run's name: {run!r}")
        return self.home / "runs" / run

    def _open_paths(self) -> List[Path]:
        if not self.entries.is_dir():
            return []
        return sorted(p for p in self.entries.glob("*.json") if not p.name.endswith(".ended.json"))

    def _path(self, lease_id: str) -> Path:
        if len(lease_id) != 8 or set(lease_id) - set("0123456789abcdef"):
            raise NodeError(f"not a lease's id: {lease_id!r}")
        return self.entries / f"{lease_id}.json"

    def _ended(self, lease_id: str) -> Path:
        return self._path(lease_id).with_suffix(".ended.json")

    def _read(self, path: Path) -> Receipt:
        try:
            return from_json(Receipt, json.loads(path.read_bytes()))
        except ValueError as error:
            raise NodeError(f"{path} is damaged: {error}") from error

    def _write(self, path: Path, data: Dict[str, object]) -> None:
        draft = path.with_suffix(".draft")
        with open(draft, "w", encoding="utf-8") as file:
            json.dump(data, file, sort_keys=True)
            file.flush()
            os.fsync(file.fileno())
        os.replace(draft, path)
        self._sync_directory()

    def _sync_directory(self) -> None:
        handle = os.open(self.entries, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
