"""Guarantee 1: distinct ids are counted in the file as it was written."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from airflow_provider_achieveit.lake.errors import AchieveItScratchError
from airflow_provider_achieveit.lake.read.ids import repeated_ids

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A file of seven rows in row groups of two, whose ids `b` and `e` stand there twice."""
    path = tmp_path / "plan_items.parquet"
    pq.write_table(pa.table({"id": ["a", "b", "b", "c", "d", "e", "e"]}), path, row_group_size=2)
    return path


def test_ids_that_stand_there_twice_are_named(path: Path) -> None:
    """Within a row group or in several."""
    assert repeated_ids(path, 7) == ["b", "e"]


@pytest.mark.parametrize("rows", [6, 8])
def test_rows_that_were_lost_or_added_on_the_way_show(path: Path, rows: int) -> None:
    """The number of rows that were written is the number of rows in the file, or nothing is published."""
    with pytest.raises(AchieveItScratchError, match=f"has 7 rows instead of the {rows} that were written"):
        repeated_ids(path, rows)
