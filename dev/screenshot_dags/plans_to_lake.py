"""Export each plan in a task of its own, which the UI names after the plan."""

from airflow.sdk import DAG

from airflow_provider_achieveit.operators.achieveit import AchieveItExportOperator
from airflow_provider_achieveit.sandbox import DEMO_PLANS

with DAG("plans_to_lake", schedule=None, tags=["achieveit"], doc_md=__doc__):
    AchieveItExportOperator.partial(
        task_id="export", destination="s3://strategy/achieveit", destination_conn_id="aws_lake"
    ).expand(plan_id=list(DEMO_PLANS))
