"""Data files of a table format: the rows of many plans under one label in few, large Parquet files."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from types import TracebackType
from typing import Self
from uuid import uuid4

import pyarrow as pa
import pyarrow.parquet as pq

from airflow_provider_achieveit.lake.layout import PLAN_ITEMS_TABLE
from airflow_provider_achieveit.lake.schema import DICTIONARY_COLUMNS, STATISTICS_COLUMNS, plan_schema
from airflow_provider_achieveit.lake.sinks.null_lists import has_null_lists, without_null_lists
from airflow_provider_achieveit.lake.table_file import TableFile, TableWriter, open_parquet
from airflow_provider_achieveit.lake.tables.arrays import repeated
from airflow_provider_achieveit.lake.tables.declared import SCHEMAS, table_writer

PLAN, SNAPSHOT = "plan", "snapshot"
#: A data file is ended when it has so many bytes: whoever replaces one plan later has to copy the rest of its file.
_LARGE = 128 * 2**20
#: Rows that are in memory together while a file is copied.
BATCH = 1_500


@dataclass
class DataFile:
    """A local Parquet file with rows of several plans.

    Attributes:
        path: The file; no other data file of any table has its name.
        rows: Number of its rows.
        plans: The plans that have rows in it.
    """

    path: Path
    rows: int
    plans: set[str]

    def renamed(self) -> DataFile:
        """Give it another name: formats do not expect a file back that was removed."""
        return replace(self, path=self.path.rename(self.path.with_name(f"{uuid4()}.parquet")))


def position_column(table: str) -> str:
    """Return the name of the column with a row's place in its plan's file.

    It is `position`, but in child tables, which have a column of that name themselves.
    """
    return "row_position" if "position" in SCHEMAS[table].names else "position"


def landed_schema(table: str) -> pa.Schema:
    """Return the columns of a table in a table format: those of its files, then plan, label and place of the row."""
    added = [(PLAN, pa.string()), (SNAPSHOT, pa.string()), (position_column(table), pa.int32())]
    return pa.schema([*SCHEMAS[table], *map(pa.field, *zip(*added, strict=True))])


def statistics_columns(table: str) -> list[str]:
    """Return the columns by whose smallest and largest values readers may skip data: no text but plan and label."""
    if table == PLAN_ITEMS_TABLE:
        own = STATISTICS_COLUMNS
    else:
        own = [field.name for field in SCHEMAS[table] if field.type != pa.string()]
    return [*own, PLAN, SNAPSHOT, position_column(table)]


class DataFileWriter:
    """Writes the rows of one table into data files; a context manager.

    Args:
        directory: Where the files go.
        table: Name of the table.
        label: The label of all rows.
        label_column: Whether the files have the column `snapshot`. Delta Lake has it in its log alone.
        null_lists: Whether lists may be null; otherwise such lists become empty.
    """

    def __init__(self, directory: Path, table: str, label: str, *, label_column: bool, null_lists: bool = True) -> None:
        self._null_lists = null_lists
        self._directory = directory
        self._label = label
        self._position = position_column(table)
        schema = landed_schema(table)
        self._schema = schema if label_column else schema.remove(schema.get_field_index(SNAPSHOT))
        text = [field.name for field in self._schema if field.type == pa.string()]
        self._dictionary = [*DICTIONARY_COLUMNS, PLAN, SNAPSHOT] if table == PLAN_ITEMS_TABLE else text
        self._statistics = statistics_columns(table)
        self._writer: TableWriter | None = None
        self._files: list[DataFile] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._writer is not None:
            self._writer.__exit__(kind, error, trace)
            self._writer = None

    def add(self, plan_id: str, file: TableFile) -> str | None:
        """Append the rows of a plan's finished file.

        Returns:
            What wrote the file; None if the rows are no longer those of the file: lists that were null became empty.
        """
        if not file.rows:
            return str(pq.read_metadata(file.path).created_by)
        position, as_it_was = 0, True
        with open_parquet(file.path) as parquet:
            for batch in parquet.iter_batches(BATCH, use_threads=False):
                count = batch.num_rows
                if not self._null_lists and has_null_lists(batch):
                    batch, as_it_was = without_null_lists(batch), False
                added = {
                    PLAN: repeated(plan_id, count),
                    SNAPSHOT: repeated(self._label, count),
                    self._position: pa.array(range(position, position + count), pa.int32()),
                }
                columns = [added[name] if name in added else batch[name] for name in self._schema.names]
                self._append(columns, {plan_id})
                position += count
            return parquet.metadata.created_by if as_it_was else None

    def copy(self, rows: Iterable[pa.RecordBatch]) -> None:
        """Append rows that have landed, with their plans and places."""
        for batch in rows:
            self._append([batch[name] for name in self._schema.names], set(batch[PLAN].unique().to_pylist()))

    def finish(self) -> list[DataFile]:
        """End the last file, and return all of them; there is none without rows."""
        self.__exit__(None, None, None)
        return self._files

    def _append(self, columns: Sequence[pa.Array], plans: set[str]) -> None:
        rows = pa.RecordBatch.from_arrays(columns, schema=self._schema)
        if not rows.num_rows:
            return
        if self._writer is None:
            path = self._directory / f"{uuid4()}.parquet"
            self._writer = TableWriter(path, self._schema, dictionary=self._dictionary, statistics=self._statistics)
            self._files.append(DataFile(path, 0, set()))
        self._writer.add(rows)
        file = self._files[-1]
        file.rows += rows.num_rows
        file.plans |= plans
        if file.path.stat().st_size > _LARGE:
            self.__exit__(None, None, None)


def plan_writer(table: str, plan_id: str, path: Path) -> TableWriter:
    """Return the writer that made the plan's file, for any table."""
    if table == PLAN_ITEMS_TABLE:
        return TableWriter(path, plan_schema(plan_id), dictionary=DICTIONARY_COLUMNS, statistics=STATISTICS_COLUMNS)
    return table_writer(table, plan_id, path)


def rewritten_without_null_lists(file: TableFile, plan_id: str, path: Path) -> TableFile:
    """Write a plan's finished file again, to `path`, with lists that are empty where they were null."""
    with open_parquet(file.path) as parquet, plan_writer(file.table, plan_id, path) as writer:
        for batch in parquet.iter_batches(BATCH, use_threads=False):
            writer.add(without_null_lists(batch))
    return TableFile(file.table, path, file.rows)
