"""The queries of docs/queries.md in Spark give the rows that they give in DuckDB; and docs/ddl/spark.sql is run."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import sqlglot

from tests.support.ready_queries import QUERIES, SECTIONS, SETUP, Lake, comparable, make_lake

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pyspark.sql import SparkSession

pytestmark = pytest.mark.spark

DDL = Path(__file__).parents[2] / "docs" / "ddl" / "spark.sql"


@pytest.fixture(scope="module")
def lake(tmp_path_factory: pytest.TempPathFactory) -> Lake:
    """A lake in which each query has an answer."""
    return make_lake(tmp_path_factory.mktemp("queries"))


@pytest.fixture(scope="module")
def views(spark: SparkSession, lake: Lake) -> Iterator[None]:
    """The views that the queries read, as the page makes them."""
    run(spark, lake.here(SETUP["sql spark"]))
    yield
    for view in spark.catalog.listTables():
        spark.catalog.dropTempView(view.name)


def run(spark: SparkSession, code: str) -> None:
    """Run statements, one after the other."""
    for statement in code.split(";"):
        if statement.strip():
            spark.sql(statement)


def in_utc(value: Any) -> Any:
    """Rows with their times in UTC: those that Spark gives are in the local time of this process."""
    if isinstance(value, datetime):
        return value.astimezone(UTC)
    if isinstance(value, dict):
        return {name: in_utc(inner) for name, inner in value.items()}
    return [in_utc(inner) for inner in value] if isinstance(value, list) else value


@pytest.mark.parametrize("title", QUERIES)
def test_spark_gives_the_rows_of_duckdb(spark: SparkSession, views: None, lake: Lake, title: str) -> None:
    """In the form that the page has for Spark, or transpiled from DuckDB's by sqlglot."""
    code = SECTIONS[title]
    [transpiled] = sqlglot.transpile(code["sql"], read="duckdb", write="spark")
    query = code.get("sql spark", transpiled).strip().rstrip(";")
    found = [row.asDict(recursive=True) for row in spark.sql(query).collect()]
    assert found
    assert comparable(in_utc(found)) == comparable(in_utc(lake.duckdb(title)))


def test_the_ddl_makes_tables_of_the_lake(spark: SparkSession, lake: Lake) -> None:
    """With every partition, and every column as it was declared: what was inserted reads as the files do."""
    spark.sql("create database achieveit")
    run(spark, DDL.read_text().replace("s3://lake/achieveit", f"file://{lake.root}"))
    for table in ("plan_items", "plan_item_changes"):
        files = spark.read.parquet(f"file://{lake.root}/{table}")
        landed = spark.table(f"achieveit.{table}")
        assert landed.schema == files.schema
        assert landed.count() == files.count() > 0
        assert landed.exceptAll(files).count() == 0
    spark.sql("drop database achieveit cascade")
