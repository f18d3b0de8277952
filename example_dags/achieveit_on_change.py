"""Once a day, wait until a plan differs from what is in the lake, and export it then.

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

DESTINATION = os.environ.get("ACHIEVEIT_EXAMPLE_LAKE", "file:///tmp/achieveit-lake")

with DAG(
    "achieveit_on_change",
    schedule="@daily",
    start_date=datetime(2026, 1, 1),  # noqa: DTZ001  # Airflow takes a naive date as UTC
    catchup=False,
    max_active_runs=1,
    default_args={"retries": 2, "retry_delay": timedelta(minutes=5)},
    params={
        "plan_id": Param("3f0a6c1e-52d4-4b8e-9c37-d1f6a2b40e01", type="string"),
        "destination": Param(DESTINATION, type="string"),
    },
    tags=["achieveit", "example"],
    doc_md=__doc__,
):
    changed = AchieveItPlanChangeSensor(
        task_id="wait_for_change",
        plan_id="{{ params.plan_id }}",
        destination="{{ params.destination }}",
        poke_interval=60,
        timeout=timedelta(hours=20),
        soft_fail=True,
        deferrable=True,
    )
    export = AchieveItExportOperator(
        task_id="export",
        plan_id="{{ params.plan_id }}",
        destination="{{ params.destination }}",
    )
    changed >> export
