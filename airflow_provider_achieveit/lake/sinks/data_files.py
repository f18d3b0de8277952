"""Data files of a table format: the rows of many plans under one label in few, large Parquet files."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self
from uuid import uuid4

import pyarrow as pa
import pyarrow.dataset as ds
import pyarrow.parquet as pq

from airflow_provider_achieveit.lake.layout import PLAN_ITEMS_TABLE
from airflow_provider_achieveit.lake.schema import DICTIONARY_COLUMNS, STATISTICS_COLUMNS, plan_schema
from airflow_provider_achieveit.lake.table_file import ROW_GROUP, TableFile, TableWriter
from airflow_provider_achieveit.lake.tables.arrays import repeated
from airflow_provider_achieveit.lake.tables.declared import SCHEMAS, table_writer

PLAN, SNAPSHOT = "plan", "snapshot"
#: Reads landed files; with `pre_buffer` pyarrow would hold a whole file in memory.
PARQUET_FORMAT = ds.ParquetFileFormat(default_fragment_scan_options=ds.ParquetFragmentScanOptions(pre_buffer=False))
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
    """

    def __init__(self, directory: Path, table: str, label: str, *, label_column: bool) -> None:
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

    def add(self, plan_id: str, file: TableFile) -> None:
        """Append the rows of a plan's finished file."""
        position = 0
        with pq.ParquetFile(file.path) as parquet:
            for batch in parquet.iter_batches(BATCH, use_threads=False):
                count = batch.num_rows
                added = {
                    PLAN: repeated(plan_id, count),
                    SNAPSHOT: repeated(self._label, count),
                    self._position: pa.array(range(position, position + count), pa.int32()),
                }
                columns = [added[name] if name in added else batch[name] for name in self._schema.names]
                self._append(columns, {plan_id})
                position += count

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


def rows_by_plan(fragment: ds.Fragment) -> Counter[str]:
    """Return how many rows each plan has in a landed file."""
    counts: Counter[str] = Counter()
    for batch in fragment.to_batches(columns=[PLAN], use_threads=False):
        counts.update({entry["values"]: entry["counts"] for entry in batch[PLAN].value_counts().to_pylist()})
    return counts


def rows_without(fragment: ds.Fragment, table: str, plans: Collection[str]) -> Iterator[pa.RecordBatch]:
    """Yield the rows of a landed file that belong to other plans."""
    wanted = ~ds.field(PLAN).isin(pa.array(plans, pa.string()))
    yield from fragment.to_batches(landed_schema(table), filter=wanted, batch_size=BATCH, **_ONE_AT_A_TIME)


def write_back(fragments: Sequence[ds.Fragment], table: str, plan_id: str, rows: int, into: Path) -> TableFile:
    """Write the rows of one plan as they were before they landed.

    They are gathered in blocks by their place, so memory is bounded, also where a compaction has mixed them.

    Args:
        fragments: The landed files of one label.
        table: Name of the table.
        plan_id: The plan.
        rows: How many rows it has.
        into: The file, which does not exist yet.
    """
    schema, position = landed_schema(table), position_column(table)
    names = SCHEMAS[table].names
    with plan_writer(table, plan_id, into) as writer:
        for start in range(0, rows, ROW_GROUP):
            place = ds.field(position)
            wanted = (ds.field(PLAN) == plan_id) & (place >= start) & (place < start + ROW_GROUP)
            found = [
                fragment.to_table(schema, [*names, position], wanted, batch_size=BATCH, **_ONE_AT_A_TIME)
                for fragment in fragments
            ]
            for batch in pa.concat_tables(found).sort_by(position).select(names).to_batches():
                writer.add(batch.replace_schema_metadata(None))
    return TableFile(table, into, rows)


#: Without these, pyarrow decodes whole files ahead of their reader.
_ONE_AT_A_TIME = {"batch_readahead": 1, "fragment_readahead": 1, "use_threads": False}


def plan_writer(table: str, plan_id: str, path: Path) -> TableWriter:
    """Return the writer that made the plan's file, for any table."""
    if table == PLAN_ITEMS_TABLE:
        return TableWriter(path, plan_schema(plan_id), dictionary=DICTIONARY_COLUMNS, statistics=STATISTICS_COLUMNS)
    return table_writer(table, plan_id, path)
