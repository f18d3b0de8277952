"""Every template field of operator and sensor, given in each of the ways that Airflow knows, in a run of a real DAG."""

import json
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest

from airflow_provider_achieveit.sandbox import Sandbox
from dev.processes import clean_environment

pytestmark = pytest.mark.slow

DAGS = ("as_text", "as_native_objects")
GIVEN = {
    "plan_id": "1",  # natively a number
    "watched_plan": "plan-2",
    "destination_conn_id": "lake_store",
    "achieveit_conn_id": "achieveit_other",
    "since": "2020-01-01",
    "snapshot": "given",
    "if_unchanged": "export",
    "on_drift": "rescue",
    "on_inconsistent": "fail",
    "min_rows": 30,
    "max_shrink": 0.5,
    "plan_ids": ["1"],
    "tables": "nested",
    "changes": False,
    "on_plan_failure": "fail",
    "table_format": "parquet",
    "iceberg_conn_id": "iceberg_default",  # another one is refused where no Iceberg table is written
    "iceberg_namespace": "achieveit",
}


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What was saved by a run of each DAG."""
    home = tmp_path_factory.mktemp("airflow")
    with Sandbox({"1": 30, "plan-2": 5}) as sandbox:
        connection = {"conn_type": "achieveit", "host": sandbox.url, "password": sandbox.key}
        environment = clean_environment(
            AIRFLOW_HOME=str(home),
            AIRFLOW__CORE__LOAD_EXAMPLES="False",
            AIRFLOW__CORE__DAGS_FOLDER=str(Path(__file__).parent / "template_dags"),
            AIRFLOW__USAGE_DATA_COLLECTION__ENABLED="False",
            AIRFLOW_CONN_ACHIEVEIT_OTHER=json.dumps(connection),
            AIRFLOW_CONN_LAKE_STORE=json.dumps({"conn_type": "fs"}),
            TEMPLATES_GIVEN=json.dumps({**GIVEN, "destination": (home / "lake").as_uri()}),
            TEMPLATES_RESULTS=str(home),
        )
        commands = [("db", "migrate"), ("dags", "reserialize"), *(("dags", "test", dag) for dag in DAGS)]
        if not version("apache-airflow").startswith("2."):
            del commands[1]  # Airflow 2 does not know the alias of asset events without it
        for command in commands:
            done = subprocess.run(
                [sys.executable, "-m", "airflow", *command], env=environment, cwd=home, capture_output=True, text=True
            )
            assert done.returncode == 0, done.stdout + done.stderr
    return home


@pytest.fixture(params=DAGS)
def result(request: pytest.FixtureRequest, results: Path) -> dict[str, Any]:
    """What the tasks of a DAG returned, and the tasks before each."""
    return {"lake": results / "lake" / request.param, **json.loads((results / f"{request.param}.json").read_text())}


@pytest.mark.parametrize("many", [False, True], ids=["plan_id", "plan_ids"])
@pytest.mark.parametrize("kind", ["output", "map", "param", "jinja"])
def test_an_export_gets_its_arguments(result: dict[str, Any], kind: str, many: bool) -> None:
    """After the task that makes them, into the place and under the label that they say."""
    found = result["found"][f"{kind}_many" if many else kind]
    manifest = found[0] if many else found
    assert manifest["plan_id"] == "1"
    assert manifest["snapshot"] == kind
    [file] = manifest["files"]
    where = result["lake"] / f"plan_items/plan=1/snapshot={kind}/plan_items.parquet"
    assert file["path"] == f"file://{where}"
    assert where.stat().st_size == file["bytes"]


@pytest.mark.parametrize("kind", ["output", "param", "jinja"])
@pytest.mark.parametrize("baseline", ["landed", "since"])
def test_a_sensor_gets_its_arguments(result: dict[str, Any], kind: str, baseline: str) -> None:
    """Compared with a place where nothing has landed, or with a time long ago, the plan has changed."""
    assert result["found"][f"{kind}_{baseline}"]["plan_id"] == "plan-2"


def test_the_outputs_of_tasks_are_edges(result: dict[str, Any]) -> None:
    """Without an edge, a task runs before the one that makes its arguments."""
    edges = result["edges"]
    names = [f"output{suffix}" for suffix in ("", "_many", "_landed", "_since")]
    assert [edges[name] for name in names] == [["values"]] * 4
    assert edges["map"] == edges["map_many"] == ["rows"]
