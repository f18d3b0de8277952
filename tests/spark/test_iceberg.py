"""What Spark reads of Iceberg tables: a lake of plain files is moved, and both are asked."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from fsspec.implementations.local import LocalFileSystem

from airflow_provider_achieveit.lake.move import move
from airflow_provider_achieveit.lake.sinks.iceberg import open_iceberg_sink
from airflow_provider_achieveit.lake.sinks.objects import Store
from airflow_provider_achieveit.lake.sinks.parquet import ParquetSink
from airflow_provider_achieveit.lake.tables.declared import SCHEMAS
from tests.support.readable_lake import LABELS

if TYPE_CHECKING:
    from pathlib import Path

    from pyiceberg.catalog import Catalog
    from pyspark.sql import DataFrame, SparkSession

pytestmark = pytest.mark.spark


@pytest.fixture(scope="module")
def catalog(root: Path, tmp_path_factory: pytest.TempPathFactory) -> Catalog:
    """A catalog with the tables of the readable lake."""
    pytest.importorskip(
        "snowpark_connect_deps_iceberg", reason="the package index has Iceberg's runtime for Spark 3.5 alone"
    )
    from pyiceberg.catalog import load_catalog

    place = tmp_path_factory.mktemp("iceberg")
    catalog = load_catalog("lake", type="sql", uri=f"sqlite:///{place}/catalog.db", warehouse=f"file://{place}")
    plain = ParquetSink(Store(LocalFileSystem(), str(root)))
    sink = open_iceberg_sink(Store(LocalFileSystem(), f"{place}/lake"), catalog, "achieveit")
    assert move(plain, sink) == len(LABELS) + 1
    return catalog


def _landed(spark: SparkSession, catalog: Catalog, table: str, **options: str) -> DataFrame:
    """A table as Iceberg's own library for Spark reads it."""
    location = catalog.load_table(f"achieveit.{table}").metadata_location
    return spark.read.format("iceberg").options(**options).load(location)


def _rows(frame: DataFrame, columns: list[str]) -> list[str]:
    """All rows as text; Iceberg has an empty list for one that is null."""
    lists = {name for name, kind in frame.dtypes if kind.startswith("array")}
    values = [f"coalesce({name}, array()) {name}" if name in lists else name for name in columns]
    return sorted(row["row"] for row in frame.selectExpr(*values).selectExpr("to_json(struct(*)) row").collect())


@pytest.mark.parametrize("table", SCHEMAS)
def test_every_value_is_that_of_the_plain_files(spark: SparkSession, root: Path, catalog: Catalog, table: str) -> None:
    """In all tables, and without the setting that Spark 3.5 needs for old dates in plain files."""
    columns = [*SCHEMAS[table].names, "plan", "snapshot"]
    landed = _rows(_landed(spark, catalog, table), columns)
    plain = spark.read.option("datetimeRebaseMode", "CORRECTED").parquet(str(root / table))
    assert landed == _rows(plain, columns) != []


def test_an_older_version_of_the_table_is_there(spark: SparkSession, catalog: Catalog) -> None:
    """As it was when one label alone had landed."""
    first = catalog.load_table("achieveit.plan_items").history()[0].snapshot_id
    before = _landed(spark, catalog, "plan_items", **{"snapshot-id": str(first)})
    assert len({row["snapshot"] for row in before.select("snapshot").collect()}) == 1
