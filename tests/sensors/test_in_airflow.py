"""Sensors, assets and the retry policy in tasks that a real Airflow runs."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from airflow_provider_achieveit.operators.achieveit import AchieveItExportOperator
from tests.support.airflow import Airflow
from tests.support.faulty_sandbox import Sandbox

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.slow  # a whole database, and DAG runs in it

MODES = ("poke", "reschedule", "deferrable")
PLANS = [f"plan-{mode}" for mode in MODES]


class Run:
    """What is left after the run of the DAG."""

    def __init__(self, sandbox: Sandbox, lake: Path, results: dict[str, Any], log: str, database: Path) -> None:
        self.sandbox, self.lake, self.results, self.log = sandbox, lake, results, log
        self._database = database

    def query(self, sql: str) -> list[tuple[Any, ...]]:
        with closing(sqlite3.connect(f"file:{self._database}?mode=ro", uri=True)) as connection:
            return connection.execute(sql).fetchall()

    def state(self, task_id: str) -> tuple[str, int]:
        """Return state and number of tries of a task."""
        ((state, tries),) = self.query(f"select state, try_number from task_instance where task_id = '{task_id}'")
        return state, tries

    def events(self) -> list[tuple[str, str, dict[str, Any], str | None]]:
        """Return name, URI, extra and partition key of each asset event."""
        rows = self.query(
            "select asset.name, asset.uri, asset_event.extra, asset_event.partition_key"
            " from asset_event join asset on asset.id = asset_event.asset_id order by asset_event.id"
        )
        return [(name, uri, json.loads(extra), key) for name, uri, extra, key in rows]


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Run]:
    """Land three plans, and run the DAG; each plan is edited between a sensor's first look and its second."""
    home = tmp_path_factory.mktemp("airflow")
    airflow = Airflow(home)
    airflow.environment["AIRFLOW__CORE__DAGS_FOLDER"] = str(Path(__file__).parent / "dags")
    airflow.cli("db", "migrate")
    lake, results = home / "lake", home / "results.json"
    plans = {**dict.fromkeys(PLANS, 30), "plan-limited": 5, "plan-forbidden": 5}
    with Sandbox(plans) as sandbox, pytest.MonkeyPatch.context() as environment:
        extra = {"max_retry_seconds": 1}
        connection = json.dumps(
            {"conn_type": "achieveit", "host": sandbox.url, "password": sandbox.key, "extra": extra}
        )
        environment.setenv("AIRFLOW_CONN_ACHIEVEIT_DEFAULT", connection)
        for plan_id in PLANS:
            AchieveItExportOperator(task_id="x", plan_id=plan_id, destination=lake.as_uri()).execute({})
        sandbox.plan("plan-forbidden").forbidden = True
        edit = {"edit": {"item": 3, "fields": {"name": "While it waited"}}}
        sandbox.script(
            *({"at": 2, "plan": plan_id, "fault": edit} for plan_id in PLANS),
            {"at": 1, "plan": "plan-limited", "fault": {"status": 429, "retry_after": 4}},
        )
        sandbox.reset_requests()
        log = airflow.test_dag(
            "in_airflow", {"destination": lake.as_uri(), "results": str(results)}, {"achieveit_default": connection}
        )
        yield Run(sandbox, lake, json.loads(results.read_text()), log, home / "airflow.db")


@pytest.mark.parametrize("mode", MODES)
def test_sensors_of_every_mode_wait_and_see_the_change(run: Run, mode: str) -> None:
    """Each looks, waits in its way, looks again, and returns what changed meanwhile."""
    assert run.state(mode)[0] == "success"
    returned = run.results[mode]
    assert returned["plan_id"] == f"plan-{mode}"
    assert returned["reason"].endswith('"While it waited"')
    assert returned["previous"]["total_count"] == returned["current"]["total_count"] == 30
    assert returned["previous"]["last_updated"] < returned["current"]["last_updated"]


def test_every_landed_plan_emits_one_event_with_its_manifest(run: Run) -> None:
    """Name and URI say where the plan's snapshots lie, without a connection id; also under dynamic task mapping."""
    events = [event for event in run.events() if "/plan_items/" in event[1] and "limited" not in event[1]]
    where = [f"{run.lake.as_uri()}/plan_items/plan={plan_id}" for plan_id in PLANS]
    assert sorted(name for name, _, _, _ in events) == sorted(where)
    for name, uri, extra, partition in events:
        assert uri == name
        assert partition is None
        manifest = next(value for value in run.results["export"] if uri.endswith(f"plan={value['plan_id']}"))
        assert extra == manifest
        assert manifest == json.loads((run.lake / f"_manifests/plan={manifest['plan_id']}/latest.json").read_text())
        assert manifest["dag_id"] == "in_airflow"


def test_declared_outlets_get_the_manifest_as_well(run: Run) -> None:
    """An asset that the DAG's author chose gets an event for each mapped export."""
    extras = [extra for name, _, extra, _ in run.events() if name == "declared"]
    assert sorted(extra["plan_id"] for extra in extras) == sorted(PLANS)
    assert all(extra in run.results["export"] for extra in extras)


def test_a_task_of_three_lines_turns_plans_into_partitions(run: Run) -> None:
    """As the documentation shows it: one event a plan, whose partition key is the plan's id."""
    assert sorted(key for name, _, _, key in run.events() if name == "partitioned") == sorted(PLANS)


def test_a_rate_limit_beyond_the_budget_sets_the_retry_delay(run: Run) -> None:
    """The task is tried again when the server allows it, and not after its own delay of an hour."""
    assert run.state("limited") == ("success", 2)
    requests = [request for request in run.sandbox.requests if request.plan == "plan-limited"]
    assert [request.status for request in requests] == [429, 200]
    assert requests[1].arrived - requests[0].arrived >= 4
    assert run.results["limited"]["try_number"] == 2


def test_a_refused_key_fails_tasks_at_once(run: Run) -> None:
    """Neither the operator nor a task of the user's own that has the policy is tried a second time."""
    assert run.state("refused") == ("failed", 1)
    assert run.state("own_task") == ("failed", 1)
    requests = [request for request in run.sandbox.requests if request.plan == "plan-forbidden"]
    assert len(requests) == 2, "one each"
    assert "ask an admin of the plan" in run.log
