"""Once a week, remove snapshots older than two years, then verify the lake: the task fails where something is wrong.

The latest snapshot of each plan stays, however old it is.

Runs as it stands after an export of the sandbox's plans, such as that of `achieveit_export`.
"""

from __future__ import annotations

import logging
import os
from datetime import UTC, datetime, timedelta

try:
    from airflow.sdk import dag, task
except ImportError:  # Airflow 2.11
    from airflow.decorators import dag, task

DESTINATION = os.environ.get("ACHIEVEIT_EXAMPLE_LAKE", "file:///tmp/achieveit-lake")

log = logging.getLogger(__name__)


@dag(
    schedule="@weekly",
    start_date=datetime(2026, 1, 1),  # noqa: DTZ001  # Airflow takes a naive date as UTC
    catchup=False,
    tags=["achieveit", "example"],
    doc_md=__doc__,
)
def achieveit_verify() -> None:
    @task
    def remove_old_snapshots(destination: str, destination_conn_id: str | None = None) -> int:
        from airflow_provider_achieveit.lake.prune import prune
        from airflow_provider_achieveit.verify import open_lake

        lake = open_lake(destination, destination_conn_id)
        return sum(1 for _ in prune(lake, older_than=datetime.now(UTC) - timedelta(days=730)))

    @task
    def verify_lake(destination: str, destination_conn_id: str | None = None) -> None:
        from airflow_provider_achieveit.lake.verify import verify
        from airflow_provider_achieveit.verify import open_lake

        findings = list(verify(open_lake(destination, destination_conn_id)))
        for finding in findings:
            log.info("%s: %s %s", finding.kind, finding.key, finding.what)
        wrong = [finding for finding in findings if finding.kind != "note"]
        if wrong:
            raise ValueError(f"{len(wrong)} problems and orphans; the first: {wrong[0].key} {wrong[0].what}")

    remove_old_snapshots(DESTINATION) >> verify_lake(DESTINATION)


achieveit_verify()
