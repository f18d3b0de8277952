"""Where `make demo` exports to in each table format, and how that is read without the provider."""

import json
from typing import Any, ClassVar

import pyarrow as pa
import pyarrow.dataset as ds

from dev.stage import LAKE


class DemoLake:
    """Plain Parquet files.

    Attributes:
        table_format: As the operator calls it.
        title: As people call it.
        in_duckdb: The table of items in a query.
        opened_by: What has to be typed into Python before such a query.
        has_files: Whether each snapshot has files of its own.
    """

    table_format: ClassVar[str] = "parquet"
    title: ClassVar[str] = "Parquet"
    in_duckdb: ClassVar[str] = "read_parquet('{folder}/plan_items/*/*/*.parquet', hive_types_autocast=false)"
    opened_by: ClassVar[list[str]] = []
    has_files: ClassVar[bool] = True

    def __init__(self) -> None:
        suffix = "" if self.table_format == "parquet" else f"-{self.table_format}"
        self.folder = LAKE.with_name(f"{LAKE.name}{suffix}")

    def environment(self) -> dict[str, str]:
        """Return what the example DAG has to be told."""
        return {"ACHIEVEIT_EXAMPLE_LAKE": self.folder.as_uri(), "ACHIEVEIT_EXAMPLE_FORMAT": self.table_format}

    def table(self, name: str) -> ds.Dataset:
        """Return a table of all plans and snapshots."""
        text = pa.schema([("plan", pa.string()), ("snapshot", pa.string())])  # else labels are read as dates
        return ds.dataset(self.folder / name, partitioning=ds.partitioning(text, flavor="hive"))


class DemoDelta(DemoLake):
    """Delta Lake."""

    table_format = "delta"
    title = "Delta Lake"
    in_duckdb = "plan_items"
    opened_by: ClassVar[list[str]] = ["-- plan_items = DeltaTable('lake-delta/plan_items').to_pyarrow_dataset()"]
    has_files = False

    def table(self, name: str) -> ds.Dataset:
        """Return a table, opened by deltalake."""
        from deltalake import DeltaTable

        return DeltaTable(self.folder / name).to_pyarrow_dataset()


class DemoIceberg(DemoLake):
    """Iceberg, with a catalog in SQLite."""

    table_format = "iceberg"
    title = "Iceberg"
    in_duckdb = "plan_items"
    opened_by: ClassVar[list[str]] = ["-- plan_items = catalog.load_table('achieveit.plan_items').scan().to_arrow()"]
    has_files = False

    def _catalog(self) -> dict[str, str]:
        self.folder.mkdir(exist_ok=True)
        uri, warehouse = f"sqlite:///{self.folder}/catalog.db", f"{self.folder.as_uri()}/warehouse"
        return {"type": "sql", "uri": uri, "warehouse": warehouse}

    def environment(self) -> dict[str, str]:
        """Return what the example DAG has to be told, and Airflow's connection of the catalog."""
        catalog: dict[str, Any] = self._catalog()
        connection = {"conn_type": "iceberg", "host": catalog.pop("uri"), "extra": catalog}
        return {**super().environment(), "AIRFLOW_CONN_ICEBERG_DEFAULT": json.dumps(connection)}

    def table(self, name: str) -> ds.Dataset:
        """Return a table, opened by pyiceberg."""
        from pyiceberg.catalog import load_catalog

        catalog = load_catalog("iceberg_default", **self._catalog())  # the name that Airflow gives it
        return ds.dataset(catalog.load_table(f"achieveit.{name}").scan().to_arrow())


LAKES: dict[str, type[DemoLake]] = {lake.table_format: lake for lake in (DemoLake, DemoDelta, DemoIceberg)}
