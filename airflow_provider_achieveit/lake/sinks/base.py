"""What every sink has in common: the manifests below a destination, and the interface of a sink."""

from __future__ import annotations

import json
import logging
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, ClassVar, Self

from airflow_provider_achieveit.api.cancellation import Cancellation
from airflow_provider_achieveit.api.errors import AchieveItConfigError
from airflow_provider_achieveit.lake import layout
from airflow_provider_achieveit.lake.errors import AchieveItManifestError, AchieveItOutdatedError, AchieveItStoreError
from airflow_provider_achieveit.lake.manifest import (
    MAX_BYTES,
    Manifest,
    NotAManifestError,
    TableEntry,
    decode,
    read_time,
)
from airflow_provider_achieveit.lake.options import TableFormat
from airflow_provider_achieveit.lake.sinks.object_state import ObjectState
from airflow_provider_achieveit.lake.sinks.objects import Store, SwappedMeanwhileError

if TYPE_CHECKING:  # pyarrow: a trigger is imported with every DAG file that has an asset watcher
    from airflow_provider_achieveit.lake.table_file import TableFile

log = logging.getLogger(__name__)

#: A manifest from further in the future than this has a wrong clock, and must not keep every later export out.
_CLOCK_SKEW = timedelta(minutes=5)


class ManifestFolder:
    """The manifests below a destination, which are alike in every table format.

    Args:
        store: The destination.
    """

    def __init__(self, store: Store) -> None:
        self.store = store

    def latest(self, plan_id: str) -> Manifest | None:
        """Return the latest manifest of a plan, or None if nothing has landed.

        Raises:
            AchieveItManifestError: There is something else in its place.
            AchieveItStoreError: It can't be read.
        """
        return self._read(layout.latest_key(plan_id), plan_id)

    def landed(self, plan_id: str, label: str) -> Manifest | None:
        """Return the manifest of a label, or None if it has not landed.

        Raises:
            AchieveItManifestError: There is something else in its place.
            AchieveItStoreError: It can't be read.
        """
        return self._read(layout.manifest_key(plan_id, label), plan_id)

    def manifests(self, plan_id: str | None = None) -> Iterator[Manifest]:
        """Yield the manifests of all snapshots, or of one plan's, in the order of their keys.

        Raises:
            AchieveItManifestError: One is not a manifest.
            AchieveItStoreError: The store refused.
        """
        for key in self.manifest_keys(plan_id):
            manifest = self._read(key, plan_id)
            if manifest is not None:
                yield manifest

    def readable_manifests(self, plan_id: str) -> Iterator[Manifest]:
        """Yield the manifests of a plan's snapshots, without what is not a manifest.

        Raises:
            AchieveItStoreError: The store refused.
        """
        for key in self.manifest_keys(plan_id):
            with suppress(AchieveItManifestError):
                manifest = self._read(key, plan_id)
                if manifest is not None:
                    yield manifest

    def manifest_keys(self, plan_id: str | None = None) -> list[str]:
        """Return the keys of the manifests of all snapshots, or of one plan's."""
        prefix = layout.MANIFESTS if plan_id is None else layout.manifests_prefix(plan_id)
        return sorted(key for key, _ in self.store.find(prefix) if "/snapshot=" in key and key.endswith(".json"))

    def _read(self, key: str, plan_id: str | None) -> Manifest | None:
        body = self.store.read(key, MAX_BYTES)
        if body is None:
            return None
        try:
            return decode(body, plan_id)
        except NotAManifestError as error:
            what = f"{self.store.uri(key)} is not a manifest written by this package: {error}"
            raise AchieveItManifestError(what, plan_id=plan_id) from None

    def table_format(self) -> TableFormat | None:
        """Return the table format that the destination is noted to have; None if there is no note.

        Raises:
            AchieveItConfigError: It is one that this version does not know.
        """
        body = self.store.read(layout.FORMAT_KEY, MAX_BYTES)
        if body is None:
            return None
        found: Any = None
        with suppress(ValueError, RecursionError, KeyError, TypeError):
            found = json.loads(body)["table_format"]
        if found not in ("parquet", "delta", "iceberg"):
            what = f"{self.store.uri(layout.FORMAT_KEY)} names the table format {found!r:.50}, which is not known here"
            raise AchieveItConfigError(what)
        known: TableFormat = found
        return known

    def latest_if_readable(self, plan_id: str) -> Manifest | None:
        """Return the latest manifest of a plan; None if nothing has landed, or something else is in its place."""
        return self._read_if_readable(layout.latest_key(plan_id), plan_id)

    def landed_if_readable(self, plan_id: str, label: str) -> Manifest | None:
        """Return the manifest of a label; None if it has not landed, or something else is in its place."""
        return self._read_if_readable(layout.manifest_key(plan_id, label), plan_id)

    def _read_if_readable(self, key: str, plan_id: str) -> Manifest | None:
        with suppress(AchieveItManifestError):
            return self._read(key, plan_id)
        return None

    def put_latest(self, manifest: Manifest, file: Path) -> None:
        """Make a manifest that has landed the latest one, unless a later read has landed under another label.

        Args:
            manifest: The manifest.
            file: The same, encoded.
        """
        plan_id, key = manifest["plan_id"], layout.latest_key(manifest["plan_id"])
        with self.store.prepared([(file, key)]) as [(copy, _)]:
            while True:
                state, there = self.store.look(key), self._read_if_readable(key, plan_id)
                if there is not None and is_later(there, manifest):
                    what = "Plan %s: latest.json stays with snapshot %s, which was read later"
                    log.info(what, plan_id, there["snapshot"])
                    return
                with suppress(SwappedMeanwhileError):
                    self.store.swap(copy, key, state)
                    return


