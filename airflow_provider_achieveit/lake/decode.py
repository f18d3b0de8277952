"""One page of JSON into typed Arrow columns, without a Python object per item.

The body is parsed as one JSON row of a declared type. Whatever pyarrow's reader does not accept, and whatever a
column cannot hold, sends that page, and only that, through `rescue`, which sets such values aside and leaves a body
that fits.
"""

from __future__ import annotations

from dataclasses import dataclass

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.json as pj

from airflow_provider_achieveit.api.client import wrong_shape
from airflow_provider_achieveit.lake.rescue import RESCUED_FIELD, SAFE_FLOAT, set_aside
from airflow_provider_achieveit.lake.schema import (
    DECIMAL,
    ITEM_FIELDS,
    PLAN_ITEMS,
    TIMESTAMP,
    WIRE_ITEM,
    Field,
)

_BODY = pa.schema([("items", pa.list_(WIRE_ITEM)), ("totalCount", pa.int64())])
_CLEANED_ITEM = pa.struct([*WIRE_ITEM, (RESCUED_FIELD, pa.string())])
_CLEANED_BODY = pa.schema([("items", pa.list_(_CLEANED_ITEM)), ("totalCount", pa.int64())])

#: How a text column may become a time, tried in this order. Nanoseconds first: .NET writes seven digits, which no cast
#: to microseconds accepts; microseconds reach the year 1, which .NET writes for "never".
_TIMES = (pa.timestamp("ns", "UTC"), pa.timestamp("ns"), TIMESTAMP, pa.timestamp("us"))
#: An offset can carry a time out of the years 1 to 9999, where neither Python nor most engines follow. In microseconds.
_FIRST_TIME, _LAST_TIME = -62_135_596_800_000_000, 253_402_300_799_999_999

#: A number of so many characters and no exponent is below 1e29, so `DECIMAL` has the digits before the point.
_SAFE_DECIMAL = 29


class _DoesNotFit(Exception):
    """The page needs the slow path."""


@dataclass(frozen=True)
class Page:
    """A decoded page.

    Attributes:
        rows: The items, with the columns of `PLAN_ITEMS`.
        total: The page's `totalCount`.
        rescued: For each item, the paths of the values that were set aside; empty if nothing was.
    """

    rows: pa.RecordBatch
    total: int
    rescued: list[list[str]]


def decode_page(body: bytes) -> Page:
    """Decode a page.

    Raises:
        AchieveItDataError: Not JSON, not a page of items, or an item without an id.
    """
    body = body.removeprefix(b"\xef\xbb\xbf")
    rescued: list[list[str]] = []
    try:
        rows, total = _parse(body, _BODY)
    except (_DoesNotFit, pa.ArrowException):
        cleaned, rescued = set_aside(body)
        rows, total = _parse(cleaned, _CLEANED_BODY)
    if rows.column("id").null_count:
        position = rows.column("id").is_null().to_pylist().index(True)
        raise wrong_shape(f"item {position + 1} of the page has no id")
    return Page(rows, total, rescued)


def _parse(body: bytes, schema: pa.Schema) -> tuple[pa.RecordBatch, int]:
    if not body.lstrip()[:1] == b"{":
        raise _DoesNotFit  # pyarrow's reader does not survive a bare null
    table = pj.read_json(
        pa.BufferReader(body),
        # One block, since an object may not straddle two; one thread, since pages are decoded concurrently already.
        read_options=pj.ReadOptions(use_threads=False, block_size=len(body) + 1),
        parse_options=pj.ParseOptions(
            explicit_schema=schema, newlines_in_values=True, unexpected_field_behavior="error"
        ),
        # The default pool keeps the most that each of the page threads ever needed.
        memory_pool=pa.system_memory_pool(),
    )
    if table.num_rows != 1:
        raise _DoesNotFit
    items, total = table.column("items").chunk(0), table.column("totalCount")[0].as_py()
    if items.null_count or items.values.null_count or total is None or total < 0:
        raise _DoesNotFit
    # The reader lets invalid UTF-8 pass, and so would Parquet.
    items.validate(full=True)
    names = [field.name for field in schema.field("items").type.value_type]
    columns = dict(zip(names, items.flatten().flatten(), strict=True))
    if schema is _BODY:  # what comes from `set_aside` fits
        for field in ITEM_FIELDS:
            _check(columns[field.api_name], field)
    typed = [_typed(columns[field.api_name], field) for field in ITEM_FIELDS]
    typed.append(columns.get(RESCUED_FIELD, pa.nulls(len(items.values), pa.string())))
    return pa.RecordBatch.from_arrays(typed, schema=PLAN_ITEMS), total


def _check(array: pa.Array, field: Field) -> None:
    """Raise if a column might have numbers that pyarrow would turn into others without an error."""
    if field.type == DECIMAL:
        longest = pc.max(pc.binary_length(array)).as_py() or 0
        if longest > _SAFE_DECIMAL or any(pc.any(pc.match_substring(array, mark)).as_py() for mark in "eE"):
            raise _DoesNotFit
    # NaN and Infinity as well: they are no JSON, but the reader takes them.
    if field.type == pa.float64():
        smallest, largest = _ends(array)
        if pc.any(pc.is_nan(array)).as_py() or smallest <= -SAFE_FLOAT or largest >= SAFE_FLOAT:
            raise _DoesNotFit
    for index, child in enumerate(field.fields):
        _check(array.values.field(index), child)


def _typed(array: pa.Array, field: Field) -> pa.Array:
    """Give a column of the JSON reader its type in the lake, or raise if a value does not fit."""
    if field.fields:
        return _typed_list(array, field)
    if field.type == TIMESTAMP:
        return _as_timestamps(array)
    if field.type == DECIMAL:
        return array.cast(DECIMAL)
    return array


def _typed_list(array: pa.ListArray, field: Field) -> pa.ListArray:
    """Rebuild a list of objects around typed and renamed children; nothing that fits already is copied."""
    objects = array.values
    children = [_typed(objects.field(index), child) for index, child in enumerate(field.fields)]
    mask = objects.is_null() if objects.null_count else None
    struct = pa.StructArray.from_arrays(children, fields=list(field.lake_type.value_type), mask=mask)
    nulls = array.is_null() if array.null_count else None
    return pa.ListArray.from_arrays(array.offsets, struct, type=field.lake_type, mask=nulls)


def _as_timestamps(texts: pa.Array) -> pa.Array:
    for kind in _TIMES:
        try:
            moments = texts.cast(kind)
        except pa.ArrowInvalid:
            continue
        if kind.unit == "ns":
            if _ends(moments)[0] < 0:
                # The cast below cuts towards zero, which before 1970 is upwards.
                moments = pc.floor_temporal(moments, unit="microsecond")
            moments = moments.cast(pa.timestamp("us", kind.tz), safe=False)
        moments = moments.cast(TIMESTAMP)
        first, last = _ends(moments)
        if first < _FIRST_TIME or last > _LAST_TIME:
            raise _DoesNotFit
        return moments
    raise _DoesNotFit


def _ends(array: pa.Array) -> tuple[float, float]:
    """Return the smallest and the largest value, as numbers; zeros if there are none.

    As numbers, because pyarrow imports pandas, where it is installed, to compare with a Python value or to make a
    `datetime`: over a second, and 50 MB.
    """
    if not pa.types.is_floating(array.type):
        array = array.cast(pa.int64())
    ends = pc.min_max(array)
    return ends["min"].as_py() or 0, ends["max"].as_py() or 0
