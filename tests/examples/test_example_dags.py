"""The example DAGs, as they stand."""

from __future__ import annotations

import ast
import runpy
import subprocess
import sys
from datetime import timedelta
from pathlib import Path

import pytest

from airflow_provider_achieveit.api.client import AchieveItClient
from airflow_provider_achieveit.lake.portfolio import export_plan, export_plans
from airflow_provider_achieveit.sandbox import DEMO_PLANS
from tests.lake.formats.lakes import DeltaLake, IcebergLake, Lake
from tests.lake.stores import LocalStores

FOLDER = Path(__file__).parents[2] / "example_dags"
EXAMPLES = sorted(FOLDER.glob("*.py"))
EXPORTS = [path for path in EXAMPLES if "AchieveItExportOperator" in path.read_text()]


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_the_default_plans_are_the_sandbox_s(path: Path) -> None:
    """Whoever starts the sandbox without options can run every example without changing it."""
    texts = [node.value for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Constant)]
    plan_ids = {text for text in texts if isinstance(text, str) and len(text) == 36 and text.count("-") == 4}
    assert plan_ids <= set(DEMO_PLANS)
    assert plan_ids or path not in EXPORTS


@pytest.mark.parametrize("path", EXPORTS, ids=lambda path: path.stem)
def test_an_example_retries_and_runs_one_at_a_time(path: Path) -> None:
    """An event whose export fails is not announced again, and two runs would write the same snapshot."""
    text = path.read_text()
    assert "max_active_runs=1" in text
    assert '"retries": ' in text


def test_parsing_opens_no_socket_and_loads_no_heavy_library(tmp_path: Path) -> None:
    """DAG files are parsed every few seconds: that must not touch the network, nor import pyarrow or requests."""
    code = f"""
import runpy, socket, sys
import airflow.sdk, airflow.triggers.base
from airflow.sdk import DAG, Asset, AssetWatcher, BaseHook, BaseOperator, BaseSensorOperator, ObjectStoragePath, Param
Asset("s3://bucket/key")  # makes Airflow load the asset handlers of all providers, and what those import
already = set(sys.modules)
def refuse(*args, **kwargs):
    raise AssertionError("a DAG file opened a socket")
socket.socket.connect = socket.create_connection = socket.getaddrinfo = refuse
for path in {[str(path) for path in EXAMPLES]!r}:
    runpy.run_path(path)
    print(path, sorted({{"pyarrow", "requests", "pandas", "starlette"}} & (set(sys.modules) - already)))
"""
    environment = {"AIRFLOW_HOME": str(tmp_path), "PATH": "/usr/bin:/bin", "HOME": str(tmp_path)}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=environment, timeout=120)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-len(EXAMPLES) :] == [f"{path} []" for path in EXAMPLES]


def test_the_lake_is_verified_and_a_damaged_one_fails_the_task(client: AchieveItClient, tmp_path: Path) -> None:
    """The two tasks of `achieveit_verify`, on a lake that is whole and then is not."""
    lake = LocalStores(tmp_path / "lake")
    manifest = export_plan(client, lake.sink(), "p1")
    assert manifest is not None
    dag = runpy.run_path(str(FOLDER / "achieveit_verify.py"))["achieveit_verify"]()
    remove, verify = (dag.get_task(name).python_callable for name in ("remove_old_snapshots", "verify_lake"))
    assert remove(lake.uri) == 0
    verify(lake.uri)
    lake.put(manifest["files"][0]["key"], None)
    with pytest.raises(ValueError, match="is not there"):
        verify(lake.uri)


@pytest.fixture(params=["delta", pytest.param("iceberg", marks=pytest.mark.slow)])
def tables(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Lake:
    """An empty lake in a table format; the catalog of Iceberg is Airflow's connection `iceberg_default`."""
    lake = (DeltaLake if request.param == "delta" else IcebergLake)(tmp_path / "lake")
    if isinstance(lake, IcebergLake):
        monkeypatch.setenv("AIRFLOW_CONN_ICEBERG_DEFAULT", lake.connection())
    return lake


def test_upkeep_writes_files_together_and_leaves_a_lake_that_is_whole(
    tables: Lake, client: AchieveItClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The tasks of `achieveit_upkeep`, on plans that landed one by one under each label, and without waiting a week."""
    for label in ("mon", "tue"):
        for plan in ("p1", "one", "empty", "p1"):
            export_plan(client, tables.sink(), plan, snapshot=label)
    module = runpy.run_path(str(FOLDER / "achieveit_upkeep.py"))
    tidy = module["tidy_delta" if tables.format == "delta" else "tidy_iceberg"]
    rows, files = sorted(tables.ids()), tables.files()
    dag = module["achieveit_upkeep"]()
    before, tidied, after = (
        dag.get_task(f"{name}").python_callable for name in ("verify_before", "tidy_tables", "verify_after")
    )
    for step in (before, tidied, after):
        step(str(tables.root))
    assert sorted(tables.ids()) == rows
    assert len(tables.files()) == 2 < len(files)
    versions = len(tables.stored())
    for table in tables.sink().native_tables():
        tidy(table, timedelta(0))
    if tables.format == "delta":  # pyiceberg forgets versions, and leaves their files to an engine
        assert len(tables.stored()) < versions
    after(str(tables.root))
    report = export_plans(client, tables.sink(), ["p1"], snapshot="wed")
    assert report.manifests["p1"]["changes"] == {"added": 0, "removed": 0, "changed": 0}
