"""What Spark reads of a lake: see tests/lake/test_readers.py for the other engines."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.support.readable_lake import LABELS

if TYPE_CHECKING:
    from pathlib import Path

    from pyspark.sql import SparkSession

pytestmark = pytest.mark.spark


def test_a_folder_is_a_table_with_plan_and_label(spark: SparkSession, root: Path) -> None:
    """Ten rows for each label, none of the empty plan, nothing of the leftover of a killed export."""
    items = spark.read.parquet(str(root / "plan_items"))
    found = items.groupBy("plan", "snapshot").count().orderBy("snapshot").collect()
    assert [tuple(row) for row in found] == [("p", label, 10) for label in LABELS]
