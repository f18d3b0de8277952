"""The further tables of a snapshot: child tables, and what changed since the snapshot before."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from itertools import chain
from pathlib import Path
from tempfile import mkdtemp

import pyarrow.parquet as pq

from airflow_provider_achieveit.lake.errors import AchieveItStoreError
from airflow_provider_achieveit.lake.history import snapshots_before
from airflow_provider_achieveit.lake.layout import PLAN_ITEMS_TABLE
from airflow_provider_achieveit.lake.manifest import ChangeCounts, Manifest, Previous
from airflow_provider_achieveit.lake.options import ExportOptions
from airflow_provider_achieveit.lake.read.snapshot import Snapshot
from airflow_provider_achieveit.lake.sinks.base import Sink
from airflow_provider_achieveit.lake.table_file import TableFile
from airflow_provider_achieveit.lake.tables.changes import change_table, is_comparable, no_changes
from airflow_provider_achieveit.lake.tables.children import child_tables
from airflow_provider_achieveit.lake.tables.declared import CHANGES_TABLE, CHILD_TABLES

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Derived:
    """What follows from a snapshot and the one before it.

    Attributes:
        tables: The further tables.
        nearest: The snapshot before, as the destination had it when the tables were made; whole or not.
        previous: The snapshot that was compared with.
        changes: Number of items that were added, removed and changed; None where that was not found out.
    """

    tables: list[TableFile]
    nearest: Previous | None
    previous: Previous | None
    changes: ChangeCounts | None


def tables_asked_for(options: ExportOptions) -> set[str]:
    """Return the names of all tables of a snapshot."""
    tables = {PLAN_ITEMS_TABLE}
    if options.changes:
        tables.add(CHANGES_TABLE)
    if options.tables == "normalized":
        tables.update(child.name for child in CHILD_TABLES)
    return tables


def nearest_before(sink: Sink, plan_id: str, label: str) -> Previous | None:
    """Return the proven snapshot that a snapshot of this label follows, if there is one."""
    manifest = next(snapshots_before(sink, plan_id, label), None)
    return None if manifest is None else _as_previous(manifest)


def derive_tables(
    sink: Sink, snapshot: Snapshot, plan_id: str, label: str, options: ExportOptions, started: datetime, scratch: Path
) -> Derived:
    """Make the tables that the options ask for.

    Args:
        sink: Where the snapshots before lie.
        snapshot: What was read.
        plan_id: Id of the plan.
        label: Label of the snapshot.
        options: The options of the export.
        started: When the export started: the time at which changes are said to be detected.
        scratch: A directory for the files.

    Raises:
        AchieveItStoreError: The store refused.
    """
    directory = Path(mkdtemp(dir=scratch))
    snapshots = snapshots_before(sink, plan_id, label)
    first = next(snapshots, None)
    nearest = None if first is None else _as_previous(first)
    tables = child_tables(snapshot.items, plan_id, directory) if options.tables == "normalized" else []
    if not options.changes:
        return Derived(tables, nearest, nearest, None)
    if not snapshot.consistent:
        return Derived([no_changes(plan_id, directory), *tables], nearest, nearest, None)
    candidates = () if first is None else chain([first], snapshots)
    before, file = next(_whole_snapshots(sink, candidates, directory), (None, None))
    changes, counts = change_table(
        file,
        snapshot.items,
        plan_id=plan_id,
        from_snapshot=None if before is None else before["snapshot"],
        to_snapshot=label,
        detected_at=started,
        directory=directory,
    )
    return Derived([changes, *tables], nearest, before, counts)


def _whole_snapshots(
    sink: Sink, candidates: Iterable[Manifest], directory: Path
) -> Iterator[tuple[Previous, TableFile]]:
    """Yield the snapshots that are whole and can be compared with, and their files."""
    for number, manifest in enumerate(candidates):
        path = directory / f"previous-{number}.parquet"
        try:
            file = sink.fetch(manifest, PLAN_ITEMS_TABLE, path)
        except AchieveItStoreError as error:
            log.warning("%s The snapshot before it is compared with.", error)
            continue
        if is_comparable(pq.read_schema(path)):
            yield _as_previous(manifest), file
            continue
        log.warning(
            "Plan %s: snapshot %s has other columns and cannot be compared with; the one before it is taken",
            manifest["plan_id"], manifest["snapshot"],
        )  # fmt: skip


def _as_previous(manifest: Manifest) -> Previous:
    return {
        "snapshot": manifest["snapshot"],
        "content_hash": manifest["content_hash"],
        "rows": manifest["rows"],
    }
