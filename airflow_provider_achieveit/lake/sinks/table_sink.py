"""The sink of the table formats: many plans in one commit a table, then their manifests."""

from __future__ import annotations

import errno
from abc import abstractmethod
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import ClassVar

import pyarrow as pa

from airflow_provider_achieveit.api.cancellation import Cancellation
from airflow_provider_achieveit.lake import layout
from airflow_provider_achieveit.lake.errors import AchieveItContendedError, AchieveItManifestError
from airflow_provider_achieveit.lake.manifest import Manifest, TableEntry
from airflow_provider_achieveit.lake.scratch import scratch_directory
from airflow_provider_achieveit.lake.sinks.base import Commit, Sink
from airflow_provider_achieveit.lake.sinks.data_files import rows_by_plan, write_back
from airflow_provider_achieveit.lake.sinks.landed_table import ConflictError, LandedFile, LandedTable
from airflow_provider_achieveit.lake.sinks.object_state import ObjectState
from airflow_provider_achieveit.lake.sinks.objects import Store
from airflow_provider_achieveit.lake.sinks.table_commit import TableCommit, replace_rows
from airflow_provider_achieveit.lake.tables.declared import SCHEMAS

#: How often rows are removed when others commit to the table first.
_COMMITS = 20


class TableSink(Sink):
    """Where snapshots land in the tables of a table format.

    All plans share one table of each name, partitioned by label. The tables change by the format's own commits, and a
    snapshot is whole when its manifest is there and each table has as many rows of it as the manifest says.
    """

    #: Whether the data files have the column `snapshot`.
    label_column: ClassVar[bool]
    #: Whether a list that is null is read back as null, and not as an empty one.
    keeps_null_lists: ClassVar[bool] = True

    def __init__(self, store: Store) -> None:
        super().__init__(store)
        self._counted: dict[tuple[str, str], Counter[str]] = {}

    @abstractmethod
    def table(self, name: str) -> LandedTable:
        """Return a table, not loaded yet."""

    def check(self) -> None:
        """Find out before the first request whether snapshots can land; nothing is written."""
        super().check()
        self.table(layout.PLAN_ITEMS_TABLE).load()

    def is_whole(self, manifest: Manifest) -> bool:
        """Return whether each table has as many rows of the snapshot as its manifest says."""
        plan_id, label = manifest["plan_id"], manifest["snapshot"]
        return all(self._count(entry["table"], label)[plan_id] == entry["rows"] for entry in manifest["files"])

    def _count(self, name: str, label: str) -> Counter[str]:
        """Count the rows of all plans under a label; once, since many plans will be asked for."""
        if (name, label) not in self._counted:
            table = self.table(name)
            files = table.files(label) if table.load() else []
            self._counted[name, label] = sum(map(_rows_by_plan, files), Counter())
        return self._counted[name, label]

    def begin(self, cancellation: Cancellation) -> Commit:
        """Begin to land snapshots of one label; none is visible before `finish`."""
        self._counted.clear()
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
        """Return whether a table's rows of a snapshot, read back, are what its manifest says."""
        entries = [entry for entry in manifest["files"] if entry["table"] == table]
        with scratch_directory() as directory:
            return all(self.read_back(manifest, entry, directory / "rows.parquet") is None for entry in entries)

    def read_back(self, manifest: Manifest, entry: TableEntry, into: Path) -> str | None:
        """Write the rows of a landed table into a file as they were; return what is wrong with them, or None."""
        if entry["table"] not in SCHEMAS:
            return "is a table that this version of the provider does not know"
        table = self.table(entry["table"])
        if not table.load():
            return "is not there"
        try:
            return self._write_back(table, manifest, entry, into)
        except (OSError, pa.ArrowException) as error:
            if isinstance(error, OSError) and error.errno not in (None, errno.ENOENT):
                raise  # our own file: the disk is full
            return f"can't be read: {type(error).__name__}: {error!s:.200}"

    def _write_back(self, table: LandedTable, manifest: Manifest, entry: TableEntry, into: Path) -> str | None:
        plan_id = manifest["plan_id"]
        fragments = [file.fragment for file in table.files(manifest["snapshot"], [plan_id])]
        rows = sum(rows_by_plan(fragment)[plan_id] for fragment in fragments)
        if rows != entry["rows"]:
            return f"has {rows} rows of snapshot {manifest['snapshot']}, but the manifest says {entry['rows']}"
        digest = write_back(fragments, table.name, plan_id, rows, into).sha256
        if digest != entry["sha256"]:
            return f"gives a file with the SHA-256 {digest}, but the manifest says {entry['sha256']}"
        return None


def _rows_by_plan(file: LandedFile) -> Counter[str]:
    """Return how many rows each plan has in a landed file: none where it is damaged, so that its plans lack rows."""
    try:
        return rows_by_plan(file.fragment)
    except (OSError, pa.ArrowException):
        return Counter()
