"""The provider in the Airflow that is installed. `make matrix` runs these tests on every version that is supported."""

import hashlib
import json
import subprocess
import sys
import time
from pathlib import Path
from typing import Any
from urllib.parse import quote

import airflow
import jsonschema
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from airflow_provider_achieveit import __version__
from airflow_provider_achieveit.get_provider_info import conn_fields, get_provider_info
from tests.airflow.conftest import AIRFLOW_VERSION, BUCKET, EDITED, KEPT, PLAN_URL, PLANS, Stage
from tests.lineage.spec import check_event

# Not in `make test`: `make matrix` has it.
pytestmark = [pytest.mark.e2e, pytest.mark.timeout(600)]

KEPT_SENSORS = {"kept_since", "kept_landed", "kept_content"}
EDITED_SENSORS = {"edited_since", "any_landed"}
# What the UI's form is made of: on Airflow 2 a widget for each field, since Airflow 3 what the API tells the UI.
FORM_PROBES = {
    2: """
import json
from airflow.providers_manager import ProvidersManager
manager = ProvidersManager()
prefix = "extra__achieveit__"
fields = [name.removeprefix(prefix) for name in manager.connection_form_widgets if name.startswith(prefix)]
behaviour = manager.field_behaviours["achieveit"]
print(json.dumps({
    "name": manager.hooks["achieveit"].hook_name, "fields": fields,
    "password": behaviour["relabeling"]["password"], "hidden": behaviour["hidden_fields"],
}))
""",
    3: """
import json
from airflow.api_fastapi.core_api.services.ui.connections import HookMetaService
(meta,) = [meta for meta in HookMetaService.hook_meta_data() if meta.connection_type == "achieveit"]
standard = meta.standard_fields.model_dump(by_alias=False)
print(json.dumps({
    "name": meta.hook_name, "fields": list(meta.extra_fields or ()), "password": standard["password"]["title"],
    "hidden": [name.removeprefix("url_") for name, field in standard.items() if field and field["hidden"]],
}))
""",
}

LINKS_PROBE = """
import json, sys
from airflow.models import TaskInstance
from airflow.models.serialized_dag import SerializedDagModel
from airflow.utils.session import create_session
with create_session() as session:
    dag, found = SerializedDagModel.get_dag("links", session), []
    for instance in session.query(TaskInstance).filter_by(dag_id="links", run_id=sys.argv[1]):
        task = dag.get_task(instance.task_id)
        links = {name: task.get_extra_links(instance, name) or None for name in task.extra_links}
        found.append([instance.task_id, instance.map_index, links])
print(json.dumps(found))
"""


def test_provider_info_keeps_to_the_schema_of_this_airflow() -> None:
    """Each Airflow checks what providers say of themselves against a schema of its own."""
    schema = json.loads((Path(airflow.__file__).parent / "provider_info.schema.json").read_text())
    jsonschema.validate(get_provider_info(), schema)


def test_sensors_and_watchers_live_in_the_triggerer(stage: Stage) -> None:
    """Several at once wait for more than a minute and fire when their plan changes; the triggerer survives them all."""
    stage.wait_for_states("deferred", KEPT_SENSORS | EDITED_SENSORS)
    began, triggerer = time.monotonic(), stage.triggerer()
    if AIRFLOW_VERSION >= (3, 0):
        stage.wait_for_watchers(2)
    stage.let_looks_pass(KEPT, 9)
    stage.let_looks_pass(EDITED, 9)

    stage.sandbox.plan(EDITED).edit(3, name="Grow revenue")
    stage.wait_for_states("success", EDITED_SENSORS)
    if AIRFLOW_VERSION >= (3, 0):
        for name in ("watched", "watched_landed"):
            assert stage.result(name)["plan_ids"] == [EDITED]

    stage.wait_for_age(60, began)
    stage.let_looks_pass(KEPT, 9)
    stage.wait_for_states("deferred", KEPT_SENSORS)
    assert stage.triggerer() == triggerer
    for sign_of_death in ("has died", "out of order", "Traceback"):
        assert sign_of_death not in stage.triggerer_log()

    stage.sandbox.plan(KEPT).edit(3, name="Keep customers")
    results = stage.result("sensors")
    (results["any_landed"],) = results["any_landed"]
    for sensors, plan_id, name in ((KEPT_SENSORS, KEPT, "Keep customers"), (EDITED_SENSORS, EDITED, "Grow revenue")):
        assert {results[sensor]["plan_id"] for sensor in sensors} == {plan_id}
        assert all(f'"{name}"' in results[sensor]["reason"] for sensor in sensors)


def test_export_with_connections_in_the_database(stage: Stage) -> None:
    """A mapped export lands its plans in S3, and its event, with the manifest, starts a run of the consumer."""
    landed = stage.result("landed")
    assert landed["plan_ids"] == [KEPT]
    extra = landed["extras"][-1]
    objects = {
        found["Key"].removeprefix("some/prefix/"): stage.s3.get_object(Bucket=BUCKET, Key=found["Key"])["Body"].read()
        for found in stage.s3.list_objects_v2(Bucket=BUCKET)["Contents"]
    }
    for plan_id, items in PLANS.items():
        check_landed(objects, plan_id, items)
    assert len(objects) == 4 * len(PLANS) + 1, "plan_items, changes, two manifests, and the format of the destination"
    manifest = json.loads(objects[f"_manifests/plan={KEPT}/latest.json"])
    # Before 3.1 Airflow takes no nested values from an alias: they go as JSON text.
    assert {key: value if AIRFLOW_VERSION >= (3, 1) else _decoded(value) for key, value in extra.items()} == manifest
    assert any("take=500" in request.query for request in stage.sandbox.requests), "the URI's extras were not used"


