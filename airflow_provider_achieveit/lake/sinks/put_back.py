"""Put rows back that a commit has removed, although a later read of their plan has landed with them."""

from __future__ import annotations

import logging
from collections.abc import Sequence
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
from airflow_provider_achieveit.lake.sinks.replacement import replace_rows
from airflow_provider_achieveit.lake.table_file import is_written_alike

if TYPE_CHECKING:
    from airflow_provider_achieveit.lake.sinks.table_sink import TableSink

log = logging.getLogger(__name__)

#: How often it is tried when others commit first.
_COMMITS = 60
#: The longest pause between two tries, in seconds.
_LONGEST_PAUSE = 5.0


def put_back(
    sink: TableSink,
    table: LandedTable,
    own: Manifest,
    removed: list[list[LandedFile]],
    directory: Path,
    cancellation: Cancellation,
) -> None:
    """Put the rows of a later read back, where commits of ours have removed them.

    An export commits its rows before it writes its manifest. Another one, with an earlier read of the plan, that looks
    for manifests in between sees none, commits in the place of these rows, and learns of the manifest only then. Each
    export makes good what it has removed itself, so nobody has to.

    Args:
        sink: Of the table.
        table: The table.
        own: Our manifest, which was refused.
        removed: The data files that each of our commits has removed from the table; grows.
        directory: For the rows.
        cancellation: Ends the waiting for others.

    Raises:
        AchieveItContendedError: Others committed first each time.
        AchieveItStoreError: The store or the catalog refused.
    """
    plan_id, label = own["plan_id"], own["snapshot"]
    for tries in range(1, _COMMITS + 1):
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
            cancellation.sleep(min(backoff(tries), _LONGEST_PAUSE))
            continue
        if not taken and not rows:
            return
        log.info("Plan %s: the rows of a later read are back under snapshot %s of table %s", plan_id, label, table.key)
        removed.append(taken)
    raise AchieveItContendedError(f"table {table.key} was changed by others {_COMMITS} times during a commit")


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
        file = LandedRows(table, files).write_back(plan_id, directory / f"{uuid4()}.parquet")
        if file.rows == entry["rows"] and (file.sha256 == entry["sha256"] or not is_written_alike(entry)):
            with DataFileWriter(
                directory, table, label, label_column=sink.label_column, null_lists=sink.keeps_null_lists
            ) as writer:
                writer.add(plan_id, file)
                return writer.finish()
    return None
