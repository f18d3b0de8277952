"""The event-driven DAGs in a whole Airflow: scheduler, triggerer, DAG processor and API server of their own."""

from __future__ import annotations

import json
import sqlite3
import time

import pyarrow.parquet as pq
import pytest

from airflow_provider_achieveit.sandbox import DEMO_KEY
from tests.e2e.conftest import PLAN, POLL_INTERVAL, REPORT, WATCHED, WATCHER, Stage

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(900)]


def test_an_edit_runs_the_export_once_and_the_report_after_it(stage: Stage) -> None:
    """One edit: one run of the watching DAG, the edit in the lake, one run of the report; silence before."""
    stage.let_polls_pass(4)
    assert stage.runs(WATCHER) == [], "nothing has changed yet"
    before = stage.plan.items()

    edited = stage.plan.edit(7, name="Grow revenue")
    run = stage.wait_for_runs(WATCHER, 1)

    event = stage.change_event()
    assert event["plan_id"] == PLAN
    assert event["previous"]["last_updated"][:23] == max(item["lastUpdated"] for item in before)[:23]
    assert event["current"]["item_id"] == edited["id"]
    assert event["current"]["last_updated"][:26] == edited["lastUpdated"][:26]
    assert "Grow revenue" in event["reason"]
    (manifest,) = stage.airflow.xcom(WATCHER, run["dag_run_id"], "export")
    assert manifest["plan_id"] == PLAN
    label = manifest["snapshot"]
    table = pq.read_table(stage.lake / f"plan_items/plan={PLAN}/snapshot={label}/plan_items.parquet")
    assert table.num_rows == 2000
    assert "Grow revenue" in table.column("name").to_pylist()
    stage.wait_for_runs(REPORT, 1)
    report = (stage.lake / "report.html").read_text()
    assert manifest["plan_name"] in report
    assert "2,000" in report

    stage.let_polls_pass(4)
    assert len(stage.runs(WATCHER)) == 1, "nothing has changed since"
    assert len(stage.runs(REPORT)) == 1


def test_a_change_made_while_the_triggerer_is_down_is_seen_afterwards(stage: Stage) -> None:
    """The watermark lives in Airflow's state store, not in the process that is stopped here."""
    stage.airflow.stop_program("triggerer")
    edited = stage.plan.edit(11, name="While nobody looked")
    stage.airflow.start_program("triggerer")
    stage.wait_for_runs(WATCHER, 2)
    assert stage.change_event()["current"]["item_id"] == edited["id"]
    stage.wait_for_runs(REPORT, 2)


def test_a_revoked_key_costs_few_requests_and_the_watcher_survives_it(stage: Stage) -> None:
    """While the key is refused the looks become rare; with a good key the watcher goes on by itself."""
    stage.sandbox.key = "another-key"
    stage.sandbox.reset_requests()
    started = time.monotonic()
    # The plans ask one at a time by now.
    stage.airflow.wait_until(lambda: len(stage.sandbox.requests) >= 3, "three looks at any plan")
    elapsed = time.monotonic() - started
    # 2, 4, 8, 16 … seconds apart: without a back-off it would be a request every two seconds, or thousands.
    assert elapsed >= 2 * POLL_INTERVAL
    assert len(stage.sandbox.requests) <= 5
    assert {request.status for request in stage.sandbox.requests} == {401}
    stage.sandbox.key = DEMO_KEY
    stage.plan.edit(13, name="With the key back")
    stage.wait_for_runs(WATCHER, 3)
    stage.airflow.wait_until_healthy()


def test_edits_of_all_plans_at_once_all_land(stage: Stage) -> None:
    """Airflow leaves events behind that come while the DAG runs; the run that follows looks at all plans."""
    stage.let_polls_pass(2)  # by then each plan has been looked at, and the first look is recorded silently
    for plan_id in WATCHED:
        stage.sandbox.plan(plan_id).edit(0, name="Edited at once")
    edited = {plan_id: stage.sandbox.plan(plan_id).items()[0]["lastUpdated"][:26] for plan_id in WATCHED}

    def landed() -> bool:
        return all(stage.manifest(plan_id)["version"]["last_updated"][:26] == edited[plan_id] for plan_id in WATCHED)

    stage.airflow.wait_until(landed, "all edited plans to land")
    stage.airflow.wait_until(
        lambda: {run["state"] for run in stage.runs(WATCHER)} == {"success"}, "the last run to end"
    )


def test_the_key_is_nowhere_in_the_database_or_the_logs(stage: Stage) -> None:
    """Serialised DAGs, triggers, XComs, events and every log hold no key; the connection is encrypted."""
    database = stage.airflow.home / "airflow.db"
    with sqlite3.connect(f"file:{database}?mode=ro", uri=True) as connection:
        dump = "\n".join(connection.iterdump())
    assert "AchieveItPlanChangeTrigger" in dump, "the dump is of the right database"
    assert DEMO_KEY not in dump
    for path in stage.airflow.home.rglob("*"):
        if path.is_file() and path.suffix in (".log", ".json", ".txt"):
            assert DEMO_KEY not in path.read_text(errors="replace"), path
    assert DEMO_KEY not in json.dumps(stage.manifest(PLAN))
