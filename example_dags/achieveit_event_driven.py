"""Export plans whenever they change: an asset watcher starts this DAG, there is no schedule at all.

One watcher looks at all plans. Each run exports exactly the plans that its events name; Airflow can fold several events
into one run. Then the run asks for all plans whether they differ from what has landed, with one small request for each,
and exports those that do. That catches up on events for which Airflow starts no run (docs/change-detection.md) and on
runs that failed; the first run lands all plans in this way.

Each export has a snapshot label of its own, so all states that were seen stay in the lake. Runs as it stands on the
sandbox; needs Airflow 3.
"""

from __future__ import annotations

import os
from datetime import timedelta
from typing import Any

from airflow.sdk import DAG, Asset, AssetWatcher, task

from airflow_provider_achieveit.operators.achieveit import AchieveItExportOperator
from airflow_provider_achieveit.triggers.achieveit import AchieveItPlanChangeTrigger, plan_ids_of

SANDBOX_PLANS = [
    "3f0a6c1e-52d4-4b8e-9c37-d1f6a2b40e01",
    "8b7d2e94-0c1f-4a63-b5e8-47a9c3d81f02",
    "c5e19a70-6f38-4d2b-8a14-9e0b7d52c603",
]
# What a watcher watches is fixed when the DAG is parsed, so neither can be a Param.
PLAN_IDS = [text for text in os.environ.get("ACHIEVEIT_EXAMPLE_PLANS", "").split(",") if text] or SANDBOX_PLANS
DESTINATION = os.environ.get("ACHIEVEIT_EXAMPLE_LAKE", "file:///tmp/achieveit-lake")
POLL_INTERVAL = float(os.environ.get("ACHIEVEIT_EXAMPLE_POLL_INTERVAL", "60"))

plans = Asset(
    "achieveit://plans",
    watchers=[
        AssetWatcher(
            name="plan_changes",
            trigger=AchieveItPlanChangeTrigger(plan_ids=PLAN_IDS, poll_interval=POLL_INTERVAL),
        )
    ],
)

with DAG(
    "achieveit_event_driven",
    schedule=[plans],
    max_active_runs=1,
    default_args={"retries": 5, "retry_delay": timedelta(minutes=2)},
    tags=["achieveit", "example"],
    doc_md=__doc__,
):

    @task
    def changed_plans(triggering_asset_events: Any = None) -> list[str]:
        # A run that somebody starts by hand has no events: it exports all plans.
        return plan_ids_of(triggering_asset_events or {}) or PLAN_IDS

    label = "%Y-%m-%dT%H%M%SZ"
    export = AchieveItExportOperator(
        task_id="export", plan_ids=changed_plans(), destination=DESTINATION, snapshot=label
    )
    catch_up = AchieveItExportOperator(
        task_id="catch_up",
        plan_ids=PLAN_IDS,
        destination=DESTINATION,
        snapshot=label,
        if_unchanged="skip",
        trigger_rule="all_done",  # also after an export that failed
    )
    export >> catch_up
