"""Put rows back that a commit has removed, although a later read of their plan has landed with them."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING
from uuid import uuid4

from airflow_provider_achieveit.api.cancellation import Cancellation
from airflow_provider_achieveit.api.retry import backoff
from airflow_provider_achieveit.lake.errors import AchieveItContendedError
from airflow_provider_achieveit.lake.manifest import Manifest
from airflow_provider_achieveit.lake.sinks.data_files import DataFile, DataFileWriter
from airflow_provider_achieveit.lake.sinks.landed_rows import LandedRows
from airflow_provider_achieveit.lake.sinks.landed_table import ConflictError, LandedFile, LandedTable
from airflow_provider_achieveit.lake.sinks.manifest_folder import is_later
from airflow_provider_achieveit.lake.sinks.replacement import COMMITS, LONGEST_PAUSE, replace_rows
from airflow_provider_achieveit.lake.table_file import TableFile

if TYPE_CHECKING:
    from airflow_provider_achieveit.lake.sinks.table_sink import TableSink

log = logging.getLogger(__name__)


def put_back(
    sink: TableSink,
    manifests: Sequence[Manifest],
    removed: Mapping[str, list[list[LandedFile]]],
    directory: Path,
    cancellation: Cancellation,
) -> None:
    """Put the rows of later reads back, where commits of ours have removed them.

    An export commits its rows before it writes its manifest. Another export, with an earlier read of the plan, can look
    for a later manifest between the two. It finds none, replaces the rows, and learns of the manifest only when it
    writes its own. So each export that is refused puts back what its own commits have removed.

    Args:
        sink: Of the tables.
        manifests: Ours.
        removed: For each table the data files that each of our commits has removed; the lists grow.
        directory: For the rows.
        cancellation: Ends the waiting for others.

    Raises:
        AchieveItContendedError: Others committed first each time.
        AchieveItStoreError: The store or the catalog refused.
    """
    for own in manifests:
        for name, files in removed.items():
            _put_back(sink, sink.table(name), own, files, directory, cancellation)


def _put_back(
    sink: TableSink,
    table: LandedTable,
    own: Manifest,
    removed: list[list[LandedFile]],
    directory: Path,
    cancellation: Cancellation,
) -> None:
    plan_id, label = own["plan_id"], own["snapshot"]
    for tries in range(1, COMMITS + 1):
        # Looked at each time, and again after a commit: an even later read may have landed meanwhile.
        there = sink.landed_if_readable(plan_id, label)
        if there is None or not is_later(there, own):
            return
        table.load()
        rows = _missing_rows(sink, table.name, there, removed, directory)
        if rows is None:
            return
        try:
            taken = replace_rows(table, label, {plan_id}, rows, directory, label_column=sink.label_column)
        except ConflictError:
            cancellation.sleep(min(backoff(tries), LONGEST_PAUSE))
            continue
        if not taken and not rows:
            return
        log.info("Plan %s: the rows of a later read are back under snapshot %s of table %s", plan_id, label, table.key)
        removed.append(taken)
    raise AchieveItContendedError(f"table {table.key} was changed by others {COMMITS} times while rows were put back")


def _missing_rows(
    sink: TableSink, table: str, manifest: Manifest, removed: Sequence[Sequence[LandedFile]], directory: Path
) -> list[DataFile] | None:
    """Return data files with the rows that a table should have; None if it has them, or we never removed them."""
    plan_id, label = manifest["plan_id"], manifest["snapshot"]
    entry = next((entry for entry in manifest["files"] if entry["table"] == table), None)
    if entry is None:
        return []
    if sink.is_as_described(manifest, table):
        return None
    for files in reversed(removed):
        path = directory / f"{uuid4()}.parquet"
        if LandedRows(table, files).write_back_checked(manifest, entry, path) is None:
            with DataFileWriter(
                directory, table, label, label_column=sink.label_column, null_lists=sink.keeps_null_lists
            ) as writer:
                writer.add(plan_id, TableFile(table, path, entry["rows"]))
                return writer.finish()
    return None
