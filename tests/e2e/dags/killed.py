"""The DAG of test_task_kill.py: an export of one plan, under a label of its own."""

import os

from airflow.sdk import DAG

from airflow_provider_achieveit.operators.achieveit import AchieveItExportOperator

with DAG("killed_export", default_args={"retries": 5}):
    AchieveItExportOperator(
        task_id="export",
        plan_id=os.environ["ACHIEVEIT_EXAMPLE_PLAN"],
        destination=os.environ["ACHIEVEIT_EXAMPLE_LAKE"],
        snapshot="%Y-%m-%dT%H%M%SZ",
    )