def is_later(there: Manifest, ours: Manifest) -> bool:
    """Return whether the manifest that is there tells of a later read of the plan."""
    moment = read_time(there)
    return moment > read_time(ours) and moment < datetime.now(UTC) + _CLOCK_SKEW


def refuse_older(ours: Manifest, there: Manifest | None) -> None:
    """Refuse a snapshot where a later read of the plan has landed under its label.

    Raises:
        AchieveItOutdatedError: One has.
    """
    if there is not None and is_later(there, ours):
        what = (
            f"snapshot {ours['snapshot']} was read at {ours['version_read_at']}, and another export has landed there "
            f"what it read at {there['version_read_at']}"
        )
        raise AchieveItOutdatedError(what, plan_id=ours["plan_id"])


class Sink(ManifestFolder, ABC):
    """Where snapshots land in one table format, all or nothing."""

    format: ClassVar[TableFormat]

    def check(self) -> None:
        """Find out before the first request whether snapshots can land; nothing is written.

        Raises:
            AchieveItConfigError: The destination has another table format.
            AchieveItStoreError: There is no place to write to.
        """
        self.store.check()
        there = self.table_format()
        if there is None and self.format != "parquet" and self.manifest_keys():
            there = "parquet"  # version 0.1.0 made no note
        if there not in (None, self.format):
            what = f"destination {self.store} holds tables of the format {there!r}, so {self.format!r} can't be written"
            raise AchieveItConfigError(what)

    def write_format(self, file: Path) -> None:
        """Note the table format in a destination that does not have the note yet.

        Args:
            file: An empty local file to write it to.

        Raises:
            AchieveItConfigError: Another export has made it a destination of another format meanwhile.
            AchieveItStoreError: The store refuses to write, or to read what was written.
        """
        if self.store.look(layout.FORMAT_KEY) is not None:
            return
        file.write_text(json.dumps({"table_format": self.format}) + "\n")
        with self.store.prepared([(file, layout.FORMAT_KEY)]) as [(copy, key)], suppress(SwappedMeanwhileError):
            self.store.swap(copy, key, None)
        self.check()

    @abstractmethod
    def is_whole(self, manifest: Manifest) -> bool:
        """Return whether the tables of a snapshot are there, as far as that can be seen without reading them."""

    @abstractmethod
    def read_back(self, manifest: Manifest, entry: TableEntry, into: Path) -> str | None:
        """Copy a landed table into a local file as it was before it landed; return what is wrong with it, or None.

        Args:
            manifest: The snapshot.
            entry: The table, one of the manifest's `files`.
            into: The file, which does not exist yet. What it holds is of use only where nothing is wrong.

        Raises:
            AchieveItStoreError: The store refused.
        """

    def fetch(self, manifest: Manifest, table: str, into: Path) -> TableFile:
        """Copy a landed table into a local file, verified by its SHA-256.

        Args:
            manifest: The snapshot.
            table: Name of the table.
            into: The file, which does not exist yet.

        Raises:
            AchieveItStoreError: The snapshot has no such table, or it is not what the manifest says.
        """
        plan_id, label = manifest["plan_id"], manifest["snapshot"]
        entry = next((entry for entry in manifest["files"] if entry["table"] == table), None)
        if entry is None:
            raise AchieveItStoreError(f"snapshot {label} has no table {table}", plan_id=plan_id)
        problem = self.read_back(manifest, entry, into)
        if problem is not None:
            what = f"{layout.table_key(table, plan_id, label)} in {self.store} {problem}"
            raise AchieveItStoreError(what, plan_id=plan_id)
        from airflow_provider_achieveit.lake.table_file import TableFile

        return TableFile(table, into, entry["rows"])

    @abstractmethod
    def begin(self, cancellation: Cancellation) -> Commit:
        """Begin to land snapshots."""

    @abstractmethod
    def remove_tables(self, plan_id: str, label: str) -> None:
        """Remove all tables of a snapshot whose manifest is gone, as far as they are there.

        Raises:
            AchieveItContendedError: Others changed a table again and again.
            AchieveItStoreError: The store refused.
        """

    @abstractmethod
    def orphans(self) -> Iterator[tuple[str, ObjectState]]:
        """Yield what lies in the folders of the tables and belongs to no manifest."""


class Commit(ABC):
    """The landing of one task's snapshots; a context manager.

    An error of `add` is one plan's own, an error of `finish` is everybody's.
    """

    def __enter__(self) -> Self:
        return self

    @abstractmethod
    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        """Clean up; what was added and is not finished stays invisible, or as it is."""

    @abstractmethod
    def add(self, manifest: Manifest, tables: Sequence[TableFile]) -> None:
        """Hand over a plan's snapshot, and fill `files` of its manifest; the files may be removed afterwards.

        Several threads may add the snapshots of different plans.

        Raises:
            AchieveItOutdatedError: A later read of the plan has landed under its label.
            AchieveItContendedError: Another export overwrote the tables again and again.
            AchieveItStoreError: The store refused.
        """

    @abstractmethod
    def finish(self) -> list[Manifest]:
        """Make everything that was added visible, if it is not yet; return the manifests in the order of `add`."""
