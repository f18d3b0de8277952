"""The operator's table formats: what is wrong is told when the DAG file is parsed, and no library is imported."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest

from airflow_provider_achieveit.api.errors import AchieveItConfigError
from airflow_provider_achieveit.lake.verify import verify
from airflow_provider_achieveit.operators.achieveit import AchieveItExportOperator
from airflow_provider_achieveit.verify import open_lake
from tests.lake.formats.lakes import GlueLake, IcebergLake, RestLake
from tests.lake.stores import S3Stores
from tests.support.servers import SERVERS

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.operators.conftest import Export
    from tests.support.faulty_sandbox import Sandbox

PLACE = {"task_id": "export", "plan_id": "p1", "destination": "file:///lake"}
#: Hides packages from the import system, as if they were not installed, and makes the operator.
WITHOUT = """
import importlib.abc, sys
class Hidden(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path, target=None):
        if name in {hidden!r}:
            raise ModuleNotFoundError(name)
from airflow_provider_achieveit.operators.achieveit import AchieveItExportOperator
for name in {hidden!r}:
    sys.modules.pop(name, None)
sys.meta_path.insert(0, Hidden())
try:
    AchieveItExportOperator(task_id="export", plan_id="p1", destination="file:///lake", table_format={table_format!r})
except Exception as error:
    print(type(error).__name__, error)
print(sorted({{"deltalake", "pyiceberg", "pyarrow"}} & set(sys.modules)))
"""


def parsed(table_format: str, hidden: list[str], home: Path) -> list[str]:
    """What a new process says that makes the operator."""
    program = WITHOUT.format(hidden=hidden, table_format=table_format)
    environment = {"AIRFLOW_HOME": str(home), "PATH": "/usr/bin:/bin", "HOME": str(home)}
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, env=environment)
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


@pytest.mark.parametrize(
    ("table_format", "hidden"),
    [("delta", "deltalake"), ("iceberg", "pyiceberg"), ("iceberg", "airflow.providers.apache.iceberg")],
)
def test_a_missing_extra_is_named_when_the_file_is_parsed(table_format: str, hidden: str, tmp_path: Path) -> None:
    """With what to install."""
    said, *_ = parsed(table_format, [hidden], tmp_path)
    assert f"needs the package {hidden}: pip install 'airflow-provider-achieveit[{table_format}]'" in said


@pytest.mark.parametrize("table_format", ["parquet", "delta", "iceberg"])
def test_the_operator_loads_neither_library(table_format: str, tmp_path: Path) -> None:
    """Nor pyarrow: a DAG file is parsed every few seconds."""
    assert parsed(table_format, [], tmp_path)[-1] == "[]"


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"table_format": "orc"}, "orc"),
        ({"table_format": "delta", "iceberg_conn_id": "lake"}, "iceberg_conn_id 'lake' is for table_format 'iceberg'"),
        ({"iceberg_namespace": "plans"}, "iceberg_namespace 'plans' is for .* but table_format is 'parquet'"),
    ],
)
def test_arguments_that_do_not_fit_are_refused_when_the_file_is_parsed(given: dict[str, Any], message: str) -> None:
    """Whoever names a catalog expects tables in it."""
    with pytest.raises(AchieveItConfigError, match=message):
        AchieveItExportOperator(**PLACE, **given)


def test_a_template_is_looked_at_when_it_is_rendered() -> None:
    """What it will be is not known before."""
    operator = AchieveItExportOperator(**PLACE, table_format="{{ params.f }}", iceberg_conn_id="lake")
    operator.render_template_fields({"params": {"f": "delta"}})
    with pytest.raises(AchieveItConfigError, match="iceberg_conn_id 'lake' is for table_format 'iceberg'"):
        operator.execute({})


@pytest.fixture(params=["sql", pytest.param("glue", marks=pytest.mark.slow)] if SERVERS is None else ["rest"])
def iceberg(request: pytest.FixtureRequest, tmp_path: Path, iceberg_rest: str | None) -> Iterator[IcebergLake]:
    """Nothing has landed, in a catalog of each kind."""
    if request.param != "glue":
        yield (IcebergLake if request.param == "sql" else RestLake)(tmp_path / "lake")
    else:
        with S3Stores() as aws:
            aws.empty()
            yield GlueLake(tmp_path / "lake", aws)


def test_iceberg_lands_in_the_catalog_of_the_connection(
    export: Export, sandbox: Sandbox, iceberg: IcebergLake, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By Airflow's own provider, and again under the same label; a catalog that is not there costs no request."""
    place = {"table_format": "iceberg", "destination": str(iceberg.root), "iceberg_namespace": "plans"}
    with pytest.raises(AchieveItConfigError, match="no Airflow connection 'iceberg_default'"):
        export(**place).execute({})
    assert sandbox.requests == []
    monkeypatch.setenv("AIRFLOW_CONN_ICEBERG_DEFAULT", iceberg.connection())
    templates = {"iceberg_conn_id": "{{ params.catalog }}", "iceberg_namespace": "{{ params.name }}"}
    operator = export(**place | templates)
    operator.render_template_fields({"params": {"catalog": "iceberg_default", "name": "plans"}})
    manifest = operator.execute({})
    sandbox.plan("p1").delete()
    again = operator.execute({})
    assert again["rows"] == manifest["rows"] - 1
    assert json.loads((iceberg.root / "_manifests/format.json").read_text()) == {"table_format": "iceberg"}
    assert iceberg.catalog().load_table("plans.plan_items").scan().count() == again["rows"]
    assert list(verify(open_lake(str(iceberg.root), iceberg_namespace="plans"))) == []
