"""Compare two snapshots' values of the same items, column by column."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.compute as pc

from airflow_provider_achieveit.lake.schema import RESCUED
from airflow_provider_achieveit.lake.tables.arrays import integers
from airflow_provider_achieveit.lake.tables.json_text import is_same_json, json_texts

#: What is not compared. The id is what items are known by; one insertion changes the positions of all items behind it;
#: the plan's name is not the item's.
_NOT_COMPARED = frozenset({"id", "row_number", "sequence_id", "plan_name"})


def compared_columns(columns: Iterable[str]) -> list[str]:
    """Return those of a snapshot's columns that are compared."""
    return [column for column in columns if column not in _NOT_COMPARED]


@dataclass(frozen=True)
class Difference:
    """In which rows two columns differ, and what they hold there.

    Attributes:
        rows: The row numbers, an Arrow array.
        old: The values of the earlier column as JSON text; None for null.
        new: Those of the later column.
    """

    rows: pa.Array
    old: list[str | None]
    new: list[str | None]


def difference(column: str, old: pa.Array, new: pa.Array) -> Difference | None:
    """Compare two states of a column that hold the values of the same items in the same order."""
    if old.equals(new):
        return None
    rows = _unequal_entries(old, new) if pa.types.is_nested(new.type) else _unequal(old, new)
    before, after = old.take(rows), new.take(rows)
    if column == RESCUED:
        pairs = list(zip(before.to_pylist(), after.to_pylist(), strict=True))
        kept = [index for index, pair in enumerate(pairs) if not is_same_json(*pair)]
    else:
        pairs = list(zip(json_texts(before), json_texts(after), strict=True))
        kept = [index for index, (one, other) in enumerate(pairs) if one != other]
    if not kept:
        return None
    rows = rows.take(integers(kept))
    return Difference(rows, [pairs[index][0] for index in kept], [pairs[index][1] for index in kept])


def _unequal(old: pa.Array, new: pa.Array) -> pa.Array:
    """Return the rows in which two columns of plain values differ."""
    # Where either is null, so is the comparison, and they differ if only one is.
    return pc.indices_nonzero(pc.coalesce(pc.not_equal(old, new), pc.xor(old.is_null(), new.is_null())))


def _unequal_entries(old: pa.Array, new: pa.Array) -> pa.Array:
    """Return the rows in which two columns of lists differ in some way, be it only in the order of their entries.

    Arrow compares whole columns of lists, but has no function that does so row by row. So halves that are equal are
    left alone, and the others are halved again.
    """
    rows: list[int] = []
    halves = [(0, len(old))]
    while halves:
        start, length = halves.pop()
        if old.slice(start, length).equals(new.slice(start, length)):
            continue
        if length == 1:
            rows.append(start)
        else:
            half = length // 2
            halves += [(start + half, length - half), (start, half)]
    return integers(rows)
