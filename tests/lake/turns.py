"""Exports of one plan that take turns: each operation on the store is a step, and a test gives the order."""

from __future__ import annotations

import hashlib
import tempfile
import threading
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from fsspec.implementations.local import LocalFileSystem

from airflow_provider_achieveit.api.plan_version import PlanVersion
from airflow_provider_achieveit.lake.manifest import Manifest, build_manifest
from airflow_provider_achieveit.lake.sinks.objects import Store
from airflow_provider_achieveit.lake.sinks.parquet import ParquetSink
from airflow_provider_achieveit.lake.table_file import TableFile

if TYPE_CHECKING:
    from collections.abc import Sequence

    from airflow_provider_achieveit.lake.sinks.object_state import ObjectState

#: Where no disk has to turn, if there is such a place.
MEMORY = "/dev/shm" if Path("/dev/shm").is_dir() else None
START = datetime(2026, 11, 23, 10, tzinfo=UTC)


class Turns:
    """Lets one of several threads go on at a time; which one, is given.

    A thread that rests goes on only when all others rest as well: the pauses of an export are longer than its steps.
    """

    def __init__(self, order: Sequence[int], threads: int) -> None:
        self._order = iter(order)
        self._alive = threads
        self._waiting: dict[str, bool] = {}
        self._turn: str | None = None
        self._changed = threading.Condition()

    def take(self, name: str, *, rests: bool = False) -> None:
        with self._changed:
            self._waiting[name] = rests
            self._pass_on()
            assert self._changed.wait_for(lambda: self._turn == name, 30)
            self._turn = None
            del self._waiting[name]

    def leave(self) -> None:
        with self._changed:
            self._alive -= 1
            self._pass_on()

    def _pass_on(self) -> None:
        if self._waiting and len(self._waiting) == self._alive:
            ready = sorted(name for name, rests in self._waiting.items() if not rests) or sorted(self._waiting)
            self._turn = ready[next(self._order, 0) % len(ready)]
            self._changed.notify_all()


class TurningStore(Store):
    """A store whose every operation on an object waits for its turn; a swap and its condition are one operation."""

    def __init__(self, root: Path, turns: Turns, name: str) -> None:
        super().__init__(LocalFileSystem(), str(root))
        self._turns, self._name = turns, name
        self._swaps = False

    def _take(self) -> None:
        if not self._swaps:
            self._turns.take(self._name)

    def look(self, key: str) -> ObjectState | None:
        self._take()
        return super().look(key)

    def read(self, key: str, limit: int = 2**20) -> bytes | None:
        self._take()
        return super().read(key, limit)

    def sha256(self, key: str) -> str | None:
        self._take()
        return super().sha256(key)

    def swap(self, file: Path, key: str, expected: ObjectState | None) -> None:
        self._take()
        self._swaps = True
        try:
            super().swap(file, key, expected)
        finally:
            self._swaps = False


class Pauses:
    """A cancellation that nobody cancels, whose pauses end when their turn comes."""

    def __init__(self, turns: Turns | None = None, name: str = "") -> None:
        self._turns, self._name = turns, name
        self.seconds: list[float] = []

    def check(self) -> None:
        """Never ends anything."""

    def sleep(self, seconds: float) -> None:
        self.seconds.append(seconds)
        if self._turns is not None:
            self._turns.take(self._name, rests=True)


@dataclass(frozen=True)
class Export:
    """An export: to which label, and which second its read was in."""

    name: str
    label: str
    read: int
    tables: tuple[str, ...] = ("plan_items",)

    def manifest(self) -> Manifest:
        """The manifest, without its files."""
        moment = START + timedelta(seconds=self.read)
        return build_manifest(
            plan_id="p", plan_name=self.name, label=self.label, rows=1, version=PlanVersion(1, moment),
            consistent=True, content_hash="", schema_hash="", rescued_values=0, table_format="parquet", read_at=moment,
            started=START, finished=moment, requests=1, attempts=1,
        )  # fmt: skip

    def publish(self, store: Store, pauses: Pauses) -> Manifest:
        """Land what only this export has read."""
        with tempfile.TemporaryDirectory(dir=MEMORY) as spool:
            files = []
            for table in self.tables:
                path = Path(spool) / table
                path.write_text(f"{table} of {self.name}")
                files.append(TableFile(table, path, 1))
            with ParquetSink(store).begin(pauses) as commit:  # type: ignore[arg-type]  # it has the same methods
                commit.add(self.manifest(), files)
                [manifest] = commit.finish()
        return manifest


def is_whole(root: Path, manifest: Manifest) -> bool:
    """Whether each file is what the manifest says."""
    return all(
        hashlib.sha256((root / file["key"]).read_bytes()).hexdigest() == file["sha256"] for file in manifest["files"]
    )
