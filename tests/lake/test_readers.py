"""What engines read of a lake with several plans and labels, odd text, far dates, an empty plan and leftovers.

pandas is not among them: where it is installed, pyarrow imports it, and the other tests would no longer show that this
package does without. Its `read_parquet` is pyarrow's dataset reader, which is tested here.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import duckdb
import polars as pl
import pyarrow as pa
import pyarrow.dataset as ds
import pyarrow.parquet as pq
import pytest

from airflow_provider_achieveit.lake.layout import STAGING_PREFIX, table_key
from airflow_provider_achieveit.lake.portfolio import export_plan
from tests.lake.stores import LocalStores

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from airflow_provider_achieveit.api.client import AchieveItClient
    from tests.support.faulty_sandbox import Sandbox

ODD = 'naïve 🎯 "quotes", commas;\ttabs\nand lines &amp; ' + "x" * 10_000
FAR = ("0001-01-01T00:00:00Z", "9999-12-31T23:59:59.999999Z")
LABELS = ("2026-11-23", "2026-11-24T100203Z")


@pytest.fixture
def lake(sandbox: Sandbox, client: AchieveItClient, tmp_path: Path) -> LocalStores:
    """Two labels of a plan of ten items, one of an empty plan, and what a killed export leaves."""
    stores = LocalStores(tmp_path / "lake")
    plan = sandbox.put_plan("p", 10)
    plan.patch(3, name=ODD, start=FAR[0], due=FAR[1])
    for label in LABELS:
        assert export_plan(client, stores.sink(), "p", snapshot=label) is not None
    sandbox.put_plan("empty", 0)
    assert export_plan(client, stores.sink(), "empty", snapshot=LABELS[0]) is not None
    stores.put(f"{STAGING_PREFIX}killed/0", b"half a Parquet file")
    return stores


def _duckdb(items: Path) -> list[Any]:
    query = f"""
        SELECT plan, snapshot, name, start::VARCHAR, due::VARCHAR
        FROM read_parquet('{items}/*/*/*.parquet', hive_partitioning=true, hive_types_autocast=false)
        ORDER BY snapshot, row_number
    """
    with duckdb.connect() as connection:
        connection.execute("SET TimeZone='UTC'")
        return connection.execute(query).fetchall()


def _rows(table: pa.Table) -> list[Any]:
    texts = {name: table.column(name).cast(pa.string()).to_pylist() for name in ("plan", "snapshot", "name")}
    times = {
        name: table.column(name).cast(pa.timestamp("us")).cast(pa.string()).to_pylist() for name in ("start", "due")
    }
    order = sorted(range(table.num_rows), key=lambda row: (texts["snapshot"][row], table["row_number"][row].as_py()))
    return [(*(texts[name][row] for name in texts), *(times[name][row] for name in times)) for row in order]


def _polars_directory(items: Path) -> list[Any]:
    return _rows(pl.scan_parquet(items, try_parse_hive_dates=False, hive_partitioning=True).collect().to_arrow())


def _polars_files(items: Path) -> list[Any]:
    frame = pl.read_parquet(f"{items}/*/*/*.parquet", try_parse_hive_dates=False, hive_partitioning=True)
    return _rows(frame.to_arrow())


def _pyarrow(items: Path) -> list[Any]:
    partitions = ds.partitioning(pa.schema([("plan", pa.string()), ("snapshot", pa.string())]), flavor="hive")
    return _rows(ds.dataset(items, format="parquet", partitioning=partitions).to_table())


@pytest.mark.parametrize("read", [_duckdb, _polars_directory, _polars_files, _pyarrow])
def test_an_engine_reads_every_row_as_it_landed(lake: LocalStores, read: Callable[[Path], list[Any]]) -> None:
    """Both labels, ten rows each; the text and the far dates to the microsecond; nothing of the leftover."""
    rows = read(lake.root / "plan_items")
    assert [row[:2] for row in rows] == [("p", label) for label in LABELS for _ in range(10)]
    for row in (rows[3], rows[13]):
        assert row[2] == ODD
        assert row[3].startswith("0001-01-01 00:00:00")
        assert row[4].startswith("9999-12-31 23:59:59.999999")


def test_an_empty_plan_has_every_column(lake: LocalStores) -> None:
    """And no rows, for every reader of a single file."""
    file = lake.root / table_key("plan_items", "empty", LABELS[0])
    names = pq.read_schema(file).names
    assert pl.read_parquet(file, hive_partitioning=False).columns == names
    with duckdb.connect() as connection:
        found = connection.execute(f"SELECT * FROM read_parquet('{file}', hive_partitioning=false)")
        assert [column[0] for column in found.description] == names
        assert found.fetchall() == []
