"""The example `achieveit_warehouse`: its SQL, and that a second export of a day arrives exactly once."""

from __future__ import annotations

import json
import re
import runpy
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import duckdb
import pytest
import sqlglot

from airflow_provider_achieveit.lake.options import ExportOptions
from airflow_provider_achieveit.lake.portfolio import export_plan
from dev.processes import clean_environment
from tests.lake.stores import LocalStores
from tests.support.airflow import Airflow

if TYPE_CHECKING:
    from collections.abc import Callable

    from airflow_provider_achieveit.api.client import AchieveItClient
    from tests.support.faulty_sandbox import Sandbox

EXAMPLE = Path(__file__).parents[2] / "example_dags" / "achieveit_warehouse.py"
SNAPSHOTS = Path(__file__).parent / "warehouse"
#: What the warehouse calls the lake; Snowflake has a stage.
LAKES = {
    "bigquery": "gs://lake/achieveit",
    "databricks": "abfss://lake@account.dfs.core.windows.net/achieveit",
    "redshift": "s3://lake/achieveit",
    "snowflake": "",
    "duckdb": "/data/lake",
}
MANIFEST = {
    "plan_id": "a0e2ce03-8d0e-4325-9a13-17a8b5936590",
    "snapshot": "2026-11-23",
    "files": [
        {
            "table": table,
            "key": f"{table}/plan=a0e2ce03-8d0e-4325-9a13-17a8b5936590/snapshot=2026-11-23/{table}.parquet",
        }
        for table in ("plan_items", "plan_item_changes")
    ],
}


@pytest.fixture(scope="module")
def example() -> dict[str, Any]:
    """The names of the example's module."""
    return runpy.run_path(str(EXAMPLE))


def test_the_load_that_the_docs_show_is_that_of_the_example(example: dict[str, Any]) -> None:
    """Without the statements that make the table, and with dots for what depends on the snapshot."""
    [shown] = re.findall(r"```sql\n(.*?)```", (EXAMPLE.parents[1] / "docs/warehouses.md").read_text(), re.DOTALL)
    dots = {"lake": "…", "plan": "…", "label": "…"}
    load = example["LOADS"]["duckdb"].format(table="plan_items", key="plan_items.parquet", **dots)
    assert shown == load[load.index("begin;") :]


@pytest.mark.parametrize("warehouse", LAKES)
def test_the_statements_are_those_that_were_looked_at(example: dict[str, Any], warehouse: str) -> None:
    """Whoever changes them looks at them again, in tests/examples/warehouse: only DuckDB's are run by a test."""
    statements = example["statements_of"](MANIFEST, warehouse, LAKES[warehouse])
    assert "".join(f"{statement};\n" for statement in statements) == (SNAPSHOTS / f"{warehouse}.sql").read_text()
    assert set(example["LOADS"]) == set(LAKES)


@pytest.mark.parametrize("warehouse", ["databricks", "duckdb", "redshift", "snowflake"])
def test_the_statements_can_be_parsed(warehouse: str) -> None:
    """As the dialect of the warehouse; sqlglot does not know BigQuery's LOAD DATA."""
    parsed = sqlglot.parse((SNAPSHOTS / f"{warehouse}.sql").read_text(), dialect=warehouse)
    assert {statement.key for statement in parsed if statement} & {"insert"}


class Warehouse:
    """A DuckDB into which snapshots of a lake are loaded by the example's statements."""

    def __init__(self, example: dict[str, Any], lake: LocalStores) -> None:
        self._example, self._lake = example, lake
        self.connection = duckdb.connect()

    def load(self, manifest: Any) -> None:
        for statement in self._example["statements_of"](manifest, "duckdb", str(self._lake.root)):
            self.connection.execute(statement)

    def rows(self, table: str) -> list[Any]:
        return sorted(self.connection.execute(f"select * from achieveit.{table}").fetchall(), key=repr)

    def landed(self, table: str) -> list[Any]:
        """What the lake has, as one would read it without a warehouse."""
        files = f"{self._lake.root}/{table}/*/*/{table}.parquet"
        query = f"select * exclude plan from read_parquet('{files}', hive_partitioning=true, hive_types_autocast=false)"
        return sorted(self.connection.execute(query).fetchall(), key=repr)


@pytest.fixture
def lake(tmp_path: Path) -> LocalStores:
    """An empty destination."""
    return LocalStores(tmp_path / "lake")


@pytest.fixture
def export(client: AchieveItClient, lake: LocalStores) -> Callable[..., Any]:
    """Lands a plan as a task would."""

    def export(plan_id: str, label: str) -> Any:
        return export_plan(client, lake.sink(), plan_id, snapshot=label, options=ExportOptions())

    return export


