"""Airflow's own task kill, in a whole Airflow: somebody marks a running export as failed."""

from __future__ import annotations

from contextlib import suppress
from urllib.parse import quote

import pyarrow.parquet as pq
import pytest
import requests

from tests.e2e.conftest import PLAN, Stage

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(900)]

DAG = "killed_export"


def _objects(stage: Stage) -> dict[str, bytes]:
    """What exports have landed; the page of the report is another DAG's, which runs on its own time."""
    objects = {str(p.relative_to(stage.lake)): p.read_bytes() for p in stage.lake.rglob("*") if p.is_file()}
    return {key: body for key, body in objects.items() if key != "report.html"}


def _trigger(stage: Stage) -> str:
    """Start a run, again while Airflow's other programs hold its SQLite database for too long."""

    def started() -> str:
        with suppress(requests.HTTPError):
            return stage.airflow.trigger(DAG)
        return ""

    return stage.airflow.wait_until(started, "a run to start")


def _page_requests(stage: Stage) -> list[object]:
    return [request for request in stage.sandbox.requests if "take=1&" not in request.query]


def test_a_killed_export_changes_nothing_and_leaves_nothing(stage: Stage) -> None:
    """What landed before is there byte for byte; the next run lands, and no temporary file is left after it."""
    airflow, sandbox = stage.airflow, stage.sandbox
    airflow.unpause(DAG)
    assert airflow.wait_for_run(DAG, _trigger(stage)) == "success"
    before = _objects(stage)
    sandbox.reset_requests()
    sandbox.latency = 8
    run_id = _trigger(stage)
    airflow.wait_until(lambda: len(_page_requests(stage)) >= 2, "an export in the middle of its pages")

    task = f"dags/{DAG}/dagRuns/{quote(run_id, safe='')}/taskInstances/export"
    airflow.api("PATCH", task, json={"new_state": "failed"})

    assert airflow.wait_for_run(DAG, run_id) == "failed"
    airflow.wait_until(
        lambda: all(request.finished is not None for request in _page_requests(stage)), "the end of its requests"
    )
    asked = len(_page_requests(stage))
    sandbox.latency = 0
    stage.let_polls_pass(4)
    assert len(_page_requests(stage)) == asked, "it asks for no more pages"
    assert _objects(stage) == before

    run_id = _trigger(stage)
    assert airflow.wait_for_run(DAG, run_id) == "success"
    after = _objects(stage)
    manifest = airflow.xcom(DAG, run_id, "export")
    keys = {file["key"] for file in manifest["files"]}
    assert set(after) == {*before, *keys, f"_manifests/plan={PLAN}/snapshot={manifest['snapshot']}.json"}
    landed = f"plan_items/plan={PLAN}/snapshot={manifest['snapshot']}/plan_items.parquet"
    assert pq.read_table(stage.lake / landed, columns=["id"]).num_rows == len(stage.plan)
    assert list(stage.spool.glob("*achieveit*")) == []
