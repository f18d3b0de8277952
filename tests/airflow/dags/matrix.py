"""What `make matrix` runs on every supported Airflow: an export, sensors in the triggerer, watchers, and consumers."""

from __future__ import annotations

import json
import os
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

try:
    from airflow.sdk import DAG, Asset, task
except ImportError:  # Airflow 2.11
    from airflow import DAG
    from airflow.datasets import Dataset as Asset
    from airflow.decorators import task
try:
    from airflow.sdk import AssetWatcher
except ImportError:  # Airflow 2.11 has no watchers
    AssetWatcher = None

from airflow_provider_achieveit.operators.achieveit import AchieveItExportOperator
from airflow_provider_achieveit.sensors.achieveit import AchieveItPlanChangeSensor
from airflow_provider_achieveit.triggers.achieveit import AchieveItPlanChangeTrigger, plan_ids_of

KEPT, EDITED = os.environ["MATRIX_PLANS"].split()
LAKE = {"destination": os.environ["MATRIX_LAKE"], "destination_conn_id": "lake_store"}
RESULTS = Path(os.environ["MATRIX_RESULTS"])
START = datetime(2026, 1, 1)  # noqa: DTZ001  # Airflow takes a naive date as UTC
BEFORE_ALL_EDITS = "2026-01-01"

SENSORS: dict[str, dict[str, Any]] = {
    "kept_since": {"plan_id": KEPT, "since": BEFORE_ALL_EDITS},
    "kept_landed": {"plan_id": KEPT, **LAKE},
    "kept_content": {"plan_id": KEPT, **LAKE, "detect": "content"},
    "edited_since": {"plan_id": EDITED, "since": BEFORE_ALL_EDITS},
    "any_landed": {"plan_ids": [KEPT, EDITED], **LAKE},
}


def save(name: str, value: Any) -> None:
    """Leave a result where the test finds it, whole."""
    partial = RESULTS / f"{name}.partial"
    partial.write_text(json.dumps(value))
    partial.replace(RESULTS / f"{name}.json")


@task
def save_events(name: str, **context: Any) -> None:
    events = context.get("triggering_asset_events") or context["triggering_dataset_events"]
    extras = [event.extra for found in events.values() for event in found]
    save(name, {"plan_ids": plan_ids_of(events), "extras": extras})


@task
def save_results(results: dict[str, Any]) -> None:
    save("sensors", results)


# Airflow itself fails a task now and then that is resumed while its scheduler still notes the deferral.
RETRIES = {"retries": 2, "retry_delay": timedelta(seconds=1)}

with DAG("waiting", schedule="@once", start_date=START, catchup=False, default_args=RETRIES):
    export = AchieveItExportOperator.partial(task_id="export", **LAKE).expand(plan_id=[KEPT, EDITED])
    sensors = {
        name: AchieveItPlanChangeSensor(task_id=name, deferrable=True, poke_interval=1, timeout=600, **arguments)
        for name, arguments in SENSORS.items()
    }
    export >> list(sensors.values())
    save_results({name: sensor.output for name, sensor in sensors.items()})

with DAG("consumer", schedule=[Asset(f"{LAKE['destination']}/plan_items/plan={KEPT}")], start_date=START):
    save_events("landed")

WATCHERS: dict[str, dict[str, Any]] = {
    "watched": {"plan_ids": [KEPT, EDITED]},
    "watched_landed": {"plan_id": EDITED, **LAKE},
}

for name, arguments in WATCHERS.items() if AssetWatcher is not None else ():
    trigger = AchieveItPlanChangeTrigger(poll_interval=1, **arguments)
    watched = Asset(f"matrix://{name}", watchers=[AssetWatcher(name=name, trigger=trigger)])
    with DAG(name, schedule=[watched]):
        save_events(name)
