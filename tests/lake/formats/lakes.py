"""Lakes in a table format, read without the code under test, and snapshots to land in them."""

from __future__ import annotations

import itertools
import json
import os
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, ClassVar

import polars as pl
import pyarrow as pa
import pyarrow.dataset as ds
from deltalake import DeltaTable
from fsspec.implementations.local import LocalFileSystem

from airflow_provider_achieveit.api.cancellation import Cancellation
from airflow_provider_achieveit.api.plan_version import PlanVersion
from airflow_provider_achieveit.lake.manifest import Manifest, build_manifest
from airflow_provider_achieveit.lake.schema import DICTIONARY_COLUMNS, PLAN_ITEMS, STATISTICS_COLUMNS, plan_schema
from airflow_provider_achieveit.lake.sinks.delta import open_delta_sink
from airflow_provider_achieveit.lake.sinks.iceberg import open_iceberg_sink
from airflow_provider_achieveit.lake.sinks.objects import Store
from airflow_provider_achieveit.lake.table_file import TableFile, TableWriter
from airflow_provider_achieveit.lake.tables.declared import table_schema, table_writer

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from pyiceberg.catalog import Catalog
    from pyiceberg.table import Table

    from airflow_provider_achieveit.lake.sinks.base import Sink
    from airflow_provider_achieveit.lake.sinks.table_sink import TableSink
    from tests.lake.stores import S3Stores

OPTIONS = {"dictionary": DICTIONARY_COLUMNS, "statistics": STATISTICS_COLUMNS}
BEGINNING = datetime(2025, 1, 1, tzinfo=UTC)
_clock = itertools.count()


class Lake:
    """A destination in one format.

    Args:
        root: The destination, a local directory.
    """

    format: ClassVar[str]

    def __init__(self, root: Path) -> None:
        self.root = root

    def store(self) -> Store:
        """The destination as another process would open it."""
        return Store(LocalFileSystem(), str(self.root))

    def sink(self) -> TableSink:
        """A new sink."""
        raise NotImplementedError

    def table(self, name: str = "plan_items") -> pa.Table:
        """All rows of a table as the format's own library reads them."""
        raise NotImplementedError

    def dataset(self, name: str = "plan_items") -> ds.Dataset:
        """A table for DuckDB and pyarrow."""
        return ds.dataset(self.table(name))

    def in_polars(self, name: str = "plan_items") -> pl.LazyFrame:
        """A table for Polars."""
        raise NotImplementedError

    def commits(self, name: str = "plan_items") -> int:
        """How often a table was committed to since it was made."""
        raise NotImplementedError

    def committed_at(self, name: str = "plan_items") -> int:
        """When a table was last committed to, in milliseconds."""
        raise NotImplementedError

    def compact(self, name: str = "plan_items") -> None:
        """Write the rows of a table into other files, with the format's own library."""
        raise NotImplementedError

    def files(self, name: str = "plan_items") -> list[str]:
        """The data files of a table as it is now."""
        raise NotImplementedError

    def stored(self) -> list[Path]:
        """All data files that lie somewhere in the lake, those of old versions as well."""
        return list(self.root.rglob("*.parquet"))

    def ids(self, name: str = "plan_items") -> list[tuple[str, str, str]]:
        """Label, plan and id of each row, in the order of their places."""
        order = [("snapshot", "ascending"), ("plan", "ascending"), ("position", "ascending")]
        rows = self.table(name).sort_by(order).select(["snapshot", "plan", "id"]).to_pylist()
        return [(row["snapshot"], row["plan"], row["id"]) for row in rows]


class DeltaLake(Lake):
    """Delta Lake in a local directory."""

    format = "delta"

    def sink(self) -> TableSink:
        return open_delta_sink(self.store())

    def _open(self, name: str) -> DeltaTable:
        return DeltaTable(str(self.root / name))

    def table(self, name: str = "plan_items") -> pa.Table:
        return self._open(name).to_pyarrow_table()

    def dataset(self, name: str = "plan_items") -> ds.Dataset:
        return self._open(name).to_pyarrow_dataset()

    def in_polars(self, name: str = "plan_items") -> pl.LazyFrame:
        return pl.scan_delta(str(self.root / name))

    def commits(self, name: str = "plan_items") -> int:
        return self._open(name).version()

    def committed_at(self, name: str = "plan_items") -> int:
        return int(self._open(name).history(1)[0]["timestamp"])

    def compact(self, name: str = "plan_items") -> None:
        self._open(name).optimize.compact()

    def files(self, name: str = "plan_items") -> list[str]:
        return self._open(name).file_uris()


