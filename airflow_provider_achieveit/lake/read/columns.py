"""Read a page with pyarrow's JSON reader, and give its columns the types of the lake."""

from __future__ import annotations

import pyarrow as pa
import pyarrow.json as pj

from airflow_provider_achieveit.lake.column_type import DoesNotFit
from airflow_provider_achieveit.lake.schema import Field


def read_items(body: bytes, item: pa.StructType, *, ignore_other_fields: bool = False) -> tuple[pa.StructArray, int]:
    """Parse a page as one JSON row of a declared type, without a Python object per item.

    Args:
        body: A page of the API.
        item: The fields of an item, as JSON has them.
        ignore_other_fields: Skip the fields that are not declared, instead of raising.

    Returns:
        The items, not checked yet, and `totalCount`.

    Raises:
        DoesNotFit: The body is not a page of such items.
        pyarrow.ArrowException: The same, found by pyarrow.
    """
    if not body.lstrip()[:1] == b"{":
        raise DoesNotFit  # pyarrow's reader crashes on a bare null
    table = pj.read_json(
        pa.BufferReader(body),
        # One block, since an object may not straddle two; one thread, since pages come one after the other.
        read_options=pj.ReadOptions(use_threads=False, block_size=len(body) + 1),
        parse_options=pj.ParseOptions(
            explicit_schema=pa.schema([("items", pa.list_(item)), ("totalCount", pa.int64())]),
            newlines_in_values=True,
            unexpected_field_behavior="ignore" if ignore_other_fields else "error",
        ),
        # Arrow's default pool keeps each thread's peak allocation; the system pool returns it.
        memory_pool=pa.system_memory_pool(),
    )
    if table.num_rows != 1:
        raise DoesNotFit
    items, total = table.column("items").chunk(0), table.column("totalCount")[0].as_py()
    if items.null_count or items.values.null_count or total is None or total < 0:
        raise DoesNotFit
    return items.flatten(), total


def check_column(column: pa.Array, field: Field) -> None:
    """Look for what pyarrow lets pass, or would change without an error.

    Raises:
        DoesNotFit: There is such a value.
        pyarrow.ArrowException: Text is not UTF-8, which the JSON reader lets pass.
    """
    column.validate(full=True)
    _check_values(column, field)


def _check_values(column: pa.Array, field: Field) -> None:
    if field.type is not None:
        field.type.check(column)
    for index, child in enumerate(field.fields):
        _check_values(column.values.field(index), child)


def cast_column(column: pa.Array, field: Field) -> pa.Array:
    """Convert a column of the JSON reader to its type in the lake.

    Raises:
        DoesNotFit: A value is not what the column holds.
        pyarrow.ArrowException: The same, found by pyarrow.
    """
    return _cast_list(column, field) if field.type is None else field.type.cast(column)


def _cast_list(column: pa.ListArray, field: Field) -> pa.ListArray:
    """Rebuild a list of objects around converted and renamed children; nothing that fits already is copied."""
    objects = column.values
    children = [cast_column(objects.field(index), child) for index, child in enumerate(field.fields)]
    mask = objects.is_null() if objects.null_count else None
    struct = pa.StructArray.from_arrays(children, fields=list(field.lake_type.value_type), mask=mask)
    nulls = column.is_null() if column.null_count else None
    return pa.ListArray.from_arrays(column.offsets, struct, type=field.lake_type, mask=nulls)
