"""The Parquet sink: swap the files of a snapshot, then its manifest, whoever else publishes meanwhile."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, suppress
from pathlib import Path
from tempfile import mkdtemp
from types import TracebackType
from typing import ClassVar

from airflow_provider_achieveit.api.cancellation import Cancellation
from airflow_provider_achieveit.lake import layout
from airflow_provider_achieveit.lake.errors import AchieveItManifestError
from airflow_provider_achieveit.lake.manifest import Manifest, TableEntry, encode, file_keys
from airflow_provider_achieveit.lake.options import TableFormat
from airflow_provider_achieveit.lake.scratch import scratch_directory
from airflow_provider_achieveit.lake.sinks._publication import Publication
from airflow_provider_achieveit.lake.sinks.base import Commit, Sink
from airflow_provider_achieveit.lake.sinks.object_state import ObjectState
from airflow_provider_achieveit.lake.table_file import TableFile
from airflow_provider_achieveit.lake.tables.declared import SCHEMAS


class ParquetSink(Sink):
    """Parquet files at Hive-style keys, a manifest for each snapshot."""

    format: ClassVar[TableFormat] = "parquet"

    def is_whole(self, manifest: Manifest) -> bool:
        """Return whether each table's file is there and has its size: a killed export may have torn them."""
        for key, entry in zip(file_keys(manifest), manifest["files"], strict=True):
            state = self.store.look(key)
            if state is None or state.size != entry["bytes"]:
                return False
        return True

    def read_back(self, manifest: Manifest, entry: TableEntry, into: Path) -> str | None:
        """Copy a landed table into a local file; return what is wrong with it, or None."""
        key = layout.table_key(entry["table"], manifest["plan_id"], manifest["snapshot"])
        digest = self.store.download(key, into)
        if digest is None:
            return "is not there"
        if digest != entry["sha256"]:
            return f"has the SHA-256 {digest}, but its manifest says {entry['sha256']}"
        return None if entry["key"] == key else f"is called {entry['key']!r:.200} by its manifest"

    def begin(self, cancellation: Cancellation) -> Commit:
        """Begin to land snapshots; each is visible when `add` returns."""
        return _ParquetCommit(self, cancellation)

    def remove_tables(self, plan_id: str, label: str) -> None:
        """Remove the files of a snapshot whose manifest is gone."""
        for table in SCHEMAS:
            self.store.remove(layout.table_key(table, plan_id, label))

    def orphans(self) -> Iterator[tuple[str, ObjectState]]:
        """Yield the objects in the tables' folders that no manifest names."""
        named: set[str] = set()
        for key in self.manifest_keys():
            with suppress(AchieveItManifestError):
                manifest = self._read(key, None)
                named.update([] if manifest is None else file_keys(manifest))
        for table in SCHEMAS:
            for key, state in self.store.find(table):
                if key not in named:
                    yield key, state


class _ParquetCommit(Commit):
    def __init__(self, sink: ParquetSink, cancellation: Cancellation) -> None:
        super().__init__()
        self._sink = sink
        self._cancellation = cancellation
        self._landed: list[Manifest] = []
        self._stack = ExitStack()
        self._directory = self._stack.enter_context(scratch_directory())

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        self._stack.__exit__(kind, error, _)  # with the error, so that a full temporary directory is named

    def add(self, manifest: Manifest, tables: Sequence[TableFile]) -> None:
        """Publish a snapshot: its tables, then its manifest, then `latest.json`."""
        sink, plan_id, label = self._sink, manifest["plan_id"], manifest["snapshot"]
        sink.store.sweep(layout.leftover_patterns(plan_id))
        keys = [layout.table_key(table.table, plan_id, label) for table in tables]
        manifest["files"] = [
            {
                "table": table.table,
                "path": sink.store.uri(key),
                "key": key,
                "rows": table.rows,
                "bytes": table.bytes,
                "sha256": table.sha256,
            }
            for table, key in zip(tables, keys, strict=True)
        ]
        directory = Path(mkdtemp(dir=self._directory))  # other threads add other plans
        sink.write_format(directory / "format.json")
        body = directory / "manifest.json"
        body.write_bytes(encode(manifest))
        files = [(table.path, key) for table, key in zip(tables, keys, strict=True)]
        Publication(sink, manifest, files, body, self._cancellation).publish()
        with sink.store.prepared([(body, layout.latest_key(plan_id))]) as [(latest, _)]:
            sink.put_latest(manifest, latest)
        self._landed.append(manifest)

    def finish(self) -> list[Manifest]:
        """Return the manifests: everything is visible already."""
        return self._landed
