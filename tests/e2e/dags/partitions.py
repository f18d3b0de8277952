"""The DAGs of test_partitions.py: what docs/assets.md shows, for plans of a sandbox."""

import os

from airflow.sdk import DAG, Asset, PartitionedAssetTimetable, task

from airflow_provider_achieveit.operators.achieveit import AchieveItExportOperator

plans = Asset("achieveit_plans")

with DAG("export_partitions"):
    export = AchieveItExportOperator.partial(
        task_id="export", destination=f"{os.environ['ACHIEVEIT_EXAMPLE_LAKE']}/partitions"
    ).expand(plan_id=os.environ["ACHIEVEIT_TEST_PLANS"].split())

    @task(outlets=[plans])
    def one_partition(manifest, outlet_events=None):
        outlet_events[plans].add_partitions(manifest["plan_id"])

    one_partition.expand(manifest=export.output)

with DAG("each_partition", schedule=PartitionedAssetTimetable(assets=plans)):

    @task
    def show(dag_run=None):
        return dag_run.partition_key

    show()
