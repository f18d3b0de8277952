"""Verification of a lake: is everything there, and is it what the manifests say?"""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import chain
from pathlib import Path
from tempfile import TemporaryDirectory, mkdtemp
from typing import Literal

import pyarrow as pa
import pyarrow.parquet as pq

from airflow_provider_achieveit.api.errors import AchieveItConfigError
from airflow_provider_achieveit.api.plan_version import parse_timestamp
from airflow_provider_achieveit.lake import layout
from airflow_provider_achieveit.lake.manifest import MAX_BYTES, Manifest, NotAManifestError, TableEntry, decode
from airflow_provider_achieveit.lake.orphans import orphans
from airflow_provider_achieveit.lake.scratch import scratch_directory
from airflow_provider_achieveit.lake.sinks.base import Sink
from airflow_provider_achieveit.lake.table_file import TableFile, is_written_alike, open_parquet
from airflow_provider_achieveit.lake.tables.changes import is_comparable, problems
from airflow_provider_achieveit.lake.tables.declared import CHANGES_TABLE, SCHEMAS, schema_hash

#: Orphans that are younger may belong to an export that is under way.
GRACE = timedelta(seconds=3600)
#: Seconds before what does not match is looked at once more: an export may be between two objects.
_PAUSE = 1.0

Kind = Literal["problem", "orphan", "note"]


@dataclass(frozen=True)
class Finding:
    """What verification has found.

    Attributes:
        kind: `problem`: something is missing, or is not what its manifest says; `orphan`: it belongs to no manifest;
            `note`: something that cannot be checked any more, and is no fault.
        key: The object's key below the destination. In a table format the key that a plan's file would have.
        what: What is wrong with it: the rest of a sentence that begins with the key.
    """

    kind: Kind
    key: str
    what: str


def verify(sink: Sink, *, grace: timedelta = GRACE) -> Iterator[Finding]:
    """Yield what is wrong with a lake; reads all of it, one snapshot after the other.

    Every manifest's tables are there, with the hash, size, rows and columns that it says; the changes are what the
    snapshot and the one before it differ by; `latest.json` is a copy of a manifest; nothing else lies in our folders.

    Args:
        sink: The lake.
        grace: How old an orphan has to be.

    Raises:
        AchieveItConfigError: There is no manifest.
        AchieveItStoreError: The store refused.
        AchieveItScratchError: The temporary directory is full; it has to hold the tables of two snapshots.
    """
    sink.refresh()
    manifest_keys = sink.manifest_keys()
    if not manifest_keys:
        raise AchieveItConfigError(f"destination {sink.store} has no manifest: no plan has landed there")
    if sink.format != "parquet":  # the plans of a label lie side by side, and are read together
        manifest_keys.sort(key=lambda key: key.rpartition("/")[2])
    latest_keys = [key for key, _ in sink.store.find(layout.MANIFESTS) if key.endswith("/latest.json")]
    latest_keys += [f"{key.rpartition('/')[0]}/latest.json" for key in manifest_keys]
    with scratch_directory() as directory:
        snapshots = _Snapshots(sink, directory)
        doubtful = list[str]()
        for key in chain(manifest_keys, sorted(set(latest_keys))):
            findings = list(snapshots.findings(key))
            if any(finding.kind == "problem" for finding in findings):
                doubtful.append(key)
            else:
                yield from findings
        if doubtful:
            time.sleep(_PAUSE)
        unreadable = set[str]()
        for key in doubtful:
            findings = list(snapshots.findings(key))
            unreadable.update(key for finding in findings if finding.key == key and finding.kind == "problem")
            yield from findings
        if snapshots.other_bytes:
            what = f"{snapshots.other_bytes} tables by another version of pyarrow could not be compared byte by byte"
            yield Finding("note", layout.MANIFESTS, what)
    for key, written in orphans(sink, datetime.now(UTC) - grace, unreadable):
        yield Finding("orphan", key, f"belongs to no manifest; it was written at {written:%Y-%m-%d %H:%M} UTC")


