"""Exports and sensors whose every template field is given in each of the ways that Airflow knows."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

try:
    from airflow.sdk import DAG, task
except ImportError:  # Airflow 2.11
    from airflow import DAG
    from airflow.decorators import task

from airflow_provider_achieveit.operators.achieveit import AchieveItExportOperator
from airflow_provider_achieveit.sensors.achieveit import AchieveItPlanChangeSensor

FIELDS = AchieveItExportOperator.template_fields
#: The fields of an export of one plan, and of one of many.
EXPORTS = {"": set(FIELDS) - {"plan_ids"}, "_many": set(FIELDS) - {"plan_id"}}
GIVEN: dict[str, Any] = json.loads(os.environ["TEMPLATES_GIVEN"])


@task(multiple_outputs=True)
def values(params: Any = None) -> dict[str, Any]:
    return {**params, "snapshot": "output"}


@task
def rows(params: Any = None) -> list[dict[str, Any]]:
    return [{**params, "snapshot": "map"}]


def for_one(row: dict[str, Any]) -> dict[str, Any]:
    return {name: row[name] for name in EXPORTS[""]}


def for_many(row: dict[str, Any]) -> dict[str, Any]:
    return {name: row[name] for name in EXPORTS["_many"]}


@task
def save(names: list[str], edges: dict[str, list[str]], ti: Any = None) -> None:
    found = {name: ti.xcom_pull(task_ids=name, map_indexes=0 if "map" in name else -1) for name in names}
    Path(os.environ["TEMPLATES_RESULTS"], f"{ti.dag_id}.json").write_text(json.dumps({"found": found, "edges": edges}))


for dag_id, native in {"as_text": False, "as_native_objects": True}.items():
    params = {**GIVEN, "destination": f"{GIVEN['destination']}/{dag_id}"}
    with DAG(dag_id, schedule=None, params=params, render_template_as_native_obj=native) as dag:
        made = values()
        sources: dict[str, Any] = {
            "output": lambda name, made=made: made[name],
            "param": lambda name, dag=dag: "param" if name == "snapshot" else dag.param(name),
            "jinja": lambda name: "{{ run_id[:0] }}jinja" if name == "snapshot" else f"{{{{ params.{name} }}}}",
        }
        tasks: dict[str, Any] = {}
        for kind, source in sources.items():
            landed = [name for name in AchieveItPlanChangeSensor.template_fields if name in EXPORTS[""] - {"plan_id"}]
            for baseline, names in {"landed": landed, "since": ["since", "achieveit_conn_id"]}.items():
                arguments = {name: source(name) for name in names}
                task_id = f"{kind}_{baseline}"
                tasks[task_id] = AchieveItPlanChangeSensor(
                    task_id=task_id, plan_id=source("watched_plan"), timeout=60, **arguments
                )
            for suffix, names in EXPORTS.items():
                arguments = {name: source(name) for name in names}
                tasks[kind + suffix] = AchieveItExportOperator(task_id=kind + suffix, **arguments)
        listed = rows()
        for task_id, arguments in {"map": listed.map(for_one), "map_many": listed.map(for_many)}.items():
            tasks[task_id] = AchieveItExportOperator.partial(task_id=task_id).expand_kwargs(arguments)
        edges = {name: sorted(one.upstream_task_ids) for name, one in tasks.items()}
        list(tasks.values()) >> save(list(tasks), edges)
