"""Replace the rows of some plans under a label: the data files that hold them are exchanged in one commit."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from pathlib import Path

from airflow_provider_achieveit.lake.sinks.data_files import DataFile, DataFileWriter
from airflow_provider_achieveit.lake.sinks.landed_rows import rows_by_plan, rows_without
from airflow_provider_achieveit.lake.sinks.landed_table import LandedFile, LandedTable

#: How often a commit to a table is tried when others come first: a few minutes with the pauses between.
COMMITS = 60
#: The longest pause between two of these, in seconds. A commit takes less.
LONGEST_PAUSE = 5.0


def replace_rows(
    table: LandedTable,
    label: str,
    plans: Collection[str],
    added: Sequence[DataFile],
    directory: Path,
    *,
    label_column: bool,
) -> list[LandedFile]:
    """Replace the rows of some plans under a label in one commit, based on the state of the table that is loaded.

    Args:
        table: The table.
        label: The label.
        plans: The plans.
        added: Their new rows.
        directory: For the rows of other plans, which are copied out of the files that are removed.
        label_column: Whether data files have the column `snapshot`.

    Returns:
        The data files that were removed; they can still be read.

    Raises:
        ConflictError: The table is in another state by now, and nothing was committed.
    """
    removed = []
    with DataFileWriter(directory, table.name, label, label_column=label_column) as rest:
        for file in table.files(label):
            if not file.may_hold(plans):
                continue
            parquet = file.open()
            there = set(rows_by_plan(parquet))
            if there.intersection(plans):
                removed.append(file)
                if there.difference(plans):
                    rest.copy(rows_without(parquet, table.name, plans))
        if removed or added:
            table.replace(label, removed, [*added, *rest.finish()])
    return removed
