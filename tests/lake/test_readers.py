"""What engines read of a lake with several plans and labels, odd text, far dates, an empty plan and leftovers.

Spark is asked in tests/spark.
"""

from __future__ import annotations

import json
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import duckdb
import polars as pl
import pyarrow as pa
import pyarrow.dataset as ds
import pyarrow.parquet as pq
import pytest

from airflow_provider_achieveit.lake.layout import table_key
from airflow_provider_achieveit.lake.tables.declared import SCHEMAS
from tests.support.readable_lake import LABELS, LARGEST, ODD, ODD_ITEM, make_readable_lake

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    Rows = list[dict[str, Any]]

PARTITIONS = ds.partitioning(pa.schema([("plan", pa.string()), ("snapshot", pa.string())]), flavor="hive")
TIMES = ("start", "due", "created")
COLUMNS = ("plan", "snapshot", "row_number", "name", *TIMES, "baseline", "target", "current_value", "members", "tags")


@pytest.fixture(scope="module")
def lake(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The lake."""
    return make_readable_lake(tmp_path_factory.mktemp("readers") / "lake")


def _duckdb(items: Path) -> Rows:
    query = f"""
        SELECT * REPLACE ({", ".join(f"{name}::VARCHAR AS {name}" for name in TIMES)})
        FROM read_parquet('{items}/*/*/*.parquet', hive_partitioning=true, hive_types_autocast=false)
    """
    with duckdb.connect() as connection:
        connection.execute("SET TimeZone='UTC'")
        cursor = connection.execute(query)
        names = [column[0] for column in cursor.description]
        return [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]


def _rows(table: pa.Table) -> Rows:
    for name in TIMES:
        place = table.schema.get_field_index(name)
        texts = table.column(name).cast(pa.timestamp("us")).cast(pa.string())
        table = table.set_column(place, name, texts)
    for name in ("plan", "snapshot"):
        table = table.set_column(table.schema.get_field_index(name), name, table.column(name).cast(pa.string()))
    rows: Rows = table.select(COLUMNS).to_pylist()
    return rows


def _polars_directory(items: Path) -> Rows:
    return _rows(pl.scan_parquet(items, try_parse_hive_dates=False, hive_partitioning=True).collect().to_arrow())


def _polars_files(items: Path) -> Rows:
    frame = pl.read_parquet(f"{items}/*/*/*.parquet", try_parse_hive_dates=False, hive_partitioning=True)
    return _rows(frame.to_arrow())


def _pyarrow(items: Path) -> Rows:
    return _rows(ds.dataset(items, format="parquet", partitioning=PARTITIONS).to_table())


def _pandas_rows(frame: Any) -> Rows:
    for name in TIMES:
        frame[name] = frame[name].astype("string")
    # A missing value is NaN or NaT to pandas; a list is an array.
    rows: Rows = frame[list(COLUMNS)].astype(object).where(frame[list(COLUMNS)].notna(), None).to_dict("records")
    return [{**row, "tags": list(row["tags"])} for row in rows]


def _pandas_directory(items: Path) -> Rows:
    pd = pytest.importorskip("pandas", reason="make test-oldest has no pandas")
    return _pandas_rows(pd.read_parquet(items, partitioning=PARTITIONS))


def _pandas_files(items: Path) -> Rows:
    pd = pytest.importorskip("pandas", reason="make test-oldest has no pandas")
    frames = []
    for label in LABELS:
        frame = pd.read_parquet(items.parent / table_key("plan_items", "p", label), partitioning=None)
        frames.append(frame.assign(plan="p", snapshot=label))
    return _pandas_rows(pd.concat(frames))


READERS = [_duckdb, _polars_directory, _polars_files, _pyarrow, _pandas_directory, _pandas_files]


@pytest.mark.parametrize("read", READERS)
def test_an_engine_reads_every_row_as_it_landed(lake: Path, read: Callable[[Path], Rows]) -> None:
    """Both labels, ten rows each; text, far dates to the microsecond and decimals whole; nothing of the leftover."""
    rows = sorted(read(lake / "plan_items"), key=lambda row: (row["snapshot"], row["row_number"]))
    assert [(row["plan"], row["snapshot"]) for row in rows] == [("p", label) for label in LABELS for _ in range(10)]
    for row in (rows[ODD_ITEM], rows[10 + ODD_ITEM]):
        assert row["name"] == ODD
        assert row["start"].startswith("0001-01-01 00:00:00")
        assert row["due"].startswith("9999-12-31 23:59:59.999999")
        assert row["created"].startswith("1582-10-10 12:00:00")
        assert (row["baseline"], row["target"]) == (Decimal(LARGEST), Decimal("-" + LARGEST))
        assert row["current_value"] == Decimal("1e-9")
        assert row["members"] is None
        assert row["tags"] == []
    assert all(row["members"] is not None for row in rows if row["name"] != ODD)


@pytest.mark.parametrize("table", SCHEMAS)
def test_every_table_has_the_rows_that_the_manifests_say(lake: Path, table: str) -> None:
    """Child tables and changes too, for all engines."""
    manifests = [json.loads(path.read_text()) for path in (lake / "_manifests").glob("*/snapshot=*.json")]
    landed = sum(file["rows"] for manifest in manifests for file in manifest["files"] if file["table"] == table)
    assert landed > 0
    with duckdb.connect() as connection:
        files = f"{lake / table}/*/*/*.parquet"
        [(count,)] = connection.execute(f"SELECT count(*) FROM read_parquet('{files}')").fetchall()
    assert count == landed
    assert pl.scan_parquet(lake / table).collect().height == landed
    assert ds.dataset(lake / table, format="parquet", partitioning=PARTITIONS).count_rows() == landed


def test_an_empty_plan_has_every_column(lake: Path) -> None:
    """And no rows, for every reader of a single file."""
    file = lake / table_key("plan_items", "empty", LABELS[0])
    names = pq.read_schema(file).names
    assert pl.read_parquet(file, hive_partitioning=False).columns == names
    with duckdb.connect() as connection:
        found = connection.execute(f"SELECT * FROM read_parquet('{file}', hive_partitioning=false)")
        assert [column[0] for column in found.description] == names
        assert found.fetchall() == []
