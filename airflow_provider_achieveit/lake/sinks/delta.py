"""The Delta Lake sink: a table of each name at `<destination>/<table>`, committed with deltalake."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar
from urllib.parse import unquote

import pyarrow as pa
import pyarrow.parquet as pq

from airflow_provider_achieveit.api.errors import AchieveItConfigError, AchieveItError
from airflow_provider_achieveit.lake.errors import AchieveItStoreError
from airflow_provider_achieveit.lake.options import TableFormat
from airflow_provider_achieveit.lake.sinks.data_files import (
    PLAN,
    SNAPSHOT,
    DataFile,
    landed_schema,
    position_column,
)
from airflow_provider_achieveit.lake.sinks.landed_table import ConflictError, LandedFile, LandedTable
from airflow_provider_achieveit.lake.sinks.objects import Store
from airflow_provider_achieveit.lake.sinks.storage_options import storage_options, without_secrets
from airflow_provider_achieveit.lake.sinks.table_sink import TableSink

if TYPE_CHECKING:
    from deltalake import DeltaTable
    from pyarrow.fs import FileSystem

#: Each commit counts this transaction up by one. So of two commits that were based on the same state only one succeeds,
#: which Delta Lake itself does not see to where both only add files.
_TRANSACTION = "airflow-provider-achieveit"


def open_delta_sink(store: Store) -> DeltaSink:
    """Return the sink of Delta tables below a destination.

    Raises:
        AchieveItConfigError: deltalake is not installed, or can't write to such a store.
    """
    try:
        import deltalake  # noqa: F401
    except ImportError as error:
        what = 'table_format="delta" needs deltalake: pip install "airflow-provider-achieveit[delta]"'
        raise AchieveItConfigError(f"{what} ({error})") from error
    storage_options(store)
    return DeltaSink(store)


class DeltaSink(TableSink):
    """Delta tables below a destination."""

    format: ClassVar[TableFormat] = "delta"
    label_column: ClassVar[bool] = False

    def table(self, name: str) -> _DeltaTable:
        """Return a table, not loaded yet."""
        return _DeltaTable(name, self.store)


class _DeltaTable(LandedTable):
    def __init__(self, name: str, store: Store) -> None:
        super().__init__(name)
        self._store = store
        self._table: DeltaTable | None = None
        self._files: list[LandedFile] | None = None
        self._uploaded: set[str] = set()

    @property
    def key(self) -> str:
        return self.name

    @property
    def uri(self) -> str:
        return self._store.uri(self.name)

    @property
    def version(self) -> int | None:
        return None if self._table is None else self._table.version()

    @property
    def native(self) -> DeltaTable | None:
        return self._table

    @property
    def _location(self) -> str:
        return self._store.uri(self.name).removeprefix("file://").replace("s3a://", "s3://")

    def load(self) -> bool:
        from deltalake import DeltaTable
        from deltalake.exceptions import TableNotFoundError

        self._files = None
        with self._explained("opening"):
            try:
                # Opened anew each time: the credentials may have expired.
                self._table = DeltaTable(self._location, storage_options=storage_options(self._store))
            except TableNotFoundError:
                self._table = None
                return False
            found = pa.schema(self._table.schema().to_arrow())
        self.check_columns(found)
        return True

    def create(self) -> None:
        from deltalake import DeltaTable

        with self._explained("creating"):
            if self._store.is_local:
                Path(self._location).mkdir(parents=True, exist_ok=True)
            DeltaTable.create(
                self._location,
                landed_schema(self.name),
                mode="ignore",
                partition_by=[SNAPSHOT],
                # By itself Delta Lake takes statistics of the first 32 columns.
                configuration={"delta.dataSkippingStatsColumns": f"{PLAN},{position_column(self.name)}"},
                storage_options=storage_options(self._store),
            )

    def files(self, label: str | None = None) -> list[LandedFile]:
        if self._table is None:
            return []
        if self._files is None:
            with self._explained("reading"):
                # The dataset refuses tables of which it can't read all, such as ones with deletion vectors.
                filesystem = self._table.to_pyarrow_dataset().filesystem
                entries = pa.table(self._table.get_add_actions()).to_pylist()
            self._files = [_landed_file(entry, filesystem) for entry in entries]
        return [file for file in self._files if label in (None, file.label)]

    def replace(self, label: str, removed: Sequence[LandedFile], added: Sequence[DataFile]) -> None:
        from deltalake import CommitProperties, Transaction
        from deltalake.exceptions import CommitFailedError
        from deltalake.transaction import AddAction, RemoveAction

        table = self._table
        if table is None:
            raise ValueError(f"table {self.uri} is not loaded")
        now = int(time.time() * 1000)
        actions: list[AddAction | RemoveAction] = [
            AddAction(
                path=self._upload(file, label),
                size=file.path.stat().st_size,
                partition_values={SNAPSHOT: label},
                modification_time=now,
                data_change=True,
                stats=_statistics(file),
            )
            for file in added
        ]
        actions += [
            RemoveAction(file.entry["path"], True, now, file.entry["size_bytes"], {SNAPSHOT: label}) for file in removed
        ]
        number = table.transaction_version(_TRANSACTION)
        transaction = Transaction(_TRANSACTION, 0 if number is None else number + 1)
        with self._explained("committing to"):
            try:
                table.create_write_transaction(
                    actions,
                    "append",
                    table.schema(),
                    [SNAPSHOT],
                    commit_properties=CommitProperties(app_transactions=[transaction]),
                )
            except CommitFailedError as error:
                raise ConflictError(error) from error

    def _upload(self, file: DataFile, label: str) -> str:
        """Put a data file beside the others of the label, once; return its path in the table.

        The log has the label as well, but some readers, such as Polars, take it from the path. No label has a character
        that a path would have to escape.
        """
        path = f"{SNAPSHOT}={label}/{file.path.name}"
        if path not in self._uploaded:
            with self._store.prepared([(file.path, f"{self.name}/{path}")]) as [(copy, key)]:
                self._store.swap(copy, key, None)
            self._uploaded.add(path)
        return path

    @contextmanager
    def _explained(self, doing: str) -> Iterator[None]:
        """Name the table in whatever deltalake raises, without the values of the storage's options."""
        try:
            yield
        except (AchieveItError, ConflictError):
            raise
        except Exception as error:  # deltalake has several, and OSError
            text = without_secrets(str(error), self._store)
            what = f"{doing} the Delta table {self.uri} failed: {type(error).__name__}: {text}"
            raise AchieveItStoreError(what) from None


