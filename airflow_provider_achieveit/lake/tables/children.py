"""Child tables: the lists of `plan_items` as tables of their own, a row for each entry."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc

from airflow_provider_achieveit.lake.table_file import TableFile, TableWriter, open_parquet
from airflow_provider_achieveit.lake.tables.arrays import repeated
from airflow_provider_achieveit.lake.tables.declared import CHILD_TABLES, ChildTable, table_writer


def child_tables(items: TableFile, plan_id: str, directory: Path) -> list[TableFile]:
    """Write the child tables of a snapshot, a row group of its items at a time.

    Every entry of a list becomes a row, also an entry that is null (something that was no object, and is kept in the
    item's `_rescued_data`): its own fields are null there, and `position` counts without a gap.

    Args:
        items: The snapshot's `plan_items`.
        plan_id: Id of the plan.
        directory: Where the files go; each is named after its table.

    Returns:
        The tables of `CHILD_TABLES`, in that order; those without rows as well.
    """
    rows = {child.name: 0 for child in CHILD_TABLES}
    paths = {child.name: directory / f"{child.name}.parquet" for child in CHILD_TABLES}
    with ExitStack() as stack:
        writers: dict[str, TableWriter] = {
            name: stack.enter_context(table_writer(name, plan_id, path)) for name, path in paths.items()
        }
        for batch in _batches(items):
            for child in CHILD_TABLES:
                entries = _entries(child, batch, plan_id)
                writers[child.name].add(entries)
                rows[child.name] += entries.num_rows
    return [TableFile(name, path, rows[name]) for name, path in paths.items()]


def _batches(items: TableFile) -> Iterator[pa.RecordBatch]:
    """Yield the ids and the lists of a snapshot, a row group at a time."""
    columns = ["id", *dict.fromkeys(child.column for child in CHILD_TABLES)]
    with open_parquet(items.path) as file:
        for group in range(file.num_row_groups):
            yield from file.read_row_group(group, columns, use_threads=False).to_batches()


def _entries(child: ChildTable, items: pa.RecordBatch, plan_id: str) -> pa.RecordBatch:
    """Return a child table's rows of some items."""
    item_ids = items.column("id")
    parents, positions, entries = _flattened(items.column(child.column))
    belongs = [item_ids.take(parents)]
    if child.inner is not None:
        checklists = entries
        owners, positions, entries = _flattened(_field(checklists, child.inner))
        belongs = [belongs[0].take(owners), _field(checklists, "id").take(owners)]
    item, *checklist = belongs
    fields = [_field(entries, field.name) for field in child.fields]
    plan = repeated(plan_id, len(entries))
    return pa.RecordBatch.from_arrays([plan, item, positions, *checklist, *fields], schema=child.schema)


def _flattened(lists: pa.ListArray) -> tuple[pa.Array, pa.Array, pa.StructArray]:
    """Return, for the entries of all lists, the row of their list, their index in it, and the entries."""
    parents = pc.list_parent_indices(lists)
    lengths = pc.list_value_length(lists)
    # Where each list begins among the entries. Null lists have none, and no entry asks for them.
    starts = pc.subtract(pc.cumulative_sum(lengths, skip_nulls=True), lengths)
    numbers = pc.indices_nonzero(parents.is_valid()).cast(pa.int32())  # 0, 1, 2, ...
    return parents, pc.subtract(numbers, starts.take(parents)), pc.list_flatten(lists)


def _field(entries: pa.StructArray, name: str) -> pa.Array:
    """Return a field of all entries: null where the entry is. `StructArray.field` would not look at that."""
    return pc.struct_field(entries, name)
