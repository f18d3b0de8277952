"""Exports of every kind, for the events that Airflow's OpenLineage provider makes of them."""

import os

from airflow.sdk import DAG

from airflow_provider_achieveit.operators.achieveit import AchieveItExportOperator

LAKE = os.environ["ACHIEVEIT_TEST_LAKE"]

with DAG("lineage", default_args={"snapshot": "today"}):
    AchieveItExportOperator(
        task_id="one", plan_id="p1", destination=f"{LAKE}/one", tables="normalized", min_rows=1, max_shrink=0.5
    )
    first = AchieveItExportOperator(task_id="first", plan_id="p1", destination=LAKE)
    again = AchieveItExportOperator(task_id="again", plan_id="p1", destination=LAKE)
    later = AchieveItExportOperator(task_id="later", plan_id="p1", destination=LAKE, snapshot="later")
    skipped = AchieveItExportOperator(task_id="skipped", plan_id="p1", destination=LAKE, if_unchanged="skip")
    first >> again >> later >> skipped

    AchieveItExportOperator(task_id="many", plan_ids="one, empty", destination=LAKE)
    AchieveItExportOperator(
        task_id="some_fail", plan_ids=["p1", "one", "gone"], destination=f"{LAKE}/some", changes=False, min_rows=2
    )
    AchieveItExportOperator(task_id="refused", plan_id="p1", destination=f"{LAKE}/refused", min_rows=1000)
    AchieveItExportOperator(task_id="unreachable", plan_id="p1", destination=LAKE, achieveit_conn_id="achieveit_bad")
    AchieveItExportOperator.partial(task_id="mapped", destination=f"{LAKE}/mapped").expand(plan_id=["p1", "one"])

    AchieveItExportOperator(
        task_id="s3", plan_id="p1", destination="s3://lake-bucket/some/where", destination_conn_id="aws_lake"
    )
    for table_format in ("delta", "iceberg"):
        AchieveItExportOperator(
            task_id=table_format,
            plan_ids=["p1", "one"],
            destination=f"{LAKE}/{table_format}",
            table_format=table_format,
        )
