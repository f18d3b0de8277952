"""Whenever a plan has landed, read it back from the lake and log how many items of each status every owner has.

Scheduled on the asset that the export emits: `<destination>/plan_items/plan=<plan id>`. The event carries the manifest,
so the report knows which file is meant. Runs as it stands on the sandbox; needs Airflow 3.
"""

from __future__ import annotations

import logging
import os
from collections import Counter
from datetime import timedelta
from typing import Any

from airflow.sdk import Asset, ObjectStoragePath, dag, task

PLAN_ID = os.environ.get("ACHIEVEIT_EXAMPLE_PLAN", "3f0a6c1e-52d4-4b8e-9c37-d1f6a2b40e01")
DESTINATION = os.environ.get("ACHIEVEIT_EXAMPLE_LAKE", "file:///tmp/achieveit-lake")

landed = Asset(f"{DESTINATION}/plan_items/plan={PLAN_ID}")
log = logging.getLogger(__name__)


@dag(
    schedule=[landed],
    max_active_runs=1,
    default_args={"retries": 2, "retry_delay": timedelta(minutes=5)},
    tags=["achieveit", "example"],
    doc_md=__doc__,
)
def achieveit_report() -> None:
    @task
    def status_by_owner(triggering_asset_events: Any = None) -> dict[str, int]:
        import pyarrow.parquet as pq

        manifest = triggering_asset_events[landed][-1].extra
        path = ObjectStoragePath(manifest["files"][0]["path"])
        with path.open("rb") as file:
            table = pq.read_table(file, columns=["assigned_to_full_name", "status_name"])
        counts = Counter((row["assigned_to_full_name"] or "nobody", row["status_name"]) for row in table.to_pylist())
        for (owner, status), count in sorted(counts.items()):
            log.info("%-30s %-15s %5d", owner, status, count)
        return {f"{owner} / {status}": count for (owner, status), count in sorted(counts.items())}

    status_by_owner()


achieveit_report()
