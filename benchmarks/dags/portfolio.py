"""The same plans in one task, and as mapped tasks: `portfolio.py` starts a run of each."""

import json
import os

from airflow.sdk import DAG

from airflow_provider_achieveit.operators.achieveit import AchieveItExportOperator

PLANS = json.loads(os.environ["BENCH_PLANS"])
LAKE = os.environ["BENCH_LAKE"]

with DAG("one_task", schedule=None):
    AchieveItExportOperator(task_id="export", plan_ids=PLANS, destination=f"{LAKE}/one", tables="normalized")

with DAG("mapped_tasks", schedule=None):
    AchieveItExportOperator.partial(task_id="export", destination=f"{LAKE}/mapped", tables="normalized").expand(
        plan_id=PLANS
    )
