"""The DAG of test_in_airflow.py: sensors in all modes, exports with assets, and what becomes of errors."""

from __future__ import annotations

import json
from datetime import timedelta
from pathlib import Path
from typing import Any

from airflow.sdk import DAG, Asset, Param, task

from airflow_provider_achieveit.hooks.achieveit import AchieveItHook
from airflow_provider_achieveit.operators.achieveit import AchieveItExportOperator
from airflow_provider_achieveit.retry_policy import AchieveItRetryPolicy
from airflow_provider_achieveit.sensors.achieveit import AchieveItPlanChangeSensor

declared = Asset("declared", uri="file:///declared")
partitioned = Asset("partitioned", uri="file:///partitioned")

SENSORS = {
    "poke": {"mode": "poke", "deferrable": False},
    "reschedule": {"mode": "reschedule", "deferrable": False},
    "deferrable": {"deferrable": True},
}

with DAG("in_airflow", params={"destination": Param("", type="string"), "results": Param("", type="string")}):
    sensors = [
        AchieveItPlanChangeSensor(
            task_id=name,
            plan_id=f"plan-{name}",
            destination="{{ params.destination }}",
            poke_interval=0.5,
            timeout=120,
            **arguments,
        )
        for name, arguments in SENSORS.items()
    ]
    export = AchieveItExportOperator.partial(
        task_id="export",
        destination="{{ params.destination }}",
        outlets=[declared],
    ).expand(plan_id=[f"plan-{name}" for name in SENSORS])
    sensors >> export

    @task(outlets=[partitioned])
    def one_partition(manifest: dict[str, Any], outlet_events: Any = None) -> None:
        outlet_events[partitioned].add_partitions(manifest["plan_id"])

    partitions = one_partition.expand(manifest=export.output)

    # Were it not for the policy, it would be tried again in an hour.
    limited = AchieveItExportOperator(
        task_id="limited",
        plan_id="plan-limited",
        destination="{{ params.destination }}",
        retries=1,
        retry_delay=timedelta(hours=1),
    )

    @task(retries=3, retry_policy=AchieveItRetryPolicy())
    def own_task() -> None:
        AchieveItHook().get_plan_version("plan-forbidden")

    refused = AchieveItExportOperator(
        task_id="refused", plan_id="plan-forbidden", destination="{{ params.destination }}", retries=3
    )

    @task(trigger_rule="all_done")
    def collect(ti: Any = None, params: Any = None) -> None:
        values = {name: ti.xcom_pull(task_ids=name) for name in (*SENSORS, "limited")}
        values["export"] = list(ti.xcom_pull(task_ids="export"))
        Path(params["results"]).write_text(json.dumps(values))

    [partitions, limited, own_task(), refused] >> collect()
