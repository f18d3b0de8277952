"""The same items give the same file, byte for byte, however they came; and memory does not grow with the plan."""

from __future__ import annotations

import io
import json
import subprocess
import sys
from typing import TYPE_CHECKING

import pyarrow.parquet as pq
import pytest

from airflow_provider_achieveit.hooks.achieveit import AchieveItHook
from airflow_provider_achieveit.lake.layout import PLAN_ITEMS_TABLE, table_key
from airflow_provider_achieveit.lake.schema import SCHEMA_HASH
from airflow_provider_achieveit.lake.table_file import ROW_GROUP
from tests.support.memory import PEAK

if TYPE_CHECKING:
    from collections.abc import Callable

    from airflow_provider_achieveit.operators.achieveit import AchieveItExportOperator
    from tests.lake.stores import LocalStores
    from tests.support.faulty_sandbox import Sandbox

    Export = Callable[..., AchieveItExportOperator]

DATA = table_key(PLAN_ITEMS_TABLE, "p1", "now")


def set_page(monkeypatch: pytest.MonkeyPatch, sandbox: Sandbox, page_size: int, max_concurrency: int) -> None:
    """Let the default connection ask for pages of this size."""
    extra = {"page_size": page_size, "max_concurrency": max_concurrency}
    connection = {"conn_type": "achieveit", "host": sandbox.url, "password": sandbox.key, "extra": extra}
    monkeypatch.setenv("AIRFLOW_CONN_ACHIEVEIT_DEFAULT", json.dumps(connection))


def test_the_page_size_and_the_concurrency_leave_no_trace(
    export: Export, lake: LocalStores, sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    """So the file's SHA-256 can stand for the content."""
    files = set()
    for page_size, max_concurrency in [(2, 1), (3, 4), (7, 4), (24, 1), (25, 4), (1500, 1)]:
        set_page(monkeypatch, sandbox, page_size, max_concurrency)
        manifest = export().execute({})
        files.add(lake.objects()[DATA])
        assert manifest["rows"] == 25
    assert len(files) == 1


def test_a_label_can_be_exported_again_at_once(export: Export, caplog: pytest.LogCaptureFixture) -> None:
    """Objects that are a moment old are no sign of another export that is under way."""
    for _ in range(3):
        export().execute({})
    assert "is writing snapshot" not in caplog.text


def test_row_groups_end_where_the_file_says_and_not_where_a_page_ends(
    export: Export, lake: LocalStores, sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A plan of more than a row group, read in pages of two sizes: equal bytes, row groups of a fixed size, zstd."""
    sandbox.put_plan("p1", ROW_GROUP + 1000)
    files = set()
    for page_size in (1500, 1301):
        set_page(monkeypatch, sandbox, page_size, 4)
        export().execute({})
        files.add(lake.objects()[DATA])
    assert len(files) == 1
    footer = pq.ParquetFile(io.BytesIO(files.pop())).metadata
    assert [footer.row_group(index).num_rows for index in range(footer.num_row_groups)] == [ROW_GROUP, 1000]
    assert {footer.row_group(0).column(index).compression for index in range(footer.num_columns)} == {"ZSTD"}


def test_the_footer_holds_the_plan_id_and_the_schema_hash_and_nothing_volatile(
    export: Export, lake: LocalStores
) -> None:
    """No time, no run, no host: whatever changes from run to run stands in the manifest."""
    export().execute({})
    footer = pq.ParquetFile(io.BytesIO(lake.objects()[DATA])).metadata
    assert footer.metadata[b"achieveit.plan_id"] == b"p1"
    assert footer.metadata[b"achieveit.schema_hash"] == SCHEMA_HASH.encode()
    assert set(footer.metadata) == {b"achieveit.plan_id", b"achieveit.schema_hash", b"ARROW:schema"}


def test_the_hook_s_table_is_the_file_that_an_export_writes(export: Export, lake: LocalStores) -> None:
    """One way to type a plan, whether it lands or is looked at."""
    export().execute({})
    assert AchieveItHook().get_plan_table("p1").equals(pq.read_table(io.BytesIO(lake.objects()[DATA])))


MEASURE = """
import json, os, sys
os.environ["AIRFLOW_CONN_ACHIEVEIT_DEFAULT"] = sys.argv[1]
from airflow_provider_achieveit.operators.achieveit import AchieveItExportOperator
for plan in sys.argv[3:]:
    AchieveItExportOperator(task_id="x", plan_id=plan, destination=sys.argv[2]).execute({})
    print("peak", peak())
"""


@pytest.mark.slow  # it reads a large plan twice
def test_a_plan_four_times_as_large_takes_hardly_more_memory(lake: LocalStores, sandbox: Sandbox) -> None:
    """Peak memory of one process, after 20,000 items and then after 80,000: pages and row groups, not the plan."""
    sandbox.put_plan("small", 20_000)
    sandbox.put_plan("large", 80_000)
    connection = json.dumps({"conn_type": "achieveit", "host": sandbox.url, "password": sandbox.key})
    command = [sys.executable, "-c", PEAK + MEASURE, connection, lake.uri, "small", "large"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=240)
    assert done.returncode == 0, done.stderr
    small, large = (int(line.split()[1]) for line in done.stdout.splitlines() if line.startswith("peak"))
    assert large < small * 1.3