def test_a_second_export_of_a_day_arrives_exactly_once(
    example: dict[str, Any], lake: LocalStores, export: Callable[..., Any], sandbox: Sandbox
) -> None:
    """Its rows replace those of the first, and nothing else; a load that comes twice changes nothing."""
    warehouse, plan = Warehouse(example, lake), sandbox.plans["p1"]
    for plan_id, label in (("p1", "2026-11-22"), ("one", "2026-11-23"), ("p1", "2026-11-23")):
        warehouse.load(export(plan_id, label))
        plan.edit(name=f"edited after {label} of {plan_id}")
    assert len(warehouse.rows("plan_items")) == 25 + 1 + 25
    plan.delete()
    plan.insert()
    second = export("p1", "2026-11-23")
    for _ in range(2):
        warehouse.load(second)
        for table in ("plan_items", "plan_item_changes"):
            assert warehouse.rows(table) == warehouse.landed(table)
    assert len(warehouse.rows("plan_items")) == 25 + 1 + 25


def test_a_load_that_fails_leaves_what_was_there(
    example: dict[str, Any], lake: LocalStores, export: Callable[..., Any], sandbox: Sandbox
) -> None:
    """The file is gone between the delete and the insert: the transaction ends with the connection."""
    warehouse = Warehouse(example, lake)
    warehouse.load(export("p1", "2026-11-23"))
    before = warehouse.rows("plan_items")
    statements = example["statements_of"](export("p1", "2026-11-23"), "duckdb", str(lake.root))
    *until_deleted, insert, _ = statements[: statements.index("commit") + 1]
    for statement in until_deleted:
        warehouse.connection.execute(statement)
    lake.put("plan_items/plan=p1/snapshot=2026-11-23/plan_items.parquet", None)
    with pytest.raises(duckdb.IOException):
        warehouse.connection.execute(insert)
    assert until_deleted[-1].startswith("delete")
    warehouse.connection.execute("rollback")
    assert warehouse.rows("plan_items") == before


def test_the_run_s_events_say_what_is_loaded(
    example: dict[str, Any], lake: LocalStores, export: Callable[..., Any]
) -> None:
    """Each plan and label once, and as it is in the lake by now; without events each plan's latest snapshot."""
    for plan_id, label in (("p1", "mon"), ("p1", "tue"), ("one", "mon")):
        export(plan_id, label)
    statements = example["achieveit_warehouse"]().get_task("statements").python_callable

    def event(plan_id: str, label: str) -> SimpleNamespace:
        return SimpleNamespace(extra={"plan_id": plan_id, "snapshot": label})

    landed = {"a": [event("p1", "mon"), event("p1", "mon")], "b": [event("one", "mon"), event("one", "removed since")]}
    for name in ("triggering_asset_events", "triggering_dataset_events"):
        loads = statements(lake.uri, **{name: landed})
        assert [load[3].partition("where ")[2] for load in loads] == [
            "plan_id = 'one' and snapshot = 'mon'",
            "plan_id = 'p1' and snapshot = 'mon'",
        ]
    assert [load[3].partition("where ")[2] for load in statements(lake.uri)] == [
        "plan_id = 'one' and snapshot = 'mon'",
        "plan_id = 'p1' and snapshot = 'tue'",
    ]


@pytest.mark.slow
@pytest.mark.parametrize("warehouse", ["snowflake", "databricks", "redshift"])
def test_a_warehouse_needs_no_package_to_be_parsed(warehouse: str, tmp_path: Path) -> None:
    """Airflow's own SQL operator runs the statements: the warehouse's provider brings the connection alone."""
    code = f"""
import json, runpy
dag = runpy.run_path({str(EXAMPLE)!r})["achieveit_warehouse"]()
load = dag.get_task("load")
print(json.dumps([load.task_type, load.partial_kwargs["conn_id"]]))
"""
    environment = clean_environment(AIRFLOW_HOME=str(tmp_path), ACHIEVEIT_EXAMPLE_WAREHOUSE=warehouse)
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=environment)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout.splitlines()[-1]) == ["SQLExecuteQueryOperator", f"{warehouse}_default"]


@pytest.mark.slow
def test_the_dag_runs_as_it_stands(lake: LocalStores, export: Callable[..., Any], tmp_path: Path) -> None:
    """By `airflow dags test`, with a local DuckDB."""
    export("p1", "2026-11-23")
    export("one", "2026-11-23")
    airflow = Airflow(tmp_path)
    database = tmp_path / "warehouse.duckdb"
    airflow.environment |= {"ACHIEVEIT_EXAMPLE_LAKE": lake.uri, "ACHIEVEIT_EXAMPLE_DUCKDB": str(database)}
    airflow.cli("db", "migrate")
    airflow.cli("dags", "test", "achieveit_warehouse")
    with duckdb.connect(database) as connection:
        counts = connection.execute(
            "select plan_id, count(*) from achieveit.plan_items group by all order by all"
        ).fetchall()
    assert counts == [("one", 1), ("p1", 25)]
