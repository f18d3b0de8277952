"""Exports whose links and lineage the tests look at; the store is called as the real one is."""

from __future__ import annotations

import os
from datetime import datetime

try:
    from airflow.sdk import DAG
except ImportError:  # Airflow 2.11
    from airflow import DAG

from airflow_provider_achieveit.operators.achieveit import AchieveItExportOperator

KEPT, EDITED = os.environ["MATRIX_PLANS"].split()
LAKE = "s3://console/some"
ARGUMENTS = {"destination_conn_id": "real_store", "snapshot": "today"}

with DAG(
    "links",
    schedule="@once",
    start_date=datetime(2026, 1, 1),  # noqa: DTZ001  # Airflow takes a naive date as UTC
    catchup=False,
    default_args=ARGUMENTS,
):
    one = AchieveItExportOperator(task_id="one", plan_id=KEPT, destination=f"{LAKE}/one")
    one >> AchieveItExportOperator(task_id="skipped", plan_id=KEPT, destination=f"{LAKE}/one", if_unchanged="skip")
    AchieveItExportOperator.partial(task_id="mapped", destination=f"{LAKE}/mapped").expand(plan_id=[KEPT, EDITED])
    AchieveItExportOperator(task_id="many", plan_ids=[KEPT, EDITED], destination=f"{LAKE}/many")
    AchieveItExportOperator(task_id="some_fail", plan_ids=[KEPT, EDITED], destination=f"{LAKE}/some", min_rows=100)
    AchieveItExportOperator(task_id="refused", plan_id=KEPT, destination=f"{LAKE}/refused", min_rows=10_000)
    AchieveItExportOperator(
        task_id="elsewhere",
        plan_id=KEPT,
        destination=f"{LAKE}/elsewhere",
        destination_conn_id="lake_store",
    )
