"""Export several plans in one task, every night, and say what has landed.

A plan that fails, such as one with a wrong id, is a warning and stops neither the other plans nor the report: see
`on_plan_failure`. Runs as it stands on the sandbox: the default plan ids are the sandbox's. It needs no logical date.
"""

from __future__ import annotations

import os
from datetime import datetime, timedelta
from typing import Any

try:
    from airflow.sdk import Param, dag, task
except ImportError:  # Airflow 2.11
    from airflow.decorators import dag, task
    from airflow.models.param import Param

from airflow_provider_achieveit.operators.achieveit import AchieveItExportOperator

DESTINATION = os.environ.get("ACHIEVEIT_EXAMPLE_LAKE", "file:///tmp/achieveit-lake")
TABLE_FORMAT = os.environ.get("ACHIEVEIT_EXAMPLE_FORMAT", "parquet")
SANDBOX_PLANS = [
    "3f0a6c1e-52d4-4b8e-9c37-d1f6a2b40e01",
    "8b7d2e94-0c1f-4a63-b5e8-47a9c3d81f02",
    "c5e19a70-6f38-4d2b-8a14-9e0b7d52c603",
]


@dag(
    schedule="@daily",
    start_date=datetime(2026, 1, 1),  # noqa: DTZ001  # Airflow takes a naive date as UTC
    catchup=False,
    max_active_runs=1,
    default_args={"retries": 2, "retry_delay": timedelta(minutes=5)},
    params={
        "plan_ids": Param(SANDBOX_PLANS, type="array", description="Ids of the plans to export"),
        "destination": Param(DESTINATION, type="string", description="file://, s3://, gs://, abfs://"),
    },
    tags=["achieveit", "example"],
    doc_md=__doc__,
)
def achieveit_export() -> None:
    @task
    def report(manifests: list[dict[str, Any]]) -> None:
        for manifest in manifests:
            print(f"{manifest['plan_name']}: {manifest['rows']} items in {manifest['files'][0]['path']}")  # noqa: T201

    export = AchieveItExportOperator(
        task_id="export",
        plan_ids="{{ params.plan_ids }}",
        destination="{{ params.destination }}",
        on_plan_failure="warn",
        table_format=TABLE_FORMAT,
    )
    report(export.output)


achieveit_export()
