"""Land the snapshots of one task in the tables of a table format: one commit a table, then the manifests."""

from __future__ import annotations

import logging
import threading
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING

from airflow_provider_achieveit.api.cancellation import Cancellation
from airflow_provider_achieveit.api.retry import backoff
from airflow_provider_achieveit.lake import layout
from airflow_provider_achieveit.lake.errors import AchieveItContendedError, AchieveItOutdatedError
from airflow_provider_achieveit.lake.manifest import Manifest, TableEntry, encode
from airflow_provider_achieveit.lake.scratch import scratch_directory
from airflow_provider_achieveit.lake.sinks.base import Commit
from airflow_provider_achieveit.lake.sinks.data_files import DataFile, DataFileWriter, rewritten_without_null_lists
from airflow_provider_achieveit.lake.sinks.landed_rows import rows_by_plan
from airflow_provider_achieveit.lake.sinks.landed_table import ConflictError, LandedFile, LandedTable
from airflow_provider_achieveit.lake.sinks.manifest_folder import refuse_older
from airflow_provider_achieveit.lake.sinks.object_state import SwappedMeanwhileError
from airflow_provider_achieveit.lake.sinks.put_back import put_back
from airflow_provider_achieveit.lake.sinks.replacement import COMMITS, LONGEST_PAUSE, replace_rows
from airflow_provider_achieveit.lake.table_file import WRITER, TableFile

if TYPE_CHECKING:
    from airflow_provider_achieveit.lake.sinks.table_sink import TableSink

log = logging.getLogger(__name__)

#: How often everything is landed again when another export of the same snapshot comes in between.
_TRIES = 4