class IcebergLake(Lake):
    """Iceberg with a catalog in SQLite; tables and manifests below one directory."""

    format = "iceberg"
    #: With what pyiceberg reads and writes files: the first one is its own choice.
    io: ClassVar[str] = "pyiceberg.io.pyarrow.PyArrowFileIO"

    def catalog(self) -> Catalog:
        """The catalog as another process would open it."""
        from pyiceberg.catalog import load_catalog

        self.root.mkdir(parents=True, exist_ok=True)
        return load_catalog("iceberg_default", **self._properties())  # as Airflow calls that of the connection

    def _properties(self) -> dict[str, str]:
        places = {"uri": f"sqlite:///{self.root}/catalog.db", "warehouse": f"file://{self.root}/warehouse"}
        return {"type": "sql", **places, "py-io-impl": self.io}

    def connection(self) -> str:
        """The catalog as an Airflow connection."""
        self.root.mkdir(parents=True, exist_ok=True)
        properties = self._properties()
        return json.dumps({"conn_type": "iceberg", "host": properties.pop("uri", None), "extra": properties})

    def sink(self) -> TableSink:
        return open_iceberg_sink(self.store(), self.catalog(), "achieveit")

    def _open(self, name: str) -> Table:
        return self.catalog().load_table(f"achieveit.{name}")

    def table(self, name: str = "plan_items") -> pa.Table:
        return self._open(name).scan().to_arrow()

    def in_polars(self, name: str = "plan_items") -> pl.LazyFrame:
        return pl.scan_iceberg(self._open(name))

    def commits(self, name: str = "plan_items") -> int:
        return len(self._open(name).metadata.metadata_log)

    def committed_at(self, name: str = "plan_items") -> int:
        return self._open(name).metadata.last_updated_ms

    def compact(self, name: str = "plan_items") -> None:
        table = self._open(name)
        table.overwrite(table.scan().to_arrow())

    def files(self, name: str = "plan_items") -> list[str]:
        return [task.file.file_path for task in self._open(name).scan().plan_files()]


class RestLake(IcebergLake):
    """Iceberg with the REST catalog that the fixture `iceberg_rest` starts; the warehouse is below the directory."""

    def _properties(self) -> dict[str, str]:
        warehouse = f"file://{self.root}/warehouse"
        return {
            "type": "rest",
            "uri": os.environ["ACHIEVEIT_ICEBERG_REST"],
            "warehouse": warehouse,
            "py-io-impl": self.io,
        }


class GlueLake(IcebergLake):
    """Iceberg with Glue as the catalog and the warehouse on S3, as moto plays both; the manifests are local files.

    Args:
        root: The destination, a local directory.
        aws: moto.
    """

    def __init__(self, root: Path, aws: S3Stores) -> None:
        super().__init__(root)
        self._aws = aws

    def _properties(self) -> dict[str, str]:
        access = {"endpoint": self._aws.endpoint, "access-key-id": self._aws.key, "secret-access-key": self._aws.secret}
        services = {f"{service}.{name}": value for service in ("glue", "s3") for name, value in access.items()}
        return {"type": "glue", "glue.region": "us-east-1", "warehouse": f"{self._aws.uri}/warehouse", **services}


def item(item_id: str, **columns: Any) -> dict[str, Any]:
    """A row of `plan_items`: null but for these columns."""
    return {**dict.fromkeys(PLAN_ITEMS.names), "id": item_id, **columns}


def items_file(directory: Path, plan_id: str, rows: Sequence[Mapping[str, Any]]) -> TableFile:
    """The finished file of a plan's items."""
    path = directory / f"{plan_id}-{next(_clock)}.parquet"
    schema = plan_schema(plan_id)
    with TableWriter(path, schema, **OPTIONS) as writer:
        writer.add(pa.RecordBatch.from_pylist(rows, schema=schema))
    return TableFile("plan_items", path, len(rows))


def derived_file(directory: Path, table: str, plan_id: str, rows: Sequence[Mapping[str, Any]]) -> TableFile:
    """The finished file of another table of a plan."""
    path = directory / f"{table}-{plan_id}-{next(_clock)}.parquet"
    with table_writer(table, plan_id, path) as writer:
        writer.add(pa.RecordBatch.from_pylist(rows, schema=table_schema(table, plan_id)))
    return TableFile(table, path, len(rows))


def snapshot_of(sink: Sink, items: TableFile, plan_id: str, label: str, read_at: datetime | None = None) -> Manifest:
    """The manifest of a snapshot that is about to land; later ones were read later, unless the time is given."""
    moment = read_at or BEGINNING + timedelta(seconds=next(_clock))
    return build_manifest(
        plan_id=plan_id,
        plan_name=None,
        label=label,
        rows=items.rows,
        version=PlanVersion(items.rows, None, None),
        consistent=True,
        content_hash=items.sha256,
        schema_hash="0" * 64,
        rescued_values=0,
        table_format=sink.format,
        read_at=moment,
        started=moment,
        finished=moment,
        requests=1,
        attempts=1,
    )


def land(
    sink: TableSink,
    directory: Path,
    plans: Mapping[str, Sequence[str | Mapping[str, Any]]],
    label: str = "monday",
    *,
    read_at: datetime | None = None,
    derived: Mapping[str, Mapping[str, Sequence[Mapping[str, Any]]]] | None = None,
) -> list[Manifest]:
    """Land snapshots of some plans in one commit, and remove their files as an export would.

    Args:
        sink: Where to.
        directory: For the files.
        plans: The plans' items: rows, or ids alone.
        label: The label of all of them.
        read_at: When the plans were read.
        derived: For each plan more tables and their rows.
    """
    with sink.begin(Cancellation()) as commit:
        for plan_id, rows in plans.items():
            items = items_file(directory, plan_id, [item(row) if isinstance(row, str) else row for row in rows])
            more = (derived or {}).get(plan_id, {})
            files = [items, *(derived_file(directory, table, plan_id, more[table]) for table in more)]
            commit.add(snapshot_of(sink, items, plan_id, label, read_at), files)
            for file in files:
                file.path.unlink()
        return commit.finish()


def problems(sink: TableSink, manifest: Manifest, directory: Path) -> list[str]:
    """What is wrong with the tables of a snapshot."""
    found = []
    for entry in manifest["files"]:
        file = directory / f"back-{next(_clock)}.parquet"
        found.append(sink.read_back(manifest, entry, file))
    return [problem for problem in found if problem is not None]
