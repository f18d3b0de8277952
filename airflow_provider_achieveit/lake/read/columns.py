"""Columns of a page: read from JSON by pyarrow, checked, and given the types of the lake."""

from __future__ import annotations

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.json as pj

from airflow_provider_achieveit.lake.schema import DECIMAL, TIMESTAMP, Field

#: How a text column may become a time, tried in this order. Nanoseconds first: .NET writes seven digits, which no cast
#: to microseconds accepts; microseconds reach the year 1, which .NET writes for "never".
_TIMES = (pa.timestamp("ns", "UTC"), pa.timestamp("ns"), TIMESTAMP, pa.timestamp("us"))
#: An offset can carry a time out of the years 1 to 9999, where neither Python nor most engines follow. In microseconds.
_FIRST_TIME, _LAST_TIME = -62_135_596_800_000_000, 253_402_300_799_999_999

#: A number of so many characters and no exponent is below 1e29, so `DECIMAL` has the digits before the point.
_SAFE_DECIMAL = 29
#: Below this, a double holds every whole number.
SAFE_FLOAT = 2.0**53


class DoesNotFit(Exception):
    """A value is not what its column holds, or a body not what pyarrow's reader was told to expect."""


def read_items(body: bytes, item: pa.StructType, *, ignore_other_fields: bool = False) -> tuple[pa.StructArray, int]:
    """Parse a page as one JSON row of a declared type, without a Python object per item.

    Args:
        body: A page of the API.
        item: The fields of an item, as JSON has them.
        ignore_other_fields: Skip the fields that are not declared, instead of raising.

    Returns:
        The items, not checked yet, and `totalCount`.

    Raises:
        DoesNotFit: Not a page of such items.
        pyarrow.ArrowException: The same, as pyarrow says it.
    """
    if not body.lstrip()[:1] == b"{":
        raise DoesNotFit  # pyarrow's reader does not survive a bare null
    table = pj.read_json(
        pa.BufferReader(body),
        # One block, since an object may not straddle two; one thread, since pages come one after the other.
        read_options=pj.ReadOptions(use_threads=False, block_size=len(body) + 1),
        parse_options=pj.ParseOptions(
            explicit_schema=pa.schema([("items", pa.list_(item)), ("totalCount", pa.int64())]),
            newlines_in_values=True,
            unexpected_field_behavior="ignore" if ignore_other_fields else "error",
        ),
        # The default pool keeps the most that each of the page threads ever needed.
        memory_pool=pa.system_memory_pool(),
    )
    if table.num_rows != 1:
        raise DoesNotFit
    items, total = table.column("items").chunk(0), table.column("totalCount")[0].as_py()
    if items.null_count or items.values.null_count or total is None or total < 0:
        raise DoesNotFit
    return items.flatten(), total


def check_column(array: pa.Array, field: Field) -> None:
    """Look for what pyarrow lets pass, or turns into something else without an error.

    Raises:
        DoesNotFit: A number that would become another.
        pyarrow.ArrowException: Text that is no UTF-8.
    """
    array.validate(full=True)
    _check_numbers(array, field)


def _check_numbers(array: pa.Array, field: Field) -> None:
    if field.type == DECIMAL:
        longest = pc.max(pc.binary_length(array)).as_py() or 0
        if longest > _SAFE_DECIMAL or any(pc.any(pc.match_substring(array, mark)).as_py() for mark in "eE"):
            raise DoesNotFit
    # NaN and Infinity as well: they are no JSON, but the reader takes them.
    if field.type == pa.float64():
        smallest, largest = _ends(array)
        if pc.any(pc.is_nan(array)).as_py() or smallest <= -SAFE_FLOAT or largest >= SAFE_FLOAT:
            raise DoesNotFit
    for index, child in enumerate(field.fields):
        _check_numbers(array.values.field(index), child)


def typed_column(array: pa.Array, field: Field) -> pa.Array:
    """Give a column of the JSON reader its type in the lake.

    Raises:
        DoesNotFit: A time outside the years 1 to 9999, or of no known form.
        pyarrow.ArrowException: Text that is no number.
    """
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
    children = [typed_column(objects.field(index), child) for index, child in enumerate(field.fields)]
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
            raise DoesNotFit
        return moments
    raise DoesNotFit


def _ends(array: pa.Array) -> tuple[float, float]:
    """Return the smallest and the largest value, as numbers; zeros if there are none.

    As numbers, because pyarrow imports pandas, where it is installed, to compare with a Python value or to make a
    `datetime`: over a second, and 50 MB.
    """
    if not pa.types.is_floating(array.type):
        array = array.cast(pa.int64())
    ends = pc.min_max(array)
    return ends["min"].as_py() or 0, ends["max"].as_py() or 0
