"""Whenever plans have landed, load their tables into a warehouse: each plan and label arrives exactly once.

Each load replaces all rows of one plan and label as a whole, so that a second export of a day, a retry, or a run that
comes twice leaves no row twice. docs/warehouses.md says what each warehouse needs, and what of it was run.

Runs as it stands with a local DuckDB (`pip install duckdb`) after an export of the sandbox's plans, such as that of
`achieveit_export`.
"""

from __future__ import annotations

import os
from datetime import datetime, timedelta
from typing import Any

try:
    from airflow.sdk import AssetAlias, dag, task
except ImportError:  # Airflow 2.11
    from airflow.datasets import DatasetAlias as AssetAlias
    from airflow.decorators import dag, task

DESTINATION = os.environ.get("ACHIEVEIT_EXAMPLE_LAKE", "file:///tmp/achieveit-lake")
#: `duckdb`, `snowflake`, `bigquery`, `databricks` or `redshift`.
WAREHOUSE = os.environ.get("ACHIEVEIT_EXAMPLE_WAREHOUSE", "duckdb")
#: The destination as the warehouse calls it: its keys are added. Snowflake takes them from the stage `achieveit.lake`.
LAKE = os.environ.get("ACHIEVEIT_EXAMPLE_WAREHOUSE_LAKE", DESTINATION.removeprefix("file://"))
DATABASE = os.environ.get("ACHIEVEIT_EXAMPLE_DUCKDB", "/tmp/achieveit.duckdb")  # noqa: S108

#: The target tables are in the schema `achieveit`, and have the columns of the files and then `snapshot`, a text.
LOADS = {
    "duckdb": """
create schema if not exists achieveit;
create table if not exists achieveit.{table} as
  select *, '' as snapshot from read_parquet('{lake}/{key}', hive_partitioning=false) limit 0;
begin;
delete from achieveit.{table} where plan_id = '{plan}' and snapshot = '{label}';
insert into achieveit.{table} by name
  select *, '{label}' as snapshot from read_parquet('{lake}/{key}', hive_partitioning=false);
commit;
""",
    "snowflake": """
create or replace temporary table achieveit.landed like achieveit.{table};
copy into achieveit.landed from @achieveit.lake files = ('{key}')
  file_format = (type = parquet use_logical_type = true) match_by_column_name = case_insensitive;
begin;
delete from achieveit.{table} where plan_id = '{plan}' and snapshot = '{label}';
insert into achieveit.{table} select * replace ('{label}' as snapshot) from achieveit.landed;
commit;
""",
    "bigquery": """
load data into temp table landed_{table}
  from files (format = 'PARQUET', enable_list_inference = true, uris = ['{lake}/{key}']);
merge achieveit.{table} as target
  using (select *, '{label}' as snapshot from landed_{table}) as source on false
  when not matched by source and target.plan_id = '{plan}' and target.snapshot = '{label}' then delete
  when not matched by target then insert row;
""",
    "databricks": """
insert into achieveit.{table} replace where plan_id = '{plan}' and snapshot = '{label}'
  select *, '{label}' as snapshot from parquet.`{lake}/{key}`;
""",
    "redshift": """
create temp table landed (like achieveit.{table});
alter table landed drop column "snapshot";
copy landed from '{lake}/{key}' iam_role default format as parquet serializetojson;
begin;
delete from achieveit.{table} where plan_id = '{plan}' and "snapshot" = '{label}';
insert into achieveit.{table} select *, '{label}' from landed;
commit;
drop table landed;
""",
}  # fmt: skip


def statements_of(manifest: Any, warehouse: str, lake: str) -> list[str]:
    """Return the statements that load the tables of a snapshot, each in full: plan and label have no quotes in them."""
    loads = [
        LOADS[warehouse].format(
            table=entry["table"], key=entry["key"], plan=manifest["plan_id"], label=manifest["snapshot"], lake=lake
        )
        for entry in manifest["files"]
    ]
    return [statement.strip() for load in loads for statement in load.split(";\n") if statement.strip()]


@dag(
    schedule=[AssetAlias("achieveit_landed_plans")],  # whichever plan has landed, by whichever export
    start_date=datetime(2026, 1, 1),  # noqa: DTZ001  # Airflow 2.11 wants one, and takes a naive date as UTC
    max_active_runs=1,  # of two loads of one label the later one has to win
    default_args={"retries": 2, "retry_delay": timedelta(minutes=5)},
    tags=["achieveit", "example"],
    doc_md=__doc__,
)
def achieveit_warehouse() -> None:
    @task
    def statements(destination: str, destination_conn_id: str | None = None, **context: Any) -> list[list[str]]:
        """Return the statements for each snapshot that the run's events name; without events, each plan's latest."""
        from airflow_provider_achieveit.verify import open_lake

        lake = open_lake(destination, destination_conn_id)
        landed = context.get("triggering_asset_events") or context.get("triggering_dataset_events") or {}
        extras = [event.extra for asset in landed for event in landed[asset]]
        named = {(extra["plan_id"], extra["snapshot"]) for extra in extras}
        # The lake says what lies there by now: an event can be older than a second export of its label.
        found = [lake.landed(plan_id, label) for plan_id, label in sorted(named)]
        if not named:
            found = [lake.latest(plan_id) for plan_id in sorted({manifest["plan_id"] for manifest in lake.manifests()})]
        return [statements_of(manifest, WAREHOUSE, LAKE) for manifest in found if manifest is not None]

    loads = statements(DESTINATION)

    if WAREHOUSE == "duckdb":

        @task(max_active_tis_per_dagrun=1)  # one process at a time may write into the file
        def load(sql: list[str]) -> None:
            import duckdb

            with duckdb.connect(DATABASE) as connection:
                for statement in sql:
                    connection.execute(statement)

        load.expand(sql=loads)
    elif WAREHOUSE == "bigquery":
        from airflow.providers.google.cloud.operators.bigquery import BigQueryInsertJobOperator

        jobs = loads.map(lambda sql: {"query": {"query": ";\n".join(sql), "useLegacySql": False}})
        BigQueryInsertJobOperator.partial(task_id="load").expand(configuration=jobs)
    else:
        from airflow.providers.common.sql.operators.sql import SQLExecuteQueryOperator

        # The statements of a plan run one after the other on one connection, and begin and end transactions themselves.
        SQLExecuteQueryOperator.partial(
            task_id="load", conn_id=f"{WAREHOUSE}_default", autocommit=True, split_statements=False
        ).expand(sql=loads)


achieveit_warehouse()
