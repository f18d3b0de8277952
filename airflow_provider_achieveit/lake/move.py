"""Move a lake of plain files into a table format: every snapshot lands again, and is compared in the end."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import pyarrow.parquet as pq

from airflow_provider_achieveit.api.cancellation import Cancellation
from airflow_provider_achieveit.api.errors import AchieveItConfigError
from airflow_provider_achieveit.lake.errors import AchieveItStoreError
from airflow_provider_achieveit.lake.manifest import Manifest, read_time
from airflow_provider_achieveit.lake.scratch import scratch_directory
from airflow_provider_achieveit.lake.sinks.base import Sink
from airflow_provider_achieveit.lake.sinks.data_files import BATCH
from airflow_provider_achieveit.lake.sinks.null_lists import without_null_lists
from airflow_provider_achieveit.lake.table_file import TableFile, open_parquet
from airflow_provider_achieveit.lake.tables.declared import SCHEMAS

log = logging.getLogger(__name__)


def move(source: Sink, destination: Sink) -> int:
    """Land every snapshot of a lake of plain files in tables, label by label in the order of time, and compare all.

    A label is one commit for each table. Nothing of the source is changed. What the destination already holds is left
    out, so after a failure, or a kill, the same call goes on. No export may write to either lake meanwhile.

    Args:
        source: The lake of plain files.
        destination: The lake in a table format.

    Returns:
        The number of snapshots that have landed in this call.

    Raises:
        AchieveItConfigError: The formats are others, or a snapshot has columns that this version does not write.
        AchieveItManifestError: A manifest of the source cannot be read.
        AchieveItOutdatedError: The destination has a later read of a plan under one of the labels.
        AchieveItStoreError: A snapshot is not what its manifest says, or did not land as it was, or a store refused.
        AchieveItScratchError: The temporary directory is full; it has to hold all plans of a label.
    """
    if source.format != "parquet" or destination.format == "parquet":
        what = f"plain files can be moved into tables; this would be {source.format} into {destination.format}"
        raise AchieveItConfigError(what)
    destination.check()
    landed = 0
    labels = _labels(source)
    for label, plans in labels:
        wanted = [manifest for manifest in _manifests(source, label, plans) if not _has_landed(destination, manifest)]
        if wanted:
            _land(source, destination, wanted)
            landed += len(wanted)
        log.info("Snapshot %s: %d of %d plans moved, the others were there", label, len(wanted), len(plans))
    for label, plans in labels:
        for manifest in _manifests(source, label, plans):
            _compare(source, destination, manifest)
    return landed


def _labels(source: Sink) -> list[tuple[str, list[str]]]:
    """Return the labels and their plans; the label of which one plan was read first comes first."""
    plans: dict[str, list[str]] = {}
    for key in source.manifest_keys():
        _, plan, file = key.split("/")
        plans.setdefault(file.removeprefix("snapshot=").removesuffix(".json"), []).append(plan.removeprefix("plan="))
    return sorted(plans.items(), key=lambda entry: read_time(next(_manifests(source, *entry))))


def _manifests(source: Sink, label: str, plans: Iterable[str]) -> Iterator[Manifest]:
    for plan_id in plans:
        if (manifest := source.landed(plan_id, label)) is not None:
            yield manifest


def _has_landed(destination: Sink, manifest: Manifest) -> bool:
    there = destination.landed_if_readable(manifest["plan_id"], manifest["snapshot"])
    return there is not None and _without_place(there) == _without_place(manifest) and destination.is_whole(there)


def _without_place(manifest: Manifest) -> dict[str, object]:
    """Return what a manifest says of the snapshot, wherever it lies."""
    return {key: value for key, value in manifest.items() if key not in ("files", "table_format")}


def _land(source: Sink, destination: Sink, manifests: list[Manifest]) -> None:
    with scratch_directory() as scratch, destination.begin(Cancellation()) as commit:
        for manifest in manifests:
            with TemporaryDirectory(dir=scratch) as directory:
                files = [_fetch(source, manifest, entry["table"], Path(directory)) for entry in manifest["files"]]
                commit.add({**manifest, "table_format": destination.format, "files": []}, files)
        commit.finish()


def _fetch(source: Sink, manifest: Manifest, table: str, directory: Path) -> TableFile:
    file = source.fetch(manifest, table, directory / f"{table}.parquet")
    if table not in SCHEMAS or not pq.read_schema(file.path).equals(SCHEMAS[table]):
        named = f"table {table} of snapshot {manifest['snapshot']} of plan {manifest['plan_id']}"
        what = f"{named} has other columns than this version writes, so it cannot be moved"
        raise AchieveItConfigError(f"{what}: remove the snapshot (lake.prune.remove_snapshot), or keep the old lake")
    return file


def _compare(source: Sink, destination: Sink, manifest: Manifest) -> None:
    """Make sure that a snapshot is in the destination what it is in the source."""
    plan_id, label = manifest["plan_id"], manifest["snapshot"]
    there = destination.landed(plan_id, label)
    if there is None or _without_place(there) != _without_place(manifest):
        raise AchieveItStoreError(f"snapshot {label} did not land in {destination.store} as it was", plan_id=plan_id)
    with scratch_directory() as directory:
        for entry in manifest["files"]:
            moved = destination.fetch(there, entry["table"], directory / f"moved-{entry['table']}")
            if moved.sha256 == entry["sha256"]:
                continue
            original = source.fetch(manifest, entry["table"], directory / f"original-{entry['table']}")
            if not _has_same_rows(original, moved, null_lists=destination.keeps_null_lists):
                what = f"table {entry['table']} of snapshot {label} has other rows in {destination.store}"
                raise AchieveItStoreError(what, plan_id=plan_id)


def _has_same_rows(original: TableFile, moved: TableFile, *, null_lists: bool) -> bool:
    """Compare two files of one table; without null lists, those of the original count as empty."""
    with open_parquet(original.path) as ours, open_parquet(moved.path) as theirs:
        pairs = zip(ours.iter_batches(BATCH), theirs.iter_batches(BATCH), strict=True)
        return ours.metadata.num_rows == theirs.metadata.num_rows and all(
            (one if null_lists else without_null_lists(one)).equals(other) for one, other in pairs
        )
