"""The interface of a sink: where snapshots land, and how one task lands its snapshots."""

from __future__ import annotations

import json
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, ClassVar, Self

from airflow_provider_achieveit.api.cancellation import Cancellation
from airflow_provider_achieveit.api.errors import AchieveItConfigError
from airflow_provider_achieveit.lake import layout
from airflow_provider_achieveit.lake.errors import AchieveItStoreError
from airflow_provider_achieveit.lake.manifest import (
    Manifest,
    TableEntry,
)
from airflow_provider_achieveit.lake.options import TableFormat
from airflow_provider_achieveit.lake.sinks.manifest_folder import ManifestFolder
from airflow_provider_achieveit.lake.sinks.object_state import ObjectState, SwappedMeanwhileError

if TYPE_CHECKING:  # pyarrow: a trigger is imported with every DAG file that has an asset watcher
    from airflow_provider_achieveit.lake.table_file import TableFile


class Sink(ManifestFolder, ABC):
    """Where snapshots land in one table format, all or nothing."""

    format: ClassVar[TableFormat]
    #: Whether a list that is null is read back as null, and not as an empty one.
    keeps_null_lists: ClassVar[bool] = True

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

    def refresh(self) -> None:
        """Look at everything anew: what is kept of the state of tables is forgotten."""

    @abstractmethod
    def is_whole(self, manifest: Manifest) -> bool:
        """Return whether the tables of a snapshot are there, as far as that can be seen without reading them."""

    @abstractmethod
    def read_back(self, manifest: Manifest, entry: TableEntry, into: Path) -> str | None:
        """Copy a landed table into a local file as it was before it landed; return what is wrong with it, or None.

        In a table format the file is written again. Where another version of pyarrow wrote the one that landed, other
        bytes are nothing wrong.

        Args:
            manifest: The snapshot.
            entry: The table, one of the manifest's `files`.
            into: The file, which does not exist yet. What it holds is of use only where nothing is wrong.

        Raises:
            AchieveItStoreError: The store refused.
        """

    def fetch(self, manifest: Manifest, table: str, into: Path) -> TableFile:
        """Copy a landed table into a local file, verified by its SHA-256 as far as `read_back` can.

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

    Attributes:
        created: Names of the tables that `finish` had to create, in a table format.
    """

    def __init__(self) -> None:
        self.created: set[str] = set()

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
        """Make everything that was added visible, if it is not yet.

        Returns:
            The manifests in the order of `add`: the same objects, completed with what only a commit knows.
        """