class TableCommit(Commit):
    """Gathers the rows of all plans in data files, and commits these in `finish`.

    All snapshots have the same label.

    Args:
        sink: Where to.
        cancellation: Ends the waiting for others.
    """

    def __init__(self, sink: TableSink, cancellation: Cancellation) -> None:
        super().__init__()
        self._sink = sink
        self._cancellation = cancellation
        self._manifests: list[Manifest] = []
        self._lock = threading.Lock()
        self._writers: dict[str, DataFileWriter] = {}
        self._removed: dict[str, list[list[LandedFile]]] = {}
        self._stack = ExitStack()
        self._directory = self._stack.enter_context(scratch_directory())

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        self._stack.__exit__(kind, error, _)

    def add(self, manifest: Manifest, tables: Sequence[TableFile]) -> None:
        """Copy the rows of a plan's snapshot into the data files that `finish` commits."""
        with self._lock:  # the data files of all plans are written one plan after the other
            self._add(manifest, tables)

    def _add(self, manifest: Manifest, tables: Sequence[TableFile]) -> None:
        refuse_older(manifest, self._sink.landed_if_readable(manifest["plan_id"], manifest["snapshot"]))
        if manifest["snapshot"] != self._label(manifest):
            raise ValueError(f"snapshot {manifest['snapshot']} in a commit of {self._label(manifest)}")
        entries = []
        for file in tables:
            written_by = self._writer(file.table, manifest["snapshot"]).add(manifest["plan_id"], file)
            if written_by is None:
                # What is read back can only be compared with a file that does without null lists as well.
                file = rewritten_without_null_lists(file, manifest["plan_id"], self._directory / "without-null-lists")
            entries.append(self._entry(file, written_by or WRITER))
            (self._directory / "without-null-lists").unlink(missing_ok=True)
        manifest["files"] = entries
        self._manifests.append(manifest)

    def _entry(self, file: TableFile, written_by: str) -> TableEntry:
        """Describe a table of a snapshot; path and version are known when it is committed."""
        key = self._sink.table(file.table).key
        return {
            "table": file.table,
            "path": "",
            "key": key,
            "rows": file.rows,
            "bytes": file.bytes,
            "sha256": file.sha256,
            "written_by": written_by,
        }

    def finish(self) -> list[Manifest]:
        """Commit the tables, `plan_items` last, then write the manifests.

        Raises:
            AchieveItOutdatedError: A later read of one of the plans has landed under the label.
            AchieveItContendedError: Other exports came in between each time.
            AchieveItStoreError: The store or the catalog refused.
        """
        if not self._manifests:
            return []
        self._sink.write_format(self._directory / "format.json")
        added = {name: writer.finish() for name, writer in self._writers.items()}
        try:
            return self._land(added)
        except (AchieveItOutdatedError, AchieveItContendedError):
            put_back(self._sink, self._manifests, self._removed, self._directory, self._cancellation)
            raise

    def _land(self, added: dict[str, list[DataFile]]) -> list[Manifest]:
        names = sorted(added, key=lambda name: name == layout.PLAN_ITEMS_TABLE)
        for tries in range(1, _TRIES + 1):
            tables = [self._loaded(name) for name in names]
            # Only now, so that whoever lands after this look is noticed as a conflict.
            earlier = self._refuse_older()
            for table in tables:
                self._replace(table, added[table.name])
            self._note_versions(tables)
            self._write_manifests()
            self._remove_what_is_no_longer_named(earlier, names)
            if all(self._is_settled(table, added[table.name]) for table in tables):
                return self._manifests
            log.warning("Another export is landing snapshot %s as well", self._label())
            self._cancellation.sleep(backoff(tries))
            added = {name: [file.renamed() for file in files] for name, files in added.items()}
        raise AchieveItContendedError(f"snapshot {self._label()} was overwritten by another export {_TRIES} times")

    def _label(self, manifest: Manifest | None = None) -> str:
        return (self._manifests[0] if self._manifests or manifest is None else manifest)["snapshot"]

    @property
    def _plans(self) -> set[str]:
        return {manifest["plan_id"] for manifest in self._manifests}

    def _writer(self, table: str, label: str) -> DataFileWriter:
        if table not in self._writers:
            writer = DataFileWriter(
                self._directory,
                table,
                label,
                label_column=self._sink.label_column,
                null_lists=self._sink.keeps_null_lists,
            )
            self._writers[table] = self._stack.enter_context(writer)
        return self._writers[table]

    def _loaded(self, name: str) -> LandedTable:
        table = self._sink.table(name)
        if not table.load():
            table.create()
            self.created.add(name)
            table.load()
        return table

    def _landed(self) -> list[Manifest | None]:
        """Return what has landed under the label so far, in the order of our own manifests."""
        return [self._sink.landed_if_readable(own["plan_id"], own["snapshot"]) for own in self._manifests]

    def _refuse_older(self) -> list[Manifest]:
        """Return what has landed under the label so far, unless it is a later read of one of the plans."""
        landed = self._landed()
        for own, there in zip(self._manifests, landed, strict=True):
            refuse_older(own, there)
        return [there for there in landed if there is not None]

    def _replace(self, table: LandedTable, added: Sequence[DataFile]) -> None:
        """Replace the rows of the plans under the label in one commit, based on the state that is loaded."""
        self._cancellation.check()
        label, directory = self._label(), self._directory
        for tries in range(1, COMMITS + 1):
            try:
                removed = replace_rows(
                    table, label, self._plans, added, directory, label_column=self._sink.label_column
                )
            except ConflictError as conflict:
                log.info("Table %s: somebody else has committed meanwhile (%s)", table.key, conflict)
                self._cancellation.sleep(min(backoff(tries), LONGEST_PAUSE))
                table.load()
                self._refuse_older()
            else:
                self._removed.setdefault(table.name, []).append(removed)
                return
        raise AchieveItContendedError(f"table {table.key} was changed by others {COMMITS} times during a commit")

    def _note_versions(self, tables: Sequence[LandedTable]) -> None:
        by_name = {table.name: table for table in tables}
        for table in tables:
            table.load()
        for manifest in self._manifests:
            for entry in manifest["files"]:
                table = by_name[entry["table"]]
                entry["path"], entry["version"] = table.uri, table.version

    def _write_manifests(self) -> None:
        """Write all manifests; a plan of which a later one is there now stops no other."""
        outdated = None
        files = []
        for number, manifest in enumerate(self._manifests):
            body = self._directory / f"manifest-{number}.json"
            body.write_bytes(encode(manifest))
            files.append((body, layout.manifest_key(manifest["plan_id"], manifest["snapshot"])))
            files.append((body, layout.latest_key(manifest["plan_id"])))
        with self._sink.store.prepared(files) as copies:
            for manifest, (own, key), (latest, _) in zip(self._manifests, copies[::2], copies[1::2], strict=True):
                try:
                    self._put(manifest, own, key)
                except AchieveItOutdatedError as error:
                    outdated = error
                else:
                    self._sink.put_latest(manifest, latest)
        if outdated is not None:
            raise outdated

    def _put(self, manifest: Manifest, file: Path, key: str) -> None:
        while True:
            state = self._sink.store.look(key)
            refuse_older(manifest, self._sink.landed_if_readable(manifest["plan_id"], manifest["snapshot"]))
            try:
                self._sink.store.swap(file, key, state)
            except SwappedMeanwhileError:
                continue
            log.debug("Plan %s: landed %d rows of snapshot %s", manifest["plan_id"], manifest["rows"], self._label())
            return

    def _remove_what_is_no_longer_named(self, earlier: Sequence[Manifest], names: Sequence[str]) -> None:
        """Remove rows from tables that only the label's earlier manifests name: other options were chosen."""
        for name in sorted({entry["table"] for manifest in earlier for entry in manifest["files"]} - set(names)):
            table = self._sink.table(name)
            if table.load():
                self._replace(table, [])
                # A later read may have landed since our manifests were written, and have put rows into that table.
                taken = {name: self._removed[name]}
                put_back(self._sink, self._manifests, taken, self._directory, self._cancellation)

    def _is_settled(self, table: LandedTable, added: Sequence[DataFile]) -> bool:
        """Look whether the rows in the table are those of the manifests that are there."""
        ours = {file.path.name for file in added}
        table.load()
        files = [file for file in table.files(self._label()) if file.may_hold(self._plans)]
        foreign = [file for file in files if file.name not in ours]
        if ours <= {file.name for file in files} and not any(
            self._plans & set(rows_by_plan(file.open())) for file in foreign
        ):
            return True
        # Our rows may have been copied, for the sake of another plan in the same file.
        return all(there is not None and self._sink.is_as_described(there, table.name) for there in self._landed())
