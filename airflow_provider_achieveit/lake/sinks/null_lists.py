"""Null lists made empty, at any depth, for a format whose readers can't tell the two apart."""

from __future__ import annotations

import pyarrow as pa
import pyarrow.compute as pc


def has_null_lists(rows: pa.RecordBatch) -> bool:
    """Return whether a list is null anywhere in some rows."""
    return any(map(_is_null_within, rows))


def without_null_lists(rows: pa.RecordBatch) -> pa.RecordBatch:
    """Return the same rows with lists that are empty where they were null."""
    return pa.RecordBatch.from_arrays(list(map(_emptied, rows)), names=rows.schema.names)


def _is_null_within(column: pa.Array) -> bool:
    if pa.types.is_list(column.type):
        return column.null_count > 0 or _is_null_within(column.flatten())
    return pa.types.is_struct(column.type) and any(
        _is_null_within(pc.filter(column.field(number), column.is_valid()))
        for number, field in enumerate(column.type)
        if pa.types.is_nested(field.type)
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
