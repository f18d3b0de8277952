"""What needs no run of Airflow: names that are made from arguments alone, sizes, and a provider that is not there."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest
from openlineage.client.serde import Serde

from airflow_provider_achieveit._dataset_names import DatasetName, location_name
from airflow_provider_achieveit._lineage import DETAILED_PLANS
from airflow_provider_achieveit.operators.achieveit import AchieveItExportOperator

if TYPE_CHECKING:
    from pathlib import Path

    from tests.support.faulty_sandbox import Sandbox

PLAN = "a0e2ce03-8d0e-4325-9a13-17a8b5936590"


@pytest.fixture(autouse=True)
def connections(sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch) -> None:
    """The sandbox, and catalogs."""
    for name, fields in {
        "achieveit_default": {"conn_type": "achieveit", "host": sandbox.url, "password": sandbox.key},
        "rest": {"conn_type": "iceberg", "host": "https://catalog.example.com/ws/v1/", "login": "id", "password": "pw"},
        "sql": {"conn_type": "iceberg", "extra": {"type": "sql", "uri": "postgresql://me:s3cret@db:5432/cat?x=1"}},
        "glue": {"conn_type": "iceberg", "extra": {"type": "glue"}},
    }.items():
        monkeypatch.setenv(f"AIRFLOW_CONN_{name.upper()}", json.dumps(fields))


def outputs(**arguments: Any) -> list[tuple[str, str]]:
    """What an export says before it has begun that it will write."""
    operator = AchieveItExportOperator(task_id="x", plan_id=PLAN, changes=False, **arguments)
    return [(output.namespace, output.name) for output in operator.get_openlineage_facets_on_start().outputs]


@pytest.mark.parametrize(
    ("destination", "namespace", "root"),
    [
        ("/data/lake", "file", "/data/lake/"),
        ("file:///data/a lake/", "file", "/data/a lake/"),
        ("s3://bucket/some/where", "s3://bucket", "some/where/"),
        ("s3a://conn@bucket/some/where/", "s3://bucket", "some/where/"),
        ("gs://bucket", "gs://bucket", ""),
        ("gcs://bucket/x", "gs://bucket", "x/"),
    ],
)
def test_a_destination_has_one_name_however_it_is_written(destination: str, namespace: str, root: str) -> None:
    """Without a look at the store: neither a connection to it nor its package is needed."""
    assert outputs(destination=destination) == [(namespace, f"{root}plan_items/plan={PLAN}")]
    assert outputs(destination=destination, table_format="delta") == [(namespace, f"{root}plan_items")]


@pytest.mark.parametrize(
    ("conn_id", "namespace"),
    [
        ("rest", "https://catalog.example.com/ws/v1"),
        ("sql", "postgresql://db:5432/cat"),
        ("glue", "iceberg://glue"),
    ],
)
def test_an_iceberg_table_is_named_by_its_catalog_without_credentials(conn_id: str, namespace: str) -> None:
    """Events are read by many."""
    found = outputs(destination="s3://bucket/x", table_format="iceberg", iceberg_conn_id=conn_id, iceberg_namespace="n")
    assert found == [(namespace, "n.plan_items")]


@pytest.mark.parametrize(
    ("location", "name"),
    [
        ("s3://bucket/wh/n/plan_items", ("s3://bucket", "wh/n/plan_items")),
        ("s3a://bucket/wh", ("s3://bucket", "wh")),
        ("gs://bucket/wh", ("gs://bucket", "wh")),
        ("abfss://c@account.dfs.core.windows.net/wh", ("abfss://c@account.dfs.core.windows.net", "wh")),
        ("file:///wh/t", ("file", "/wh/t")),
        ("file:/wh/t", ("file", "/wh/t")),
        ("/wh/t", ("file", "/wh/t")),
    ],
)
def test_a_table_s_place_is_named_as_spark_names_it(location: str, name: tuple[str, str]) -> None:
    """Whatever the catalog makes of the location."""
    assert location_name(location) == DatasetName(*name)


@pytest.mark.slow
def test_an_event_of_many_plans_stays_below_a_megabyte(sandbox: Sandbox, tmp_path: Path) -> None:
    """The limit of Kafka: columns are told for a few plans only."""
    plan_ids = [f"{number:08}-8d0e-4325-9a13-17a8b5936590" for number in range(DETAILED_PLANS + 1)]
    for plan_id in plan_ids:
        sandbox.put_plan(plan_id, 1)
    sizes = []
    for some in (plan_ids[:-1], plan_ids):
        operator = AchieveItExportOperator(
            task_id="x", plan_ids=some, destination=f"{tmp_path}/{len(some)}", tables="normalized"
        )
        operator.execute({})
        found = operator.get_openlineage_facets_on_complete(None)
        datasets = [*found.inputs, *found.outputs]
        sizes.append(len(json.dumps([Serde.to_dict(dataset) for dataset in datasets])))
        assert all(("schema" in (dataset.facets or {})) == (some != plan_ids) for dataset in datasets)
    assert 1_000_000 > sizes[0] > 3 * sizes[1]


@pytest.mark.slow
def test_an_unproven_snapshot_says_so(sandbox: Sandbox, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`on_inconsistent="accept"` publishes it; its ids are not said to be distinct, since nobody knows."""
    connection = {"conn_type": "achieveit", "host": sandbox.url, "password": sandbox.key, "extra": {"page_size": 10}}
    monkeypatch.setenv("AIRFLOW_CONN_ACHIEVEIT_DEFAULT", json.dumps(connection))
    sandbox.before_request = lambda _: sandbox.plan("p1").edit()
    operator = AchieveItExportOperator(
        task_id="x", plan_id="p1", destination=str(tmp_path / "lake"), on_inconsistent="accept"
    )
    operator.execute({})
    (plan,) = operator.get_openlineage_facets_on_complete(None).inputs
    checks = {one.assertion: one.success for one in plan.inputFacets["dataQualityAssertions"].assertions}
    assert checks == {"consistent": False, "row_count": True, "values_fit": True}


@pytest.mark.slow
def test_nothing_of_openlineage_is_needed_or_imported(sandbox: Sandbox, tmp_path: Path) -> None:
    """An export in a process in which none of its packages can be found."""
    program = f"""
import sys

class Nothing:
    def find_spec(self, name, path=None, target=None):
        # Airflow reads the metadata of every provider that is installed.
        ours = name.startswith("airflow.providers.openlineage.") and not name.endswith(".get_provider_info")
        if ours or name.split(".")[0] == "openlineage":
            raise ModuleNotFoundError(name, name=name)

sys.meta_path.insert(0, Nothing())
from airflow_provider_achieveit.operators.achieveit import AchieveItExportOperator

print(AchieveItExportOperator(task_id="x", plan_id="p1", destination={str(tmp_path / "lake")!r}).execute({{}})["rows"])
print([name for name in sys.modules if name.startswith("openlineage") or name.endswith("achieveit._lineage")])
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-2:] == ["25", "[]"]
