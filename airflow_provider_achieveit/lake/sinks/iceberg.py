"""The Iceberg sink: a table `<namespace>.<table>` of each name in a catalog, committed with pyiceberg."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from typing import TYPE_CHECKING, ClassVar
from urllib.parse import urlsplit

from airflow_provider_achieveit.api.errors import AchieveItConfigError, AchieveItError
from airflow_provider_achieveit.lake.errors import AchieveItStoreError
from airflow_provider_achieveit.lake.options import TableFormat
from airflow_provider_achieveit.lake.sinks.data_files import (
    PLAN,
    SNAPSHOT,
    DataFile,
    landed_schema,
    statistics_columns,
)
from airflow_provider_achieveit.lake.sinks.landed_table import ConflictError, LandedFile, LandedTable
from airflow_provider_achieveit.lake.sinks.objects import Store
from airflow_provider_achieveit.lake.sinks.table_sink import TableSink

if TYPE_CHECKING:
    from pyiceberg.catalog import Catalog
    from pyiceberg.table import FileScanTask, Table

#: The table's property that says to which destination its manifests belong.
_DESTINATION = "achieveit.destination"
#: Names of a catalog's properties whose values are nobody's business.
_SECRET = re.compile(r"password|secret|token|credential|key", re.IGNORECASE)
#: Bytes that are in memory while a file is uploaded.
_CHUNK = 8 * 2**20


def open_iceberg_sink(store: Store, catalog: Catalog, namespace: str) -> IcebergSink:
    """Return the sink of Iceberg tables in a catalog.

    Args:
        store: The destination, where the manifests lie.
        catalog: The catalog, which has credentials of its own for the tables.
        namespace: The namespace of the tables; a dot separates levels.
    """
    return IcebergSink(store, catalog, namespace)


class IcebergSink(TableSink):
    """Iceberg tables in a catalog; the manifests lie below a destination.

    Args:
        store: The destination of the manifests.
        catalog: The catalog.
        namespace: The namespace of the tables.
    """

    format: ClassVar[TableFormat] = "iceberg"
    label_column: ClassVar[bool] = True
    keeps_null_lists: ClassVar[bool] = False

    def __init__(self, store: Store, catalog: Catalog, namespace: str) -> None:
        super().__init__(store)
        self._catalog = catalog
        self._namespace = namespace

    def table(self, name: str) -> _IcebergTable:
        """Return a table, not loaded yet."""
        return _IcebergTable(name, self._catalog, self._namespace, str(self.store))


class _IcebergTable(LandedTable):
    def __init__(self, name: str, catalog: Catalog, namespace: str, destination: str) -> None:
        super().__init__(name)
        self._catalog = catalog
        self._namespace = namespace
        self._destination = destination
        self._table: Table | None = None
        self._uploaded: dict[str, str] = {}

    @property
    def key(self) -> str:
        return f"{self._namespace}.{self.name}"

    @property
    def uri(self) -> str:
        return self.key if self._table is None else self._table.location()

    @property
    def version(self) -> int | None:
        return None if self._table is None else self._table.metadata.current_snapshot_id

    @property
    def native(self) -> Table | None:
        return self._table

    def load(self) -> bool:
        from pyiceberg.exceptions import NoSuchNamespaceError, NoSuchTableError

        with self._explained("loading"):
            try:
                table = self._table = self._catalog.load_table(self.key)
            except (NoSuchTableError, NoSuchNamespaceError):
                self._table = None
                return False
            found = table.schema().as_arrow()
        owner = table.properties.get(_DESTINATION)
        if owner != self._destination:
            whose = "was not made by this provider" if owner is None else f"belongs to the destination {owner!r:.200}"
            what = f"Iceberg table {self.key} {whose}, and not to {self._destination}: choose another iceberg_namespace"
            raise AchieveItConfigError(what)
        self.check_columns(found)
        if [(field.name, str(field.transform)) for field in table.spec().fields] != [(SNAPSHOT, "identity")]:
            raise AchieveItConfigError(f"Iceberg table {self.key} is not partitioned by {SNAPSHOT} alone any more")
        # pyiceberg's own retries would add files again to what somebody else has committed meanwhile. This changes the
        # state in memory only.
        table.metadata.properties["commit.retry.num-retries"] = "0"
        return True

    def create(self) -> None:
        from pyiceberg.exceptions import CommitFailedException, TableAlreadyExistsError

        # Of other columns the files have no statistics; of text Iceberg would take the first 16 characters.
        metrics = {f"write.metadata.metrics.column.{name}": "full" for name in statistics_columns(self.name)}
        properties = {_DESTINATION: self._destination, "write.metadata.metrics.default": "none", **metrics}
        with self._explained("creating"):
            self._create_namespace()
            with suppress(TableAlreadyExistsError, CommitFailedException):
                transaction = self._catalog.create_table_transaction(
                    self.key, landed_schema(self.name), properties=properties
                )
                with transaction, transaction.update_spec() as spec:
                    spec.add_identity(SNAPSHOT)

    def _create_namespace(self) -> None:
        from pyiceberg.exceptions import NoSuchNamespaceError

        try:
            self._catalog.create_namespace_if_not_exists(self._namespace)
        except Exception:
            # Where two tasks create it at once, a SQL catalog lets through the error of its database.
            with suppress(NoSuchNamespaceError):
                self._catalog.load_namespace_properties(self._namespace)
                return
            raise

    def files(self, label: str | None = None) -> list[LandedFile]:
        if self._table is None:
            return []
        with self._explained("reading"):
            # No label has a character that ends a text.
            scan = self._table.scan("true" if label is None else f"{SNAPSHOT} == '{label}'")
            return [self._landed_file(task) for task in scan.plan_files()]

    def _landed_file(self, task: FileScanTask) -> LandedFile:
        table = self._loaded()
        path = task.file.file_path
        if task.delete_files:
            what = f"Iceberg table {self.key} has rows that are marked as deleted in {path}: compact it with the engine"
            raise AchieveItStoreError(f"{what} that deleted them")
        number = table.schema().find_field(PLAN).field_id
        smallest = (task.file.lower_bounds or {}).get(number)
        largest = (task.file.upper_bounds or {}).get(number)
        return LandedFile(
            path.rpartition("/")[2],
            task.file.partition[0],
            None if smallest is None or largest is None else (smallest.decode(), largest.decode()),
            datetime.fromtimestamp(table.metadata.last_updated_ms / 1000, UTC),
            task.file,
            table.io.new_input(path).open,
        )

    def replace(self, label: str, removed: Sequence[LandedFile], added: Sequence[DataFile]) -> None:
        from pyiceberg.exceptions import CommitFailedException, ValidationException

        with self._explained("committing to"):
            paths = [self._upload(file) for file in added]
            try:
                with self._loaded().transaction() as transaction:
                    if removed:
                        with transaction.update_snapshot().overwrite() as overwrite:
                            for file in removed:
                                overwrite.delete_data_file(file.entry)
                    if paths:
                        transaction.add_files(paths, check_duplicate_files=False)
            except (CommitFailedException, ValidationException) as error:
                raise ConflictError(error) from error

    def _loaded(self) -> Table:
        if self._table is None:
            raise ValueError(f"table {self.key} is not loaded")
        return self._table

    def _upload(self, file: DataFile) -> str:
        """Put a data file where the table has its own, once; return its location."""
        name = file.path.name
        if name not in self._uploaded:
            location = self._loaded().location_provider().new_data_location(name)
            with self._loaded().io.new_output(location).create() as output, file.path.open("rb") as local:
                while chunk := local.read(_CHUNK):
                    output.write(chunk)
            self._uploaded[name] = location
        return self._uploaded[name]

    @contextmanager
    def _explained(self, doing: str) -> Iterator[None]:
        """Name the table in whatever pyiceberg raises, without the catalog's secrets."""
        try:
            yield
        except (AchieveItError, ConflictError):
            raise
        except Exception as error:  # pyiceberg has many, and lets through those of its storage and its catalog
            text = f"{type(error).__name__}: {error}"
            for secret in _secrets(self._catalog.properties):
                text = text.replace(secret, "***")
            raise AchieveItStoreError(f"{doing} the Iceberg table {self.key} failed: {text}") from None


def _secrets(properties: dict[str, str]) -> list[str]:
    """Return the values among a catalog's properties that must not be shown, longest first."""
    found = [str(value) for name, value in properties.items() if _SECRET.search(name)]
    found += [password for value in properties.values() if (password := urlsplit(str(value)).password)]
    return sorted((secret for secret in found if secret), key=len, reverse=True)
