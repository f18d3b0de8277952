"""What runs on several machines: a portfolio, mapped exports into one Delta table, deferred sensors, watchers."""

from __future__ import annotations

import os
from datetime import timedelta

from airflow.sdk import DAG, Asset, AssetWatcher

from airflow_provider_achieveit.operators.achieveit import AchieveItExportOperator
from airflow_provider_achieveit.sensors.achieveit import AchieveItPlanChangeSensor
from airflow_provider_achieveit.triggers.achieveit import AchieveItPlanChangeTrigger, plan_ids_of

PLANS = os.environ["DISTRIBUTED_PLANS"].split()
WATCHED = os.environ["DISTRIBUTED_WATCHED"].split()
LAKE = os.environ["DISTRIBUTED_LAKE"]
STORE = {"destination_conn_id": "lake_store"}
ARGUMENTS = {"default_args": {"retries": 4, "retry_delay": timedelta(seconds=1)}, "max_active_runs": 1}

with DAG("portfolio", **ARGUMENTS):
    AchieveItExportOperator(task_id="export", plan_ids=PLANS, destination=f"{LAKE}/portfolio", **STORE)

with DAG("mapped", **ARGUMENTS):
    AchieveItExportOperator.partial(
        task_id="export", destination=f"{LAKE}/mapped", table_format="delta", **STORE
    ).expand(plan_id=PLANS)

with DAG("waiting", **ARGUMENTS):
    for number, plan_id in enumerate(PLANS):
        target = {"destination": f"{LAKE}/portfolio", **STORE}
        wait = AchieveItPlanChangeSensor(
            task_id=f"wait_{number}", plan_id=plan_id, deferrable=True, poke_interval=2, timeout=1200, **target
        )
        export = AchieveItExportOperator(task_id=f"export_{number}", plan_id=plan_id, snapshot="edited", **target)
        wait >> export

watchers = [
    AssetWatcher(name=f"plan_{number}", trigger=AchieveItPlanChangeTrigger(plan_id=plan_id, poll_interval=2))
    for number, plan_id in enumerate(WATCHED)
]
watched = Asset("distributed://watched", watchers=watchers)
# As the event-driven example: Airflow 3.3 starts no run for some of the events that come at the same moment.
with DAG("watching", schedule=[watched], user_defined_macros={"plan_ids_of": plan_ids_of}, **ARGUMENTS):
    target = {"destination": f"{LAKE}/watched", "snapshot": "%Y-%m-%dT%H%M%S%fZ", **STORE}
    named = AchieveItExportOperator(task_id="export", plan_ids="{{ plan_ids_of(triggering_asset_events) }}", **target)
    named >> AchieveItExportOperator(task_id="catch_up", plan_ids=WATCHED, if_unchanged="skip", **target)
