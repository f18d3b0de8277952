"""What is Iceberg's alone."""

from __future__ import annotations

import logging
import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import TYPE_CHECKING

import pyarrow as pa
import pytest

from airflow_provider_achieveit.api.errors import AchieveItConfigError
from airflow_provider_achieveit.lake.errors import AchieveItStoreError
from airflow_provider_achieveit.lake.layout import table_key
from airflow_provider_achieveit.lake.portfolio import export_plans
from airflow_provider_achieveit.lake.sinks.iceberg import open_iceberg_sink
from airflow_provider_achieveit.lake.verify import verify
from tests.lake.formats.lakes import IcebergLake, land, problems

if TYPE_CHECKING:
    from pathlib import Path

    from airflow_provider_achieveit.api.client import AchieveItClient
    from airflow_provider_achieveit.lake.sinks.base import Sink


@pytest.fixture
def iceberg(tmp_path: Path) -> IcebergLake:
    """A catalog without tables."""
    pytest.importorskip("pyiceberg", reason="pyiceberg needs pyarrow 18")
    return IcebergLake(tmp_path / "lake")


def test_the_table_is_partitioned_by_label_and_files_can_be_skipped_by_plan(
    iceberg: IcebergLake, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Whole plan ids are in the statistics; and pyiceberg does not warn of columns that have none."""
    plans = ["a0e2ce03-8d0e-4325-9a13-000000000001", "a0e2ce03-8d0e-4325-9a13-000000000002"]
    for plan in plans:
        land(iceberg.sink(), tmp_path, {plan: ["1"]})
    table = iceberg.catalog().load_table("achieveit.plan_items")
    assert [str(field.transform) for field in table.spec().fields] == ["identity"]
    assert len(list(table.scan("snapshot == 'monday'").plan_files())) == 2
    assert len(list(table.scan(f"plan == '{plans[0]}'").plan_files())) == 1
    assert len(list(table.scan("snapshot == 'tuesday'").plan_files())) == 0
    assert [record.message for record in caplog.records if record.levelno >= logging.WARNING] == []


def test_a_replacement_is_one_change_of_the_catalog(iceberg: IcebergLake, tmp_path: Path) -> None:
    """Nobody sees the table without the old rows and without the new ones."""
    land(iceberg.sink(), tmp_path, {"a": ["1"]})
    before = iceberg.commits()
    land(iceberg.sink(), tmp_path, {"a": ["2"]})
    assert iceberg.commits() == before + 1


def test_the_first_tasks_of_a_catalog_make_its_namespace_side_by_side(iceberg: IcebergLake, tmp_path: Path) -> None:
    """A SQL catalog lets through the error of its database where another one was faster."""
    plans = [f"p{number}" for number in range(6)]
    for plan in plans:
        (tmp_path / plan).mkdir()
    sinks = [iceberg.sink() for _ in plans]
    together = threading.Barrier(len(plans))

    def first(sink: Sink, plan: str) -> None:
        together.wait()
        land(sink, tmp_path / plan, {plan: ["1"]})

    with ThreadPoolExecutor(len(plans)) as pool:
        list(pool.map(first, sinks, plans))
    assert sorted(iceberg.table()["plan"].to_pylist()) == plans


def test_a_catalog_that_cannot_be_written_to_says_so(iceberg: IcebergLake, tmp_path: Path) -> None:
    """The reason is the catalog's own, and not that there is no namespace."""
    from pyiceberg.catalog.sql import SqlCatalog

    iceberg.catalog()
    database = iceberg.root / "catalog.db"
    catalog = SqlCatalog(
        "read_only",
        uri=f"sqlite:///file:{database}?mode=ro&uri=true",
        warehouse=str(tmp_path),
        init_catalog_tables="false",
    )
    with pytest.raises(AchieveItStoreError, match="readonly database"):
        land(open_iceberg_sink(iceberg.store(), catalog, "achieveit"), tmp_path, {"a": ["1"]})


def test_a_table_of_another_destination_is_refused(iceberg: IcebergLake, tmp_path: Path) -> None:
    """The manifests of the two would contradict each other; another namespace is another table."""
    land(iceberg.sink(), tmp_path, {"a": ["1"]})
    other = IcebergLake(tmp_path / "other")
    sink = open_iceberg_sink(other.store(), iceberg.catalog(), "achieveit")
    with pytest.raises(AchieveItConfigError, match=rf"belongs to the destination '{iceberg.store()}'"):
        sink.check()
    land(open_iceberg_sink(other.store(), iceberg.catalog(), "another"), tmp_path, {"a": ["1"]})
    assert iceberg.catalog().load_table("another.plan_items").scan().count() == 1


def test_a_table_that_is_not_ours_is_refused(iceberg: IcebergLake, tmp_path: Path) -> None:
    """It was made by somebody else, and has no destination."""
    iceberg.catalog().create_namespace("achieveit")
    iceberg.catalog().create_table("achieveit.plan_items", pa.schema([("id", pa.string())]))
    with pytest.raises(AchieveItConfigError, match="was not made by this provider"):
        iceberg.sink().check()


def test_a_table_with_other_columns_is_refused_and_they_are_named(iceberg: IcebergLake, tmp_path: Path) -> None:
    """Somebody has added one, and dropped another."""
    land(iceberg.sink(), tmp_path, {"a": ["1"]})
    with iceberg.catalog().load_table("achieveit.plan_items").update_schema(allow_incompatible_changes=True) as schema:
        schema.add_column("owner", schema._schema.find_type("status"))
        schema.delete_column("units")
    with pytest.raises(AchieveItConfigError, match=r"unknown are owner int32; missing are units int32"):
        iceberg.sink().check()


def test_a_catalog_that_cannot_be_reached_is_a_store_error_without_its_password(
    iceberg: IcebergLake, tmp_path: Path
) -> None:
    """Before anything is read from the API; and a task may try again."""
    catalog = iceberg.catalog()
    sink = open_iceberg_sink(iceberg.store(), catalog, "achieveit")
    catalog.properties["password"] = "no such table"
    with catalog.engine.begin() as connection:  # type: ignore[attr-defined]
        connection.exec_driver_sql("DROP TABLE iceberg_tables")
    with pytest.raises(AchieveItStoreError, match=r"loading the Iceberg table achieveit\.plan_items failed") as refused:
        sink.check()
    assert "***" in str(refused.value)
    assert "no such table" not in str(refused.value)


def test_rows_that_an_engine_has_mixed_are_read_back_in_order(iceberg: IcebergLake, tmp_path: Path) -> None:
    """Those of two plans lie among each other, and backwards."""
    manifests = land(iceberg.sink(), tmp_path, {"a": ["1", "2", "3"], "b": ["4", "5", "6"]})
    table = iceberg.catalog().load_table("achieveit.plan_items")
    rows = table.scan().to_arrow().sort_by([("position", "descending"), ("plan", "ascending")])
    table.overwrite(rows)
    assert rows["plan"].to_pylist() == ["a", "b"] * 3
    assert [problems(iceberg.sink(), manifest, tmp_path) for manifest in manifests] == [[], []]


def test_a_lake_is_verified_and_stays_whole_when_it_is_compacted(iceberg: IcebergLake, client: AchieveItClient) -> None:
    """Rows that somebody deletes are missed, and those without a manifest are orphans."""
    for label in ("mon", "tue"):
        export_plans(client, iceberg.sink(), ["p1", "one"], snapshot=label)
    assert list(verify(iceberg.sink(), grace=timedelta(0))) == []
    iceberg.compact()
    sink = iceberg.sink()
    assert list(verify(sink, grace=timedelta(0))) == []
    iceberg.catalog().load_table("achieveit.plan_items").delete("plan == 'one' and snapshot == 'tue'")
    (iceberg.root / "_manifests/plan=p1/snapshot=mon.json").unlink()
    found = {(finding.kind, finding.key) for finding in verify(sink, grace=timedelta(0))}
    assert ("problem", table_key("plan_items", "one", "tue")) in found
    assert ("orphan", table_key("plan_items", "p1", "mon")) in found
    assert {key for kind, key in found if kind == "problem"} == {table_key("plan_items", "one", "tue")}
