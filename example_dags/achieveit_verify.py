"""Once a week, verify the lake: everything is there and is what the manifests say. The task fails where it is not.

Runs as it stands after an export of the sandbox's plans, such as that of `achieveit_export`.
"""

from __future__ import annotations

import logging
import os
from datetime import datetime

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
    def verify_lake(destination: str, destination_conn_id: str | None = None) -> None:
        from airflow_provider_achieveit.lake.verify import verify
        from airflow_provider_achieveit.verify import open_lake

        findings = list(verify(open_lake(destination, destination_conn_id)))
        for finding in findings:
            log.info("%s: %s %s", finding.kind, finding.key, finding.what)
        wrong = [finding for finding in findings if finding.kind != "note"]
        if wrong:
            raise ValueError(f"{len(wrong)} problems and orphans; the first: {wrong[0].key} {wrong[0].what}")

    verify_lake(DESTINATION)


achieveit_verify()
