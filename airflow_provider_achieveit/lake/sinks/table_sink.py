"""The sink of the table formats: many plans in one commit a table, then their manifests."""

from __future__ import annotations

from abc import abstractmethod
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from functools import lru_cache
from pathlib import Path
from threading import Lock
from typing import Any, ClassVar

import pyarrow as pa

from airflow_provider_achieveit.api.cancellation import Cancellation
from airflow_provider_achieveit.lake import layout
from airflow_provider_achieveit.lake.errors import AchieveItContendedError, AchieveItManifestError
from airflow_provider_achieveit.lake.manifest import Manifest, TableEntry
from airflow_provider_achieveit.lake.scratch import scratch_directory
from airflow_provider_achieveit.lake.sinks.base import Commit, Sink
from airflow_provider_achieveit.lake.sinks.landed_rows import LandedRows, rows_by_plan
from airflow_provider_achieveit.lake.sinks.landed_table import ConflictError, LandedFile, LandedTable
from airflow_provider_achieveit.lake.sinks.object_state import ObjectState
from airflow_provider_achieveit.lake.sinks.objects import Store
from airflow_provider_achieveit.lake.sinks.replacement import replace_rows
from airflow_provider_achieveit.lake.sinks.table_commit import TableCommit
from airflow_provider_achieveit.lake.tables.declared import SCHEMAS

#: How often rows are removed when others commit to the table first.
_COMMITS = 20
#: Labels of a table that stay open: a snapshot, the one before it, and those of another table.
_LABELS = 4


class TableSink(Sink):
    """Where snapshots land in the tables of a table format.

    All plans share one table of each name, partitioned by label. The tables change by the format's own commits, and a
    snapshot is whole when its manifest is there and each table has as many rows of it as the manifest says.

    The state of a table is loaded once for all plans that are read back, and again where a plan is not in it as its
    manifest says: somebody may have committed since.
    """

    #: Whether the data files have the column `snapshot`.
    label_column: ClassVar[bool]

    def __init__(self, store: Store) -> None:
        super().__init__(store)
        self._lock = Lock()
        self._loaded = lru_cache(None)(self._load)
        self._opened = lru_cache(_LABELS)(self._open)

    def _load(self, name: str) -> LandedTable | None:
        table = self.table(name)
        return table if table.load() else None

    def _open(self, name: str, label: str) -> LandedRows | None:
        table = self._loaded(name)
        return None if table is None else LandedRows(name, table.files(label))

    def _rows(self, name: str, label: str) -> LandedRows | None:
        """Return the rows of a label; None if there is no such table."""
        with self._lock:
            return self._opened(name, label)

    def refresh(self) -> None:
        """Load the tables anew when they are read next."""
        with self._lock:
            self._loaded.cache_clear()
            self._opened.cache_clear()

    @abstractmethod
    def table(self, name: str) -> LandedTable:
        """Return a table, not loaded yet."""

    def native_tables(self) -> Iterator[Any]:
        """Yield the tables that are there as the format's own library has them, for upkeep and queries.

        They are a `deltalake.DeltaTable` or a `pyiceberg.table.Table`, opened anew with the credentials of the lake.
        """
        for name in SCHEMAS:
            table = self.table(name)
            if table.load():
                yield table.native

    def check(self) -> None:
        """Find out before the first request whether snapshots can land; nothing is written."""
        super().check()
        self.table(layout.PLAN_ITEMS_TABLE).load()

    def is_whole(self, manifest: Manifest) -> bool:
        """Return whether each table has as many rows of the snapshot as its manifest says."""
        tables = [(self._rows(entry["table"], manifest["snapshot"]), entry["rows"]) for entry in manifest["files"]]
        try:
            return all(rows is not None and rows.count(manifest["plan_id"]) == wanted for rows, wanted in tables)
        except (OSError, pa.ArrowException):  # a data file is damaged
            return False

    def begin(self, cancellation: Cancellation) -> Commit:
        """Begin to land snapshots of one label; none is visible before `finish`."""
        self.refresh()
        return TableCommit(self, cancellation)

    def remove_tables(self, plan_id: str, label: str) -> None:
        """Remove the rows of a snapshot whose manifest is gone, with a commit for each table that has some."""
        with scratch_directory() as directory:
            for name in SCHEMAS:
                table = self.table(name)
                for _ in range(_COMMITS):
                    if not table.load():
                        break
                    with suppress(ConflictError):
                        replace_rows(table, label, {plan_id}, [], directory, label_column=self.label_column)
                        break
                else:
                    raise AchieveItContendedError(f"table {table.key} was changed by others {_COMMITS} times")

    def orphans(self) -> Iterator[tuple[str, ObjectState]]:
        """Yield the snapshots that have rows in a table and no manifest that names the table."""
        named: set[tuple[str, str, str]] = set()
        for key in self.manifest_keys():
            with suppress(AchieveItManifestError):
                if (found := self._read(key, None)) is not None:
                    named.update((entry["table"], found["plan_id"], found["snapshot"]) for entry in found["files"])
        for name in SCHEMAS:
            table = self.table(name)
            for file in table.files() if table.load() else []:
                for plan_id, rows in _rows_by_plan(file).items():
                    if (name, plan_id, file.label) not in named:
                        yield layout.table_key(name, plan_id, file.label), ObjectState(file.name, rows, file.modified)

    def is_as_described(self, manifest: Manifest, table: str) -> bool:
        """Return whether a table's rows of a snapshot, read back as they are now, are what its manifest says."""
        self.refresh()
        entries = [entry for entry in manifest["files"] if entry["table"] == table]
        with scratch_directory() as directory:
            return all(self.read_back(manifest, entry, directory / "rows.parquet") is None for entry in entries)

    def read_back(self, manifest: Manifest, entry: TableEntry, into: Path) -> str | None:
        """Write the rows of a landed table into a file as they were; return what is wrong with them, or None."""
        if entry["table"] not in SCHEMAS:
            return "is a table that this version of the provider does not know"
        problem = self._write_back(manifest, entry, into)
        if problem is None:
            return None
        self.refresh()
        into.unlink(missing_ok=True)
        return self._write_back(manifest, entry, into)

    def _write_back(self, manifest: Manifest, entry: TableEntry, into: Path) -> str | None:
        rows = self._rows(entry["table"], manifest["snapshot"])
        return "is not there" if rows is None else rows.write_back_checked(manifest, entry, into)


def _rows_by_plan(file: LandedFile) -> Counter[str]:
    """Return how many rows each plan has in a landed file: none where it is damaged, so that its plans lack rows."""
    try:
        return rows_by_plan(file.open())
    except (OSError, pa.ArrowException):
        return Counter()