def check_landed(objects: dict[str, bytes], plan_id: str, items: int) -> None:
    """Check that the objects of a lake have a complete export of a plan."""
    manifest = json.loads(objects[f"_manifests/plan={plan_id}/latest.json"])
    assert manifest == json.loads(objects[f"_manifests/plan={plan_id}/snapshot={manifest['snapshot']}.json"])
    assert (manifest["dag_id"], manifest["task_id"]) == ("waiting", "export")
    assert manifest["rows"] == manifest["version"]["total_count"] == items
    parquet = objects[f"plan_items/plan={plan_id}/snapshot={manifest['snapshot']}/plan_items.parquet"]
    assert manifest["files"][0]["sha256"] == hashlib.sha256(parquet).hexdigest()
    ids = pq.read_table(pa.BufferReader(parquet), columns=["id"])["id"].to_pylist()
    assert len(set(ids)) == items


def _decoded(value: Any) -> Any:
    return json.loads(value) if isinstance(value, str) and value[:1] in ("{", "[") else value


def test_links_lead_to_the_plan_and_to_what_landed(stage: Stage) -> None:
    """Of tasks that are mapped, that failed and that were skipped: what there is to show, and nothing else."""
    run_id = stage.wait_for_run("links")
    console = "https://console.aws.amazon.com/s3/buckets/console?prefix=some%2F"
    plan, other = (PLAN_URL.replace("{plan_id}", plan_id) for plan_id in (KEPT, EDITED))
    snapshot = f"plan_items%2Fplan%3D{KEPT}%2Fsnapshot%3Dtoday/"
    expected = {
        ("one", -1): (f"{console}one%2F{snapshot}", plan),
        ("mapped", 0): (f"{console}mapped%2F{snapshot}", plan),
        ("mapped", 1): (f"{console}mapped%2F{snapshot.replace(KEPT, EDITED)}", other),
        ("many", -1): (f"{console}many%2Fplan_items/", None),
        ("some_fail", -1): (f"{console}some%2F{snapshot}", None),
        ("skipped", -1): (None, plan),
        ("refused", -1): (None, plan),
        ("elsewhere", -1): (None, plan),
    }
    if AIRFLOW_VERSION < (3, 0):
        found = links_of_all(stage, run_id)
    else:
        found = {key: links_of(stage, run_id, *key) for key in expected}
    assert {key: (links["Landed snapshot"], links["Plan in AchieveIt"]) for key, links in found.items()} == expected


def links_of(stage: Stage, run_id: str, task_id: str, map_index: int) -> dict[str, str | None]:
    """Return the links of a task as the UI gets them."""
    path = f"dags/links/dagRuns/{quote(run_id, safe='')}/taskInstances/{task_id}/links"
    links: dict[str, str | None] = stage.airflow.api("GET", path, params={"map_index": map_index})["extra_links"]
    return links


def links_of_all(stage: Stage, run_id: str) -> dict[tuple[str, int], dict[str, str | None]]:
    """Return the links of all tasks as the web server of Airflow 2 finds them, whose API asks for a login."""
    done = subprocess.run(
        [sys.executable, "-c", LINKS_PROBE, run_id], env=stage.airflow.environment, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return {(task_id, index): links for task_id, index, links in json.loads(done.stdout.splitlines()[-1])}


def test_lineage_names_the_same_datasets_at_start_and_end(stage: Stage) -> None:
    """In the events of every export: of one plan and of many, landed, skipped and failed; all of them valid."""
    stage.wait_for_run("links")
    ends: dict[str, dict[str, Any]] = {}
    starts = {}
    for event in stage.events():
        check_event(event)
        if event["job"]["name"].startswith("links."):
            (starts if event["eventType"] == "START" else ends)[event["run"]["runId"]] = event
    # Before 3.1 Airflow says nothing of a task that was skipped.
    tasks = sorted(event["job"]["name"].partition(".")[2] for event in ends.values())
    silent = {"skipped"} if AIRFLOW_VERSION < (3, 1) else set()
    every = ["elsewhere", "many", "mapped", "mapped", "one", "refused", "skipped", "some_fail"]
    assert tasks == [task for task in every if task not in silent]
    for run_id, end in ends.items():
        for kind in ("inputs", "outputs"):
            assert names(starts[run_id][kind]) == names(end[kind])
            assert len(set(names(end[kind]))) == len(end[kind]) > 0
        written = [output["outputFacets"]["outputStatistics"]["rowCount"] for output in end["outputs"]]
        assert any(written) == (end["job"]["name"] not in ("links.refused", "links.skipped"))


def names(datasets: list[dict[str, Any]]) -> list[tuple[str, str]]:
    """What an event calls its datasets."""
    return [(dataset["namespace"], dataset["name"]) for dataset in datasets]


def test_provider_is_discovered(stage: Stage) -> None:
    """Airflow lists the provider with its version."""
    rows = json.loads(stage.airflow.cli("providers", "list", "--output", "json"))
    assert {row["package_name"]: row["version"] for row in rows}["airflow-provider-achieveit"] == __version__


def test_connection_form_shows_our_fields(stage: Stage) -> None:
    """The UI's form names the type, asks for an API key, has our fields and hides those without a use."""
    probe = FORM_PROBES[AIRFLOW_VERSION[0]]
    done = subprocess.run(
        [sys.executable, "-c", probe], env=stage.airflow.environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    form = json.loads(done.stdout.splitlines()[-1])
    assert form["name"] == "AchieveIt"
    assert form["password"] == "API key"
    assert set(form["fields"]) == set(conn_fields())
    assert set(form["hidden"]) >= {"login", "schema"}
