"""Once a week, write the small files of a lake in Delta Lake or Iceberg together, and take old table versions away.

The lake is verified before and after. Where one task exports all plans, each label is one file already; there is more
to do where many tasks export a plan each. Old versions stay a week, for readers that have begun. Plain files stay as
they are.

Runs as it stands on a lake in Delta Lake, such as `achieveit_export` makes with `ACHIEVEIT_EXAMPLE_FORMAT=delta`.
"""

from __future__ import annotations

import logging
import os
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

try:
    from airflow.sdk import dag, task
except ImportError:  # Airflow 2.11
    from airflow.decorators import dag, task

if TYPE_CHECKING:
    from deltalake import DeltaTable
    from pyiceberg.table import Table

DESTINATION = os.environ.get("ACHIEVEIT_EXAMPLE_LAKE", "file:///tmp/achieveit-lake")
KEPT = timedelta(days=7)

log = logging.getLogger(__name__)


def tidy_delta(table: DeltaTable, kept: timedelta = KEPT) -> None:
    compacted = table.optimize.compact()
    table.create_checkpoint()
    hours = int(kept / timedelta(hours=1))
    gone = table.vacuum(hours, dry_run=False, enforce_retention_duration=False)
    log.info("%s: %s; %d files of old versions are gone", table.table_uri, compacted, len(gone))


def tidy_iceberg(table: Table, kept: timedelta = KEPT) -> None:
    from pyiceberg.expressions import EqualTo

    files: dict[str, int] = {}
    for file in table.scan().plan_files():
        label = file.file.partition[0]
        files[label] = files.get(label, 0) + 1
    for label in [label for label, number in files.items() if number > 1]:
        of_label = EqualTo("snapshot", label)
        table.overwrite(table.scan(of_label).to_arrow(), of_label)  # one label is in memory at a time
    table.maintenance.expire_snapshots().older_than(datetime.now(UTC) - kept).commit()
    log.info("%s: %d files of %d labels were written together", table.name(), sum(files.values()), len(files))


@dag(
    schedule="@weekly",
    start_date=datetime(2026, 1, 1),  # noqa: DTZ001  # Airflow takes a naive date as UTC
    catchup=False,
    max_active_runs=1,
    tags=["achieveit", "example"],
    doc_md=__doc__,
)
def achieveit_upkeep() -> None:
    @task
    def verify_lake(destination: str, destination_conn_id: str | None = None) -> None:
        from airflow_provider_achieveit.lake.verify import verify
        from airflow_provider_achieveit.verify import open_lake

        for finding in verify(open_lake(destination, destination_conn_id)):
            if finding.kind != "note":
                raise ValueError(f"{finding.kind}: {finding.key} {finding.what}")

    @task
    def tidy_tables(destination: str, destination_conn_id: str | None = None) -> None:
        from airflow_provider_achieveit.lake.sinks.table_sink import TableSink
        from airflow_provider_achieveit.verify import open_lake

        lake = open_lake(destination, destination_conn_id)
        for table in lake.native_tables() if isinstance(lake, TableSink) else []:
            (tidy_delta if lake.format == "delta" else tidy_iceberg)(table)

    before = verify_lake.override(task_id="verify_before")(DESTINATION)
    after = verify_lake.override(task_id="verify_after")(DESTINATION)
    before >> tidy_tables(DESTINATION) >> after


achieveit_upkeep()
