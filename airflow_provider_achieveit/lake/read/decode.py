"""Decode one page of JSON into typed Arrow columns, without a Python object per item.

A page that pyarrow's JSON reader refuses, or that holds a value which does not fit its column, goes through `rescue`;
other pages do not.
"""

from __future__ import annotations

from dataclasses import dataclass

import pyarrow as pa

from airflow_provider_achieveit.api.response import check_size, wrong_shape
from airflow_provider_achieveit.lake.column_type import DoesNotFit
from airflow_provider_achieveit.lake.read.columns import cast_column, check_column, read_items
from airflow_provider_achieveit.lake.read.rescue import rescue
from airflow_provider_achieveit.lake.schema import ITEM_FIELDS, PLAN_ITEMS, wire_item


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


_WIRE_ITEM = wire_item(ITEM_FIELDS)

#: The most items that the API gives at once.
_MAX_TAKE = 1500


def decode_page(body: bytes, take: int = _MAX_TAKE) -> Page:
    """Decode a page.

    Args:
        body: JSON.
        take: Items that were asked for.

    Raises:
        AchieveItDataError: The body is not JSON or not a page of items, or an item has no id.
    """
    body = body.removeprefix(b"\xef\xbb\xbf")
    rescued: list[list[str]] = []
    try:
        columns, total = _fast(body, take)
    except (DoesNotFit, pa.ArrowException):
        columns, total, rescued = rescue(body, take)
    rows = pa.RecordBatch.from_arrays(columns, schema=PLAN_ITEMS)
    if rows.column("id").null_count:
        position = rows.column("id").is_null().to_pylist().index(True)
        raise wrong_shape(f"item {position + 1} of the page has no id")
    return Page(rows, total, rescued)


def _fast(body: bytes, take: int) -> tuple[list[pa.Array], int]:
    items, total = read_items(body, _WIRE_ITEM)
    check_size(len(items), take)
    wire = list(zip(items.flatten(), ITEM_FIELDS, strict=True))
    for column, field in wire:
        check_column(column, field)
    return [*(cast_column(column, field) for column, field in wire), pa.nulls(len(items), pa.string())], total