class _Snapshots:
    """Compares manifests with what lies in the lake, one after the other.

    Args:
        sink: The lake.
        directory: For the files of two snapshots at a time.
    """

    def __init__(self, sink: Sink, directory: Path) -> None:
        self._sink = sink
        self._directory = directory
        #: The items that were read last: those of the snapshot before, where labels are in the order of time.
        self._kept: TableFile | None = None
        #: Tables whose bytes could not be compared, since another version of pyarrow wrote them.
        self.other_bytes = 0

    def findings(self, key: str) -> Iterator[Finding]:
        """Yield what is wrong with a manifest and its tables, or with a `latest.json`; nothing if it is gone by now."""
        is_latest = key.endswith("/latest.json")
        body = self._sink.store.read(key, MAX_BYTES)
        if body is None:
            plan_id = key.split("/")[1].removeprefix("plan=")
            if is_latest and layout.is_plan_id(plan_id) and self._sink.manifest_keys(plan_id):
                yield Finding("problem", key, "is not there")
            return
        try:
            manifest = decode(body)
        except NotAManifestError as error:
            yield Finding("problem", key, f"is not a manifest written by this package: {error}")
            return
        plan_id, label = manifest["plan_id"], manifest["snapshot"]
        home = layout.manifest_key(plan_id, label)
        if key != (layout.latest_key(plan_id) if is_latest else home):
            yield Finding("problem", key, f"is the manifest of snapshot {label} of plan {plan_id}")
        elif is_latest:
            if self._sink.store.read(home, MAX_BYTES) != body:
                yield Finding("problem", key, f"is not a copy of {home}")
        elif manifest["table_format"] != self._sink.format:
            what = f"is of the format {manifest['table_format']}, but the destination is of {self._sink.format}"
            yield Finding("problem", key, what)
        else:
            yield from self._tables(key, manifest)

    def _tables(self, key: str, manifest: Manifest) -> Iterator[Finding]:
        with TemporaryDirectory(dir=self._directory) as directory:
            whole: dict[str, TableFile] = {}
            for entry in manifest["files"]:
                table = entry["table"]
                file = Path(directory) / f"{table}.parquet"
                problem = self._sink.read_back(manifest, entry, file) or _file_problem(file, manifest, entry)
                if problem is None:
                    whole[table] = TableFile(table, file, entry["rows"])
                    self.other_bytes += not is_written_alike(entry)
                else:
                    table_key = layout.table_key(table, manifest["plan_id"], manifest["snapshot"])
                    yield Finding("problem", table_key, problem)
            if (items := whole.get(layout.PLAN_ITEMS_TABLE)) is None:
                return
            entry = next(entry for entry in manifest["files"] if entry["table"] == layout.PLAN_ITEMS_TABLE)
            # Where null lists had to become empty, the content_hash is that of the items as they were read.
            is_same = manifest["content_hash"] == entry["sha256"] or not self._sink.keeps_null_lists
            if not is_same or manifest["rows"] != items.rows:
                yield Finding("problem", key, "has another content_hash, or other rows, than its table plan_items")
            yield from self._changes(key, manifest, items, whole.get(CHANGES_TABLE), Path(directory))
            self._kept = TableFile(items.table, items.path.replace(self._directory / "kept.parquet"), items.rows)

    def _changes(
        self, key: str, manifest: Manifest, items: TableFile, changes: TableFile | None, directory: Path
    ) -> Iterator[Finding]:
        """Yield where the changes are not what the snapshot and the one before it differ by."""
        before, why_not = self._previous(manifest, directory / "previous.parquet")
        if why_not is not None:
            yield Finding("note", key, why_not)
        plan_id, label, counts = manifest["plan_id"], manifest["snapshot"], manifest["changes"]
        changes_key = layout.table_key(CHANGES_TABLE, plan_id, label)
        if changes is None:
            return
        if not is_comparable(pq.read_schema(items.path)):
            yield Finding("note", key, "has other columns, so that its changes cannot be checked")
        elif counts is None or not manifest["consistent"]:
            if counts is not None or manifest["consistent"] or changes.rows:
                yield Finding("problem", changes_key, f"has {changes.rows} rows, but its manifest counts {counts}")
        elif why_not is None:
            found = problems(
                before, items, changes, plan_id=plan_id,
                from_snapshot=None if manifest["previous"] is None else manifest["previous"]["snapshot"],
                to_snapshot=label, detected_at=parse_timestamp(manifest["started_at"]), counts=counts,
                directory=Path(mkdtemp(dir=directory)),
            )  # fmt: skip
            for problem in found:
                yield Finding("problem", changes_key, f"is not what changed: {problem}")

    def _previous(self, manifest: Manifest, into: Path) -> tuple[TableFile | None, str | None]:
        """Return the items of the snapshot that a manifest was compared with, or why they can't be had."""
        previous = manifest["previous"]
        if previous is None:
            return None, None
        label = previous["snapshot"]
        there = self._sink.landed_if_readable(manifest["plan_id"], label)
        if there is None:
            return None, f"was compared with snapshot {label}, which is gone"
        if there["content_hash"] != previous["content_hash"]:
            return None, f"was compared with snapshot {label}, which was replaced since"
        before = self._kept
        if before is None or before.sha256 != previous["content_hash"]:
            entry = next(entry for entry in there["files"] if entry["table"] == layout.PLAN_ITEMS_TABLE)
            problem = self._sink.read_back(there, entry, into)
            if problem is not None:
                return None, f"was compared with snapshot {label}, which {problem}"
            before = TableFile(layout.PLAN_ITEMS_TABLE, into, entry["rows"])
        if not is_comparable(pq.read_schema(before.path)):
            return None, f"was compared with snapshot {label}, which has other columns"
        return before, None


def _file_problem(file: Path, manifest: Manifest, entry: TableEntry) -> str | None:
    """Return in what a file with the right hash is not what its manifest says, or None."""
    if file.stat().st_size != entry["bytes"] and is_written_alike(entry):
        return f"has {file.stat().st_size} bytes, but its manifest says {entry['bytes']}"
    try:
        with open_parquet(file) as parquet:
            rows, schema = parquet.metadata.num_rows, parquet.schema_arrow
    except (OSError, pa.ArrowException) as error:
        return f"is not Parquet: {error!s:.150}"
    if rows != entry["rows"]:
        return f"has {rows} rows, but its manifest says {entry['rows']}"
    notes = {name.decode(): value.decode() for name, value in (schema.metadata or {}).items()}
    if notes.get("achieveit.plan_id") != manifest["plan_id"]:
        return f"is a file of plan {notes.get('achieveit.plan_id')!r:.80}"
    noted, ours = notes.get("achieveit.schema_hash"), SCHEMAS.get(entry["table"])
    if entry["table"] == layout.PLAN_ITEMS_TABLE and noted != manifest["schema_hash"]:
        return f"has columns with the hash {noted!r:.80}, but its manifest says {manifest['schema_hash']!r:.80}"
    if ours is not None and noted == schema_hash(ours) and not schema.equals(ours):
        return "has other columns than it says"
    return None
