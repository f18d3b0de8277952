"""The rows of a table under one label, read from its data files: who has how many, and a plan's rows as they were."""

from __future__ import annotations

import errno
from collections import Counter
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache, partial
from pathlib import Path
from threading import RLock

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from airflow_provider_achieveit.lake.manifest import Manifest, TableEntry
from airflow_provider_achieveit.lake.sinks.data_files import BATCH, PLAN, landed_schema, plan_writer, position_column
from airflow_provider_achieveit.lake.sinks.landed_table import LandedFile
from airflow_provider_achieveit.lake.table_file import ROW_GROUP, TableFile, is_written_alike
from airflow_provider_achieveit.lake.tables.declared import SCHEMAS

#: Row groups that stay in memory. Plans are read back side by side, mostly in the order in which they lie there.
_KEPT = 2
#: Larger row groups are filtered while they are read. Ours have 15 MB; a compaction may make others.
_LARGE = 32 * 2**20


@dataclass(frozen=True)
class _Opened:
    """A data file of which the footer was read: its row groups, and how many rows each plan has."""

    groups: list[_RowGroup]
    plans: Counter[str]


@dataclass(frozen=True)
class _RowGroup:
    """A row group, and the smallest and largest plan and place in it, where they are noted."""

    file: pq.ParquetFile
    number: int
    plans: tuple[str, str] | None
    places: tuple[int, int] | None

    def may_hold(self, plan_id: str, start: int) -> bool:
        """Return whether it may have rows of the block of a plan that begins at a place."""
        if self.plans is not None and not self.plans[0] <= plan_id <= self.plans[1]:
            return False
        return self.places is None or (self.places[0] < start + ROW_GROUP and start <= self.places[1])


class LandedRows:
    """The rows of one label, in one state of a table. Several threads may read plans back.

    Each file is opened once, when the first plan that it may hold is asked for. Many small plans share a row group,
    which is decoded once as well.

    Args:
        table: Name of the table.
        files: The data files of the label.
    """

    def __init__(self, table: str, files: Sequence[LandedFile]) -> None:
        self._table = table
        self._position = position_column(table)
        self._files = files
        self._lock = RLock()
        self._opened: dict[str, _Opened] = {}
        # Not of a method: what is in memory goes with this object, and not when garbage is collected.
        self._schema = landed_schema(table)
        self._decoded = lru_cache(_KEPT)(partial(_decode, schema=self._schema))

    def count(self, plan_id: str) -> int:
        """Return how many rows a plan has."""
        return sum(opened.plans[plan_id] for opened in self._with(plan_id))

    def write_back(self, plan_id: str, into: Path) -> TableFile:
        """Write the rows of one plan as they were before they landed.

        They are gathered in blocks by their place, so memory is bounded, also where a compaction has mixed them.

        Args:
            plan_id: The plan.
            into: The file, which does not exist yet.
        """
        rows = self.count(plan_id)
        columns = SCHEMAS[self._table].names
        groups = [group for opened in self._with(plan_id) if opened.plans[plan_id] for group in opened.groups]
        with plan_writer(self._table, plan_id, into) as writer:
            for start in range(0, rows, ROW_GROUP):
                near = [group for group in groups if group.may_hold(plan_id, start)]
                block = pa.concat_tables([self._block(group, plan_id, start) for group in near])
                for batch in _sorted(block, self._position).select(columns).to_batches():
                    writer.add(batch.replace_schema_metadata(None))
        return TableFile(self._table, into, rows)

    def write_back_checked(self, manifest: Manifest, entry: TableEntry, into: Path) -> str | None:
        """Write the rows of a plan as they were before they landed; return how they differ from its manifest, or None.

        Args:
            manifest: The plan's manifest.
            entry: What it says of the table.
            into: The file, which does not exist yet.
        """
        plan_id, label = manifest["plan_id"], manifest["snapshot"]
        try:
            if (count := self.count(plan_id)) != entry["rows"]:
                return f"has {count} rows of snapshot {label}, but the manifest says {entry['rows']}"
            digest = self.write_back(plan_id, into).sha256
        except (OSError, pa.ArrowException) as error:
            if isinstance(error, OSError) and error.errno not in (None, errno.ENOENT):
                raise  # our own file: the disk is full
            return f"can't be read: {type(error).__name__}: {error!s:.200}"
        if digest != entry["sha256"] and is_written_alike(entry):
            return f"gives a file with the SHA-256 {digest}, but the manifest says {entry['sha256']}"
        return None

    def _with(self, plan_id: str) -> list[_Opened]:
        """Return the files that may hold a plan, opened."""
        with self._lock:
            return [self._open(file) for file in self._files if file.may_hold({plan_id})]

    def _open(self, file: LandedFile) -> _Opened:
        if file.name not in self._opened:
            parquet = file.open()
            groups = [self._row_group(parquet, number) for number in range(parquet.num_row_groups)]
            self._opened[file.name] = _Opened(groups, rows_by_plan(parquet))
        return self._opened[file.name]

    def _row_group(self, parquet: pq.ParquetFile, number: int) -> _RowGroup:
        footer = parquet.metadata.row_group(number)
        columns = [footer.column(place) for place in range(footer.num_columns)]
        noted = {
            column.path_in_schema: (column.statistics.min, column.statistics.max)
            for column in columns
            if column.statistics is not None and column.statistics.has_min_max
        }
        return _RowGroup(parquet, number, noted.get(PLAN), noted.get(self._position))

    def _block(self, group: _RowGroup, plan_id: str, start: int) -> pa.Table:
        """Return the rows of a plan's block in a row group."""
        with self._lock:
            if group.file.metadata.row_group(group.number).total_byte_size > _LARGE:
                batches = _batches(group.file, [group.number], self._schema)
                return pa.concat_tables([self._in_block(rows, plan_id, start) for rows in batches])
            return self._in_block(self._decoded(group), plan_id, start)

    def _in_block(self, rows: pa.Table, plan_id: str, start: int) -> pa.Table:
        place = rows[self._position]
        in_block = pc.and_(pc.greater_equal(place, start), pc.less(place, start + ROW_GROUP))
        wanted = pc.indices_nonzero(pc.and_(pc.equal(rows[PLAN], plan_id), in_block))
        if len(wanted) and wanted[-1].as_py() - wanted[0].as_py() == len(wanted) - 1:
            return rows.slice(wanted[0].as_py(), len(wanted))  # side by side, as they landed
        return rows.take(wanted)


