"""A lake with all that readers stumble over, for the tests of DuckDB, Polars, pandas, pyarrow and Spark."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from fsspec.implementations.local import LocalFileSystem

from airflow_provider_achieveit.api.client import AchieveItClient
from airflow_provider_achieveit.api.settings import ClientSettings
from airflow_provider_achieveit.lake.layout import STAGING_PREFIX
from airflow_provider_achieveit.lake.options import ExportOptions
from airflow_provider_achieveit.lake.portfolio import export_plan
from airflow_provider_achieveit.lake.sinks.objects import Store
from airflow_provider_achieveit.lake.sinks.parquet import ParquetSink
from tests.support.faulty_sandbox import Sandbox

if TYPE_CHECKING:
    from pathlib import Path

ODD = 'naïve 🎯 "quotes", commas;\ttabs\nand lines &amp; ' + "x" * 10_000
LARGEST = "99999999999999999999999999999.999999999"
LABELS = ("2026-11-23", "2026-11-24T100203Z")
#: The index of the item that is odd in every way, and what it holds.
ODD_ITEM = 3
ODD_VALUES: dict[str, Any] = {
    "name": ODD,
    "start": "0001-01-01T00:00:00Z",
    "due": "9999-12-31T23:59:59.999999Z",
    "created": "1582-10-10T12:00:00Z",  # a day that the Gregorian calendar left out where it began
    "baseline": LARGEST,
    "target": "-" + LARGEST,
    "currentValue": "0.000000001",
    "members": None,
    "tags": [],
    "status": "late",  # no whole number: rescued
}
CHECKLIST = {
    "id": "c",
    "name": ODD,
    "sortIndex": 0,
    "items": [
        {"id": "done", "name": "", "sortIndex": 0, "doneOn": "0001-01-01T00:00:00Z"},
        {"id": "open", "name": "open", "sortIndex": 1, "doneOn": None},
    ],
}

GOAL = {"goalId": "g", "goalName": ODD, "goalColor": "#fff", "metricBucketValue": 1e-300, "sortOrder": 2**31 - 1}


def make_readable_lake(root: Path) -> Path:
    """Land two labels of a plan of ten items, `p`, one of the plan `empty`, and what a killed export leaves.

    The second label was read after an edit of the item that is odd in every way.
    """
    sink = ParquetSink(Store(LocalFileSystem(), str(root)))
    options = ExportOptions(tables="normalized")
    with Sandbox({"p": 10, "empty": 0}) as sandbox:
        client = AchieveItClient(sandbox.key, ClientSettings(base_url=sandbox.url))
        plan = sandbox.plan("p")
        plan.patch(ODD_ITEM, **ODD_VALUES, checklists=[CHECKLIST], advancedMetricGoals=[GOAL])
        assert export_plan(client, sink, "p", snapshot=LABELS[0], options=options) is not None
        plan.patch(ODD_ITEM, description=ODD)
        assert export_plan(client, sink, "p", snapshot=LABELS[1], options=options) is not None
        assert export_plan(client, sink, "empty", snapshot=LABELS[0], options=options) is not None
        client.close()
    leftover = root / f"{STAGING_PREFIX}killed"
    leftover.mkdir(parents=True)
    (leftover / "0").write_bytes(b"half a Parquet file")
    return root
