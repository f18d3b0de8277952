"""Snapshots, and the tables made of them, as these tests write and read them."""

from __future__ import annotations

import tempfile
from datetime import UTC, datetime
from itertools import count
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from airflow_provider_achieveit.lake.manifest import ChangeCounts
from airflow_provider_achieveit.lake.read.decode import decode_page
from airflow_provider_achieveit.lake.schema import plan_schema
from airflow_provider_achieveit.lake.table_file import TableFile
from airflow_provider_achieveit.lake.tables.changes import change_table
from tests.lake.items import page

DETECTED_AT = datetime(2026, 11, 23, 10, 2, 3, 123456, tzinfo=UTC)

_numbers = count()


def snapshot(directory: Path, *items: Any, row_group: int = 6_000) -> TableFile:
    """Write a snapshot of these items, as the API writes them, in row groups of this size."""
    path = directory / f"snapshot-{next(_numbers)}.parquet"
    pages = [items[first : first + 1_000] for first in range(0, len(items), 1_000)]
    schema = plan_schema("p")
    table = pa.Table.from_batches([decode_page(page(*some)).rows.cast(schema) for some in pages], schema)
    pq.write_table(table, path, row_group_size=row_group, compression="zstd")
    return TableFile("plan_items", path, table.num_rows)


def compare(
    previous: TableFile | None, current: TableFile, *, detected_at: datetime = DETECTED_AT
) -> tuple[TableFile, ChangeCounts]:
    """Make the changes between two snapshots, in a directory of their own."""
    return change_table(
        previous,
        current,
        plan_id="p",
        from_snapshot=None if previous is None else "monday",
        to_snapshot="tuesday",
        detected_at=detected_at,
        directory=Path(tempfile.mkdtemp(dir=current.path.parent)),
    )


def rows(table: TableFile) -> list[dict[str, Any]]:
    """Read a table's rows."""
    found: list[dict[str, Any]] = pq.read_table(table.path).to_pylist()
    assert len(found) == table.rows
    return found
