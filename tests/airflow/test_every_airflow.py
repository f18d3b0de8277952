"""The provider in the Airflow that is installed. `make matrix` runs these tests on every version that is supported."""

import hashlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import boto3
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from moto.server import ThreadedMotoServer

from airflow_provider_achieveit import __version__
from airflow_provider_achieveit.get_provider_info import conn_fields
from airflow_provider_achieveit.sandbox import DEMO_PLANS
from tests.airflow.conftest import AIRFLOW_VERSION, Airflow
from tests.support.faulty_sandbox import Sandbox

BUCKET = "lake"
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


@pytest.fixture
def s3() -> Iterator[Any]:
    """An S3 server on the loopback interface, with a bucket; gives a client of it."""
    server = ThreadedMotoServer(port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    keys = {"aws_access_key_id": "someone", "aws_secret_access_key": "secret", "region_name": "eu-west-1"}
    client = boto3.client("s3", endpoint_url=f"http://{host}:{port}", **keys)
    client.create_bucket(Bucket=BUCKET, CreateBucketConfiguration={"LocationConstraint": keys["region_name"]})
    yield client
    server.stop()


def check_landed(objects: dict[str, bytes], run_log: str) -> None:
    """Check that the objects of a lake are complete exports of the sandbox's plans, by one run of the example DAG."""
    for plan_id, items in DEMO_PLANS.items():
        manifest = json.loads(objects[f"_manifests/plan={plan_id}/latest.json"])
        assert manifest == json.loads(objects[f"_manifests/plan={plan_id}/snapshot={manifest['snapshot']}.json"])
        assert manifest["dag_id"] == "achieveit_export"
        assert manifest["task_id"] == "export"
        assert manifest["run_id"] in run_log
        assert manifest["rows"] == manifest["version"]["total_count"] == items
        parquet = objects[f"plan_items/plan={plan_id}/snapshot={manifest['snapshot']}/plan_items.parquet"]
        assert manifest["files"][0]["sha256"] == hashlib.sha256(parquet).hexdigest()
        ids = pq.read_table(pa.BufferReader(parquet), columns=["id"])["id"].to_pylist()
        assert len(set(ids)) == items
    assert len(objects) == 3 * len(DEMO_PLANS)


def test_provider_is_discovered(airflow: Airflow) -> None:
    """Airflow lists the provider with its version."""
    rows = json.loads(airflow.cli("providers", "list", "--output", "json"))
    assert {row["package_name"]: row["version"] for row in rows}["airflow-provider-achieveit"] == __version__


def test_connection_form_shows_our_fields(airflow: Airflow) -> None:
    """The UI's form names the type, asks for an API key, has our fields and hides those without a use."""
    form = airflow.python(FORM_PROBES[AIRFLOW_VERSION[0]])
    assert form["name"] == "AchieveIt"
    assert form["password"] == "API key"
    assert set(form["fields"]) == set(conn_fields())
    assert set(form["hidden"]) >= {"login", "schema"}


def test_export_to_files_with_a_connection_uri(airflow: Airflow, sandbox: Sandbox, tmp_path: Path) -> None:
    """The example DAG lands every plan in a folder; the connection is a URI in the environment."""
    uri = f"achieveit://:{quote(sandbox.key)}@{quote(sandbox.url, safe='')}/?page_size=500"
    log = airflow.test_dag(
        "achieveit_export",
        {"plan_ids": list(DEMO_PLANS), "destination": tmp_path.as_uri()},
        {"achieveit_default": uri},
    )
    objects = {str(p.relative_to(tmp_path)): p.read_bytes() for p in tmp_path.rglob("*") if p.is_file()}
    check_landed(objects, log)
    assert any("take=500" in request.query for request in sandbox.requests), "the URI's extras were not used"


def test_export_to_s3_with_a_connection_in_json(airflow: Airflow, sandbox: Sandbox, s3: Any) -> None:
    """The example DAG lands every plan in S3; both connections are JSON in the environment."""
    connections = {
        "achieveit_default": {
            "conn_type": "achieveit",
            "host": sandbox.url,
            "password": sandbox.key,
            "extra": {"page_size": 500},
        },
        "lake_store": {
            "conn_type": "aws",
            "login": "someone",
            "password": "secret",
            "extra": {"endpoint_url": s3.meta.endpoint_url, "region_name": "eu-west-1"},
        },
    }
    log = airflow.test_dag(
        "achieveit_export",
        {"plan_ids": list(DEMO_PLANS), "destination": f"s3://lake_store@{BUCKET}/some/prefix"},
        {name: json.dumps(connection) for name, connection in connections.items()},
    )
    objects = {
        found["Key"].removeprefix("some/prefix/"): s3.get_object(Bucket=BUCKET, Key=found["Key"])["Body"].read()
        for found in s3.list_objects_v2(Bucket=BUCKET)["Contents"]
    }
    check_landed(objects, log)
    assert any("take=500" in request.query for request in sandbox.requests), "the JSON's extras were not used"
