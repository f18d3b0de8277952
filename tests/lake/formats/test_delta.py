"""What is Delta Lake's alone."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING

import pyarrow as pa
import pytest
from deltalake import DeltaTable, write_deltalake
from fsspec.implementations.memory import MemoryFileSystem

from airflow_provider_achieveit.api.errors import AchieveItConfigError
from airflow_provider_achieveit.lake.errors import AchieveItStoreError
from airflow_provider_achieveit.lake.sinks.delta import open_delta_sink
from airflow_provider_achieveit.lake.sinks.objects import Store
from tests.lake.formats.lakes import DeltaLake, land

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def delta(tmp_path: Path) -> DeltaLake:
    """A Delta lake in which nothing has landed."""
    return DeltaLake(tmp_path / "lake")


def test_tables_are_partitioned_by_label_and_files_can_be_skipped_by_plan(delta: DeltaLake, tmp_path: Path) -> None:
    """So whoever asks for a day, or replaces a plan, reads few files."""
    land(delta.sink(), tmp_path, {"a": ["1", "2"], "c": ["3"]})
    land(delta.sink(), tmp_path, {"b": ["1"]})
    table = DeltaTable(str(delta.root / "plan_items"))
    assert table.metadata().partition_columns == ["snapshot"]
    actions = pa.table(table.get_add_actions(flatten=True)).sort_by("min.plan").to_pylist()
    assert [(action["min.plan"], action["max.plan"], action["num_records"]) for action in actions] == [
        ("a", "c", 3),
        ("b", "b", 1),
    ]
    assert table.to_pyarrow_dataset().count_rows(filter=pa.compute.field("position") == 1) == 1


def test_a_table_with_other_columns_is_refused_and_they_are_named(delta: DeltaLake, tmp_path: Path) -> None:
    """Before anything is read from the API."""
    write_deltalake(str(delta.root / "plan_items"), pa.table({"id": ["1"], "owner": [1]}))
    with pytest.raises(AchieveItConfigError, match=r"unknown are owner int64; missing are .*status int32"):
        delta.sink().check()
    with pytest.raises(AchieveItConfigError, match="owner"):
        land(delta.sink(), tmp_path, {"a": ["1"]})


def test_a_table_of_deletion_vectors_is_refused(delta: DeltaLake, tmp_path: Path) -> None:
    """Its rows are not all those of its files, so copying a file would bring deleted rows back."""
    land(delta.sink(), tmp_path, {"a": ["1"]})
    table = DeltaTable(str(delta.root / "plan_items"))
    from deltalake import TableFeatures

    table.alter.add_feature(TableFeatures.DeletionVectors, allow_protocol_versions_increase=True)
    with pytest.raises(AchieveItStoreError, match="deletionVectors"):
        land(delta.sink(), tmp_path, {"a": ["2"]})


def test_stores_that_deltalake_cannot_write_to_are_refused_at_once() -> None:
    """The message says which ones it can."""
    with pytest.raises(AchieveItConfigError, match=r"file://, s3:// and abfs://"):
        open_delta_sink(Store(MemoryFileSystem(), "lake"))


def test_without_the_package_the_error_says_what_to_install() -> None:
    """And nothing is asked of any server before."""
    program = """
import sys
sys.modules["deltalake"] = None
from fsspec.implementations.local import LocalFileSystem
from airflow_provider_achieveit.lake.sinks.delta import open_delta_sink
from airflow_provider_achieveit.lake.sinks.objects import Store
open_delta_sink(Store(LocalFileSystem(), "/nowhere"))
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert 'pip install "airflow-provider-achieveit[delta]"' in done.stderr
