"""The table `plan_item_changes`: what became of each item since the snapshot before."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pyarrow as pa

from airflow_provider_achieveit.lake.column_types import TIMESTAMP
from airflow_provider_achieveit.lake.manifest import ChangeCounts
from airflow_provider_achieveit.lake.schema import PLAN_ITEMS
from airflow_provider_achieveit.lake.table_file import TableFile, open_parquet
from airflow_provider_achieveit.lake.tables.aligned import Alignment, Overlap, blocks, take
from airflow_provider_achieveit.lake.tables.arrays import integers, repeated, texts
from airflow_provider_achieveit.lake.tables.compare import Difference, compared_columns, difference
from airflow_provider_achieveit.lake.tables.declared import CHANGES_TABLE, PLAN_ITEM_CHANGES, table_writer
from airflow_provider_achieveit.lake.tables.snapshot_file import SnapshotFile
from airflow_provider_achieveit.lake.tables.sorted_rows import sorted_rows

#: Columns that change with the calendar, without an edit.
CLOCK_COLUMNS = frozenset({"is_past_due", "late_updates", "pending_updates"})

#: What a row says of an item; the other columns say which snapshots were compared.
_FOUND = pa.schema([(name, pa.string()) for name in PLAN_ITEM_CHANGES.names[1:8]])

#: Rows that are compared together when a table of changes is checked.
_BATCH = 1_500

#: What is read of items that only one of the snapshots has.
_NAMES = ["id", "name"]

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def change_table(
    previous: TableFile | None,
    current: TableFile,
    *,
    plan_id: str,
    from_snapshot: str | None,
    to_snapshot: str,
    detected_at: datetime,
    directory: Path,
) -> tuple[TableFile, ChangeCounts]:
    """Write what changed between two proven snapshots of a plan, sorted by item id and field.

    Args:
        previous: `plan_items` of the earlier snapshot, whose schema `is_comparable`; None if there is none: then all
            items are added.
        current: `plan_items` of the later snapshot.
        plan_id: Id of the plan.
        from_snapshot: Label of the earlier snapshot; None if there is none.
        to_snapshot: Label of the later snapshot.
        detected_at: When the later snapshot was started.
        directory: Where the file goes; its name is `plan_item_changes.parquet`.

    Returns:
        The table, and how many items it tells of.
    """
    counts = ChangeCounts(added=0, removed=0, changed=0)
    path, spill = directory / f"{CHANGES_TABLE}.parquet", directory / f"{CHANGES_TABLE}.spill"
    rows = 0
    with table_writer(CHANGES_TABLE, plan_id, path) as file:
        for found in sorted_rows(_compare(previous, current, counts), _FOUND, ["item_id", "field"], spill):
            count = found.num_rows
            detected = pa.repeat(integers([(detected_at - _EPOCH) // timedelta(microseconds=1)])[0], count)
            columns = [
                repeated(plan_id, count),
                *found.columns,
                repeated(from_snapshot, count),
                repeated(to_snapshot, count),
                detected.cast(TIMESTAMP.arrow),
            ]
            file.add(pa.RecordBatch.from_arrays(columns, schema=PLAN_ITEM_CHANGES))
            rows += count
    return TableFile(CHANGES_TABLE, path, rows), counts


def no_changes(plan_id: str, directory: Path) -> TableFile:
    """Write a table of changes without rows: that of a snapshot that is not proven.

    Args:
        plan_id: Id of the plan.
        directory: Where the file goes; its name is `plan_item_changes.parquet`.
    """
    path = directory / f"{CHANGES_TABLE}.parquet"
    with table_writer(CHANGES_TABLE, plan_id, path):
        return TableFile(CHANGES_TABLE, path, 0)


def is_comparable(previous: pa.Schema, current: pa.Schema = PLAN_ITEMS) -> bool:
    """Whether two snapshots can be compared: they have the same columns, of the same types, in whatever order."""
    return {field.name: field.type for field in previous} == {field.name: field.type for field in current}


def problems(
    previous: TableFile | None,
    current: TableFile,
    changes: TableFile,
    *,
    plan_id: str,
    from_snapshot: str | None,
    to_snapshot: str,
    detected_at: datetime,
    counts: ChangeCounts,
    directory: Path,
) -> Iterator[str]:
    """Say what is wrong with a table of changes: the changes are made again and compared with it.

    Args:
        previous: As for `change_table`, like the others that it has as well.
        current: `plan_items` of the later snapshot.
        changes: The table to look at.
        plan_id: Id of the plan.
        from_snapshot: Label of the earlier snapshot.
        to_snapshot: Label of the later snapshot.
        detected_at: When the later snapshot was started.
        counts: The counts to look at.
        directory: An empty directory for the file that is made; neither table may be in it.

    Yields:
        A sentence for each problem; of rows that differ, for the first one.
    """
    made, right_counts = change_table(
        previous, current, plan_id=plan_id, from_snapshot=from_snapshot, to_snapshot=to_snapshot,
        detected_at=detected_at, directory=directory,
    )  # fmt: skip
    if counts != right_counts:
        yield f"the changes are counted as {dict(counts)}, and the two snapshots differ by {dict(right_counts)}"
    if changes.rows != made.rows:
        yield f"there are {changes.rows} changes, and the two snapshots differ by {made.rows}"
    with open_parquet(changes.path) as file, open_parquet(made.path) as right:
        batches = zip(file.iter_batches(_BATCH), right.iter_batches(_BATCH), strict=False)
        wrong = next(((one, other) for one, other in batches if not one.equals(other)), None)
    if wrong is not None:
        yield _first_difference(*wrong)


def _first_difference(one: pa.RecordBatch, other: pa.RecordBatch) -> str:
    """Say which row of a batch is the first that is not what it should be."""
    for row in range(min(one.num_rows, other.num_rows)):
        if not one.slice(row, 1).equals(other.slice(row, 1)):
            item, field = other.column("item_id")[row].as_py(), other.column("field")[row].as_py()
            return f"the change of item {item!r}, field {field!r}, is missing or is not what the two snapshots say"
    return f"of {other.num_rows} changes, {one.num_rows} are there"


def _compare(previous: TableFile | None, current: TableFile, counts: ChangeCounts) -> Iterator[pa.RecordBatch]:
    """Yield a row for each change, in the order in which they are found, and count them."""
    with ExitStack() as files:
        new = files.enter_context(SnapshotFile(current.path))
        if previous is None:
            counts["added"] = new.starts[-1]
            for group in new.groups:
                yield _whole_items("added", new, [group])
            return
        old = files.enter_context(SnapshotFile(previous.path))
        alignment = Alignment(old, new)
        for group, rows in alignment.removed():
            counts["removed"] += len(rows)
            yield _whole_items("removed", old, [group], rows)
        for block in blocks(new):
            added = alignment.added(block)
            counts["added"] += len(added)
            yield _whole_items("added", new, block, added)
            yield from _changed_items(old, new, block, list(alignment.overlaps(block)), counts)


def _changed_items(
    old: SnapshotFile, new: SnapshotFile, block: range, overlaps: Sequence[Overlap], counts: ChangeCounts
) -> Iterator[pa.RecordBatch]:
    """Yield a row for each column of each item that differs, a column at a time."""
    names = new.read(block, _NAMES)
    edited = set[tuple[int, int]]()
    for column in compared_columns(new.columns):
        kind = "clock" if column in CLOCK_COLUMNS else "edited"
        for overlap, found in _differences(old, new, block, overlaps, column):
            if kind == "edited":
                edited.update((overlap.old_group, row) for row in found.rows.to_pylist())
            items = take(names, overlap.new_rows).take(found.rows)
            values = texts(found.old), texts(found.new)
            yield _rows(items, "changed", column, kind, *values)
    counts["changed"] += len(edited)


def _differences(
    old: SnapshotFile, new: SnapshotFile, block: range, overlaps: Sequence[Overlap], column: str
) -> Iterator[tuple[Overlap, Difference]]:
    """Yield in which items of a block, and how, a column differs."""
    suspects = [overlap for overlap in overlaps if not _has_same_bytes(old, new, overlap, column)]
    now = new.read_column(block, column) if suspects else None
    for overlap in suspects:
        before = old.read_column([overlap.old_group], column)
        found = difference(column, take(before, overlap.old_rows), take(now, overlap.new_rows))
        if found is not None:
            yield overlap, found


def _has_same_bytes(old: SnapshotFile, new: SnapshotFile, overlap: Overlap, column: str) -> bool:
    group = overlap.new_group
    return group is not None and old.has_same_bytes(overlap.old_group, new, group, column)


def _whole_items(
    change: str, file: SnapshotFile, groups: Sequence[int], rows: pa.Array | None = None
) -> pa.RecordBatch:
    """Return a row for each item in some row groups, or for those in some rows of theirs."""
    items = file.read(groups, _NAMES)
    return _rows(items if rows is None else items.take(rows), change)


def _rows(
    items: pa.Table,
    change: str,
    field: str | None = None,
    kind: str | None = None,
    old: pa.Array | None = None,
    new: pa.Array | None = None,
) -> pa.RecordBatch:
    """Return a row for each of some items; without values, they are null."""
    count = items.num_rows
    constants = [repeated(value, count) for value in (change, field, kind)]
    nulls = pa.nulls(count, pa.string())
    values = [nulls if value is None else value for value in (old, new)]
    names = [items.column(name).combine_chunks() for name in _NAMES]
    return pa.RecordBatch.from_arrays([*names, *constants, *values], schema=_FOUND)
