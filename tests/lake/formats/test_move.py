"""From a lake of plain files to a table format: everything arrives, whatever interrupts it, and nothing else."""

from __future__ import annotations

import logging
import re
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import pyarrow.parquet as pq
import pytest
from fsspec.implementations.local import LocalFileSystem

from airflow_provider_achieveit.api.cancellation import Cancellation
from airflow_provider_achieveit.api.errors import AchieveItConfigError
from airflow_provider_achieveit.lake.errors import AchieveItStoreError
from airflow_provider_achieveit.lake.move import move
from airflow_provider_achieveit.lake.options import ExportOptions
from airflow_provider_achieveit.lake.portfolio import export_plans
from airflow_provider_achieveit.lake.schema import SCHEMA_HASH
from airflow_provider_achieveit.lake.sinks.objects import Store
from airflow_provider_achieveit.lake.sinks.parquet import ParquetSink
from airflow_provider_achieveit.lake.verify import verify
from tests.lake.formats.lakes import DeltaLake, Lake, item, items_file, land, snapshot_of
from tests.lake.stores import LocalStores

if TYPE_CHECKING:
    from airflow_provider_achieveit.api.client import AchieveItClient
    from tests.support.faulty_sandbox import Sandbox

DAYS = ("mon", "tue", "wed")


@pytest.fixture
def plain(tmp_path: Path, client: AchieveItClient, sandbox: Sandbox) -> LocalStores:
    """Three days of a plan that is edited and an empty one, with changes and child tables."""
    lake = LocalStores(tmp_path / "plain")
    plan = sandbox.put_plan("p", 10)
    for day in DAYS:
        options = ExportOptions(tables="normalized")
        export_plans(client, lake.sink(), ["p", "empty"], snapshot=day, options=options)
        plan.edit(name=f"edited after {day}")
    return lake


def test_every_snapshot_is_moved_and_the_next_export_goes_on_from_there(
    lake: Lake, plain: LocalStores, client: AchieveItClient
) -> None:
    """The lake verifies without even a note, `latest` is the same, and the changes continue."""
    assert move(plain.sink(), lake.sink()) == 6
    assert list(verify(lake.sink(), grace=timedelta(0))) == []
    for plan_id in ("p", "empty"):
        old, new = plain.sink().latest(plan_id), lake.sink().latest(plan_id)
        assert old is not None
        assert new is not None
        assert {**old, "files": 0, "table_format": 0} == {**new, "files": 0, "table_format": 0}
        assert [file["sha256"] for file in old["files"]] == [file["sha256"] for file in new["files"]]
    assert lake.commits() == len(DAYS)
    report = export_plans(client, lake.sink(), ["p"], snapshot="thu")
    assert report.manifests["p"]["changes"] == {"added": 0, "removed": 0, "changed": 1}
    assert move(plain.sink(), lake.sink()) == 0


def test_what_was_read_first_is_moved_first(
    lake: Lake, plain: LocalStores, client: AchieveItClient, caplog: pytest.LogCaptureFixture
) -> None:
    """Whatever the labels are called: the versions of the tables are in the order of time."""
    export_plans(client, plain.sink(), ["p"], snapshot="a-day-later")
    with caplog.at_level(logging.INFO, "airflow_provider_achieveit.lake.move"):
        move(plain.sink(), lake.sink())
    assert re.findall(r"Snapshot (\S+): (\d of \d) plans", caplog.text) == [
        *((day, "2 of 2") for day in DAYS),
        ("a-day-later", "1 of 1"),
    ]


def test_an_earlier_read_that_is_there_is_replaced(lake: Lake, plain: LocalStores, tmp_path: Path) -> None:
    """Somebody has tried the new lake before, under the same label."""
    land(lake.sink(), tmp_path, {"p": ["another"]}, "mon")
    assert move(plain.sink(), lake.sink()) == 6
    assert list(verify(lake.sink(), grace=timedelta(0))) == []


def test_rows_that_are_not_those_of_the_source_are_found(lake: Lake, plain: LocalStores, tmp_path: Path) -> None:
    """Everything is compared in the end, also what was there before."""
    manifest = plain.sink().landed("p", "mon")
    assert manifest is not None
    other = items_file(tmp_path, "p", [item(f"{number}") for number in range(10)])
    with lake.sink().begin(Cancellation()) as commit:
        commit.add({**manifest, "table_format": lake.sink().format, "files": []}, [other])
        commit.finish()
    with pytest.raises(AchieveItStoreError, match="table plan_items of snapshot mon has other rows in"):
        move(plain.sink(), lake.sink())


