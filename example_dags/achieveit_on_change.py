"""Once a day, wait until any of several plans differs from what is in the lake, and export those that do.

The sensor compares with the lake itself: should the export fail, the next run sees the same change again. Runs as it
stands on the sandbox; the sensor waits in the triggerer, without a worker slot.
"""

from __future__ import annotations

import os
from datetime import datetime, timedelta

try:
    from airflow.sdk import DAG, Param
except ImportError:  # Airflow 2.11
    from airflow import DAG
    from airflow.models.param import Param

from airflow_provider_achieveit.operators.achieveit import AchieveItExportOperator
from airflow_provider_achieveit.sensors.achieveit import AchieveItPlanChangeSensor

SANDBOX_PLANS = [
    "3f0a6c1e-52d4-4b8e-9c37-d1f6a2b40e01",
    "8b7d2e94-0c1f-4a63-b5e8-47a9c3d81f02",
    "c5e19a70-6f38-4d2b-8a14-9e0b7d52c603",
]
DESTINATION = os.environ.get("ACHIEVEIT_EXAMPLE_LAKE", "file:///tmp/achieveit-lake")

with DAG(
    "achieveit_on_change",
    schedule="@daily",
    start_date=datetime(2026, 1, 1),  # noqa: DTZ001  # Airflow takes a naive date as UTC
    catchup=False,
    max_active_runs=1,
    default_args={"retries": 2, "retry_delay": timedelta(minutes=5)},
    params={
        "plan_ids": Param(SANDBOX_PLANS, type="array", description="Ids of the plans to wait for"),
        "destination": Param(DESTINATION, type="string"),
    },
    tags=["achieveit", "example"],
    doc_md=__doc__,
):
    changed = AchieveItPlanChangeSensor(
        task_id="wait_for_change",
        plan_ids="{{ params.plan_ids }}",
        destination="{{ params.destination }}",
        poke_interval=60,
        timeout=timedelta(hours=20),
        soft_fail=True,
        deferrable=True,
    )
    AchieveItExportOperator(
        task_id="export",
        plan_ids=changed.output,  # what the sensor returns is what the operator takes
        destination="{{ params.destination }}",
    )
