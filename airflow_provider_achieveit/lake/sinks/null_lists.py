"""Null lists made empty, for a format whose readers can't tell the two apart."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from airflow_provider_achieveit.lake.sinks.data_files import BATCH, plan_writer
from airflow_provider_achieveit.lake.table_file import TableFile


def without_null_lists(file: TableFile, plan_id: str, path: Path) -> TableFile:
    """Return a file with the same rows in which lists are empty where they were null, at any depth.

    Args:
        file: A plan's finished file of a table.
        plan_id: The plan.
        path: Where the new file goes, which does not exist; if there are no null lists, the old one is returned.
    """
    with pq.ParquetFile(file.path) as parquet:
        lists = [field.name for field in parquet.schema_arrow if pa.types.is_list(field.type)]
        if not any(_has_null_lists(column) for batch in _batches(parquet, lists) for column in batch):
            return file
        with plan_writer(file.table, plan_id, path) as writer:
            for batch in _batches(parquet, None):
                columns = [_emptied(column) for column in batch]
                writer.add(pa.RecordBatch.from_arrays(columns, names=batch.schema.names))
    return TableFile(file.table, path, file.rows)


def _batches(parquet: pq.ParquetFile, columns: list[str] | None) -> Iterator[pa.RecordBatch]:
    yield from parquet.iter_batches(BATCH, columns=columns, use_threads=False)


def _has_null_lists(column: pa.Array) -> bool:
    if pa.types.is_list(column.type):
        return column.null_count > 0 or _has_null_lists(column.flatten())
    return pa.types.is_struct(column.type) and any(
        _has_null_lists(pc.filter(column.field(number), column.is_valid())) for number in range(column.type.num_fields)
    )


def _emptied(column: pa.Array) -> pa.Array:
    if pa.types.is_list(column.type):
        lengths = pc.fill_null(pc.list_value_length(column), 0)
        offsets = pa.concat_arrays([pa.array([0], pa.int32()), pc.cumulative_sum(lengths)])
        return pa.ListArray.from_arrays(offsets, _emptied(column.flatten()), column.type)
    if pa.types.is_struct(column.type):
        fields = [_emptied(column.field(number)) for number in range(column.type.num_fields)]
        return pa.StructArray.from_arrays(fields, fields=list(column.type), mask=column.is_null())
    return column
