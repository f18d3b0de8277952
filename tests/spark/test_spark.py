"""What Spark reads of a lake: see tests/lake/test_readers.py for the other engines."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pytest

from airflow_provider_achieveit.lake.tables.declared import SCHEMAS
from tests.support.readable_lake import CHECKLIST, GOAL, LABELS, LARGEST, ODD, ODD_ITEM

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from pyspark.sql import DataFrame, SparkSession

pytestmark = pytest.mark.spark

REBASE = "spark.sql.parquet.datetimeRebaseModeInRead"


@pytest.fixture
def corrected(spark: SparkSession) -> Iterator[None]:
    """The setting that docs/guarantees.md names for Spark 3.5; Spark 4 reads without it."""
    if spark.version.startswith("3."):
        spark.conf.set(REBASE, "CORRECTED")
    yield
    spark.conf.unset(REBASE)


@pytest.fixture
def items(spark: SparkSession, root: Path, corrected: None) -> DataFrame:
    """The table of items."""
    return spark.read.parquet(str(root / "plan_items"))


def test_a_folder_is_a_table_with_plan_and_label(items: DataFrame) -> None:
    """Ten rows for each label, none of the empty plan, nothing of the leftover of a killed export."""
    found = items.groupBy("plan", "snapshot").count().orderBy("snapshot").collect()
    assert [tuple(row) for row in found] == [("p", label, 10) for label in LABELS]


def test_every_value_is_as_it_landed(items: DataFrame) -> None:
    """Text, dates of the years 1, 1582 and 9999 to the microsecond, the largest decimals, null and empty lists."""
    times = [f"date_format({name}, 'yyyy-MM-dd HH:mm:ss.SSSSSS') {name}" for name in ("start", "due", "created")]
    exact = ["snapshot", "row_number", "name", "baseline", "target", "current_value", "members", "tags"]
    rows = items.selectExpr(*exact, *times).orderBy("snapshot", "row_number").collect()
    for row in (rows[ODD_ITEM], rows[10 + ODD_ITEM]):
        assert row["name"] == ODD
        assert row["start"] == "0001-01-01 00:00:00.000000"
        assert row["due"] == "9999-12-31 23:59:59.999999"
        assert row["created"] == "1582-10-10 12:00:00.000000"
        assert (row["baseline"], row["target"]) == (Decimal(LARGEST), Decimal("-" + LARGEST))
        assert row["current_value"] == Decimal("1e-9")
        assert row["members"] is None
        assert row["tags"] == []
    assert all(row["members"] is not None for row in rows if row["name"] != ODD)


def test_lists_of_structs_keep_what_they_hold(items: DataFrame) -> None:
    """Two levels deep, with a date of the year 1."""
    odd = items.where(f"row_number = {ODD_ITEM + 1}").where(f"snapshot = '{LABELS[0]}'")
    [row] = odd.selectExpr("to_json(checklists) checklists", "to_json(advanced_metric_goals) goals").collect()
    [checklist] = json.loads(row["checklists"])
    assert (checklist["id"], checklist["name"]) == (CHECKLIST["id"], CHECKLIST["name"])
    assert [item["id"] for item in checklist["items"]] == ["done", "open"]
    assert checklist["items"][0]["done_on"].startswith("0001-01-01T00:00:00")
    assert [list(goal.values()) for goal in json.loads(row["goals"])] == [list(GOAL.values())]


def test_the_first_day_of_the_calendar_is_too_early_for_rows_in_python(items: DataFrame) -> None:
    """PySpark cannot make a Python time of it in UTC; docs/guarantees.md says what to do. Queries are not concerned."""
    with pytest.raises(ValueError, match="year 0 is out of range"):
        items.select("start").collect()
    assert items.where("start < '0001-01-02'").count() == len(LABELS)


def _landed(root: Path, table: str) -> int:
    manifests: list[Any] = [json.loads(path.read_text()) for path in (root / "_manifests").glob("*/snapshot=*.json")]
    return sum(file["rows"] for manifest in manifests for file in manifest["files"] if file["table"] == table)


@pytest.mark.parametrize("table", SCHEMAS)
def test_every_table_has_the_rows_and_columns_that_landed(
    spark: SparkSession, root: Path, corrected: None, table: str
) -> None:
    """All values are read, and the columns are those of the files, then plan and label."""
    frame = spark.read.parquet(str(root / table))
    assert frame.columns == [*SCHEMAS[table].names, "plan", "snapshot"]
    assert len(frame.selectExpr("to_json(struct(*)) row").collect()) == _landed(root, table) > 0


def test_an_empty_plan_has_every_column(spark: SparkSession, root: Path) -> None:
    """And no rows."""
    frame = spark.read.parquet(str(root / "plan_items" / "plan=empty" / f"snapshot={LABELS[0]}"))
    assert frame.columns == SCHEMAS["plan_items"].names
    assert frame.collect() == []


def test_labels_are_text_and_choose_files(items: DataFrame) -> None:
    """A glob and a condition on the label read that snapshot alone."""
    assert dict(items.dtypes)["snapshot"] == dict(items.dtypes)["plan"] == "string"
    assert items.where(f"snapshot = '{LABELS[1]}'").count() == 10


def test_a_glob_reads_one_label(spark: SparkSession, root: Path, corrected: None) -> None:
    """As docs/labels.md shows it; `basePath` keeps plan and label."""
    reader = spark.read.option("basePath", str(root / "plan_items"))
    frame = reader.parquet(f"{root}/plan_items/*/snapshot={LABELS[1]}")
    assert {row["snapshot"] for row in frame.select("snapshot").collect()} == {LABELS[1]}


def test_spark_3_names_the_setting_for_a_date_before_1900(spark: SparkSession, root: Path) -> None:
    """Without it Spark 3.5 refuses such a query, and Spark 4 answers."""
    starts = spark.read.parquet(str(root / "plan_items")).selectExpr("date_format(start, 'yyyy') year")
    if spark.version.startswith("3."):
        with pytest.raises(Exception, match=REBASE):
            starts.collect()
    else:
        assert "0001" in {row["year"] for row in starts.collect()}
