"""Export a plan whenever it changes: an asset watcher starts this DAG, there is no schedule at all.

Every run has a snapshot label of its own, so all states that were seen stay in the lake. An event is not announced
again when its export fails: the retries are what mends that, and a nightly export (docs/change-detection.md) what
catches the rest. Runs as it stands on the sandbox; needs Airflow 3.
"""

from __future__ import annotations

import os
from datetime import timedelta

from airflow.sdk import DAG, Asset, AssetWatcher

from airflow_provider_achieveit.operators.achieveit import AchieveItExportOperator
from airflow_provider_achieveit.triggers.achieveit import AchieveItPlanChangeTrigger

# What a watcher watches is fixed when the DAG is parsed, so neither can be a Param.
PLAN_ID = os.environ.get("ACHIEVEIT_EXAMPLE_PLAN", "3f0a6c1e-52d4-4b8e-9c37-d1f6a2b40e01")
DESTINATION = os.environ.get("ACHIEVEIT_EXAMPLE_LAKE", "file:///tmp/achieveit-lake")
POLL_INTERVAL = float(os.environ.get("ACHIEVEIT_EXAMPLE_POLL_INTERVAL", "60"))

plan = Asset(
    f"achieveit://plans/{PLAN_ID}",
    watchers=[
        AssetWatcher(
            name="plan_change",
            trigger=AchieveItPlanChangeTrigger(plan_id=PLAN_ID, poll_interval=POLL_INTERVAL),
        )
    ],
)

with DAG(
    "achieveit_event_driven",
    schedule=[plan],
    max_active_runs=1,
    default_args={"retries": 5, "retry_delay": timedelta(minutes=2)},
    tags=["achieveit", "example"],
    doc_md=__doc__,
):
    AchieveItExportOperator(
        task_id="export",
        plan_id=PLAN_ID,
        destination=DESTINATION,
        snapshot="%Y-%m-%dT%H%M%SZ",
    )