def _decode(group: _RowGroup, schema: pa.Schema) -> pa.Table:
    return pa.concat_tables(list(_batches(group.file, [group.number], schema)))


def _batches(parquet: pq.ParquetFile, groups: Sequence[int], schema: pa.Schema) -> Iterator[pa.Table]:
    """Yield some row groups a few rows at a time, with the columns of a schema, whatever types an engine gave them.

    In the calling thread: others would keep in memory what they have once needed.
    """
    columns = [name for name in schema.names if name in parquet.schema_arrow.names]
    schema = pa.schema([schema.field(name) for name in columns])
    for batch in parquet.iter_batches(BATCH, row_groups=list(groups), columns=columns, use_threads=False):
        yield pa.Table.from_batches([batch]).select(columns).cast(schema)


def _sorted(rows: pa.Table, column: str) -> pa.Table:
    """Sort rows by a column without nulls, unless they are in order."""
    values = rows[column].combine_chunks()
    in_order = pc.all(pc.less_equal(values[:-1], values[1:])).as_py() is not False
    return rows if in_order else rows.sort_by(column)


def rows_by_plan(parquet: pq.ParquetFile) -> Counter[str]:
    """Return how many rows each plan has in a landed file."""
    counts: Counter[str] = Counter()
    for batch in parquet.iter_batches(columns=[PLAN], use_threads=False):
        counts.update({entry["values"]: entry["counts"] for entry in batch[PLAN].value_counts().to_pylist()})
    return counts


def rows_without(parquet: pq.ParquetFile, table: str, plans: Collection[str]) -> Iterator[pa.RecordBatch]:
    """Yield the rows of a landed file that belong to other plans."""
    others = pa.array(plans, pa.string())
    for rows in _batches(parquet, range(parquet.num_row_groups), landed_schema(table)):
        yield from rows.filter(pc.invert(pc.is_in(rows[PLAN], others))).to_batches()