class Interrupted(Store):
    """A store that fails from one write on."""

    left = 0

    def swap(self, *args: object) -> None:
        self.left -= 1
        if self.left < 0:
            raise AchieveItStoreError("the store is gone")
        super().swap(*args)  # type: ignore[arg-type]


@pytest.mark.slow
def test_it_goes_on_where_it_was_interrupted(lake: Lake, plain: LocalStores) -> None:
    """At whichever write to the destination: nothing lands twice, and in the end all is there."""
    calls = 0
    for left in range(0, 40, 3):
        sink = lake.sink()
        sink.store = Interrupted(LocalFileSystem(), str(lake.root))
        sink.store.left = left
        calls += 1
        try:
            move(plain.sink(), sink)
        except AchieveItStoreError:
            continue
        break
    assert calls > 2
    assert list(verify(lake.sink(), grace=timedelta(0))) == []
    assert len(list(lake.sink().manifests())) == 6


def test_a_damaged_snapshot_ends_the_move_and_is_named(lake: Lake, plain: LocalStores) -> None:
    """What is moved is what the manifests say, or nothing."""
    key = "plan_items/plan=p/snapshot=tue/plan_items.parquet"
    plain.put(key, b"PAR1 damaged PAR1")
    with pytest.raises(AchieveItStoreError, match=key):
        move(plain.sink(), lake.sink())
    assert {manifest["snapshot"] for manifest in lake.sink().manifests()} == {"mon"}


def test_a_snapshot_with_other_columns_is_refused(lake: Lake, plain: LocalStores, tmp_path: Path) -> None:
    """An older version wrote it: these tables have no room for it."""
    items = items_file(tmp_path, "old", [item("1")])
    table = pq.read_table(items.path).drop_columns(["tags"])
    pq.write_table(table, items.path)
    with plain.sink().begin(Cancellation()) as commit:
        commit.add(snapshot_of(lake.sink(), items, "old", "mon"), [items])
        commit.finish()
    with pytest.raises(AchieveItConfigError, match="other columns"):
        move(plain.sink(), lake.sink())


def test_only_plain_files_are_moved_into_tables(lake: Lake, plain: LocalStores) -> None:
    """Nothing else was asked for, or tried."""
    with pytest.raises(AchieveItConfigError, match="parquet into parquet"):
        move(plain.sink(), ParquetSink(Store(LocalFileSystem(), "/nowhere")))
    with pytest.raises(AchieveItConfigError, match=f"{lake.format} into parquet"):
        move(lake.sink(), plain.sink())


def test_null_lists_are_no_difference_where_the_format_has_none(lake: Lake, plain: LocalStores, tmp_path: Path) -> None:
    """Iceberg's become empty; every other value is compared."""
    items = items_file(tmp_path, "nulls", [item("1", members=None), item("2", members=[])])
    with plain.sink().begin(Cancellation()) as commit:
        commit.add({**snapshot_of(plain.sink(), items, "nulls", "mon"), "schema_hash": SCHEMA_HASH}, [items])
        commit.finish()
    move(plain.sink(), lake.sink())
    assert [finding.what for finding in verify(lake.sink(), grace=timedelta(0)) if finding.kind != "note"] == []


def test_the_code_of_the_documentation_moves_a_lake(
    plain: LocalStores, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """As printed; only the lakes lie elsewhere."""
    pytest.importorskip("airflow", reason="make test-oldest has no Airflow")
    page = (Path(__file__).parents[3] / "docs/table-formats.md").read_text()
    [block] = re.findall(r"```python\n(.*?)```", page, re.DOTALL)
    new = tmp_path / "new"
    block = block.replace("file:///data/achieveit-delta", new.as_uri()).replace("file:///data/achieveit", plain.uri)
    exec(block, {})
    assert capsys.readouterr().out.splitlines()[-1] == "6 snapshots moved"  # Airflow may print its log before
    assert DeltaLake(new).table().num_rows == 10 + 10 + 10