def _landed_file(entry: dict[str, Any], filesystem: FileSystem) -> LandedFile:
    path, label = unquote(entry["path"]), entry["partition"][SNAPSHOT]
    smallest, largest = entry["min"][PLAN], entry["max"][PLAN]
    plans = None if smallest is None or largest is None else (smallest, largest)
    modified = datetime.fromtimestamp(entry["modification_time"] / 1000, UTC)
    opener = partial(filesystem.open_input_file, path)
    return LandedFile(path.rpartition("/")[2], label, plans, modified, entry, opener)


def _statistics(file: DataFile) -> str:
    """Return what lets a reader skip the file, as the log spells it."""
    footer = pq.read_metadata(file.path)
    groups = [footer.row_group(number) for number in range(footer.num_row_groups)]
    # Plan and position are the last two columns.
    last = {groups[0].column(place).path_in_schema: place for place in (footer.num_columns - 2, footer.num_columns - 1)}
    columns = {name: [group.column(place).statistics for group in groups] for name, place in last.items()}
    return json.dumps(
        {
            "numRecords": file.rows,
            "minValues": {name: min(each.min for each in statistics) for name, statistics in columns.items()},
            "maxValues": {name: max(each.max for each in statistics) for name, statistics in columns.items()},
            "nullCount": dict.fromkeys(columns, 0),
        }
    )
