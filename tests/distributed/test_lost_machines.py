"""A worker and a triggerer are lost in the middle: nothing is lost, nothing is there twice, what failed is repaired."""

from __future__ import annotations

import time
from collections import Counter

import pytest

from dev.distributed_airflow import TRIGGERERS, WORKERS
from tests.distributed.conftest import PLANS, WATCHED, Stage, tell

pytestmark = [pytest.mark.distributed, pytest.mark.timeout(1800)]


def test_a_worker_is_lost_in_the_middle_of_a_portfolio_and_of_mapped_exports(stage: Stage) -> None:
    """Airflow's retry does on the other worker what is missing, and both lakes are whole."""
    stage.sandbox.latency = 1.0
    runs = {dag_id: stage.airflow.trigger(dag_id) for dag_id in ("portfolio", "mapped")}
    stage.airflow.wait_until(
        lambda: any(stage.running("portfolio").values()) and stage.keys("portfolio/_manifests/plan="),
        "a portfolio of which some plans have landed",
    )
    running = stage.running("portfolio")
    lost = max(WORKERS, key=lambda name: running[name])
    stage.airflow.wait_until(lambda: stage.running("mapped")[lost] > 0, f"mapped exports on {lost}")
    assert stage.running("portfolio")[lost] == 1
    started = time.monotonic()
    stage.airflow.lose(lost)
    stage.sandbox.latency = 0.05
    for dag_id, run_id in runs.items():
        stage.wait(dag_id, run_id)
        tell(f"after {lost} was killed, {dag_id} has succeeded: {stage.states(dag_id)}", started)
    assert [(state, tries) for _, _, state, tries in stage.states("portfolio")] == [("success", 2)]
    assert {tries for *_, tries in stage.states("mapped")} > {1}, "some were lost with the worker, others were not"

    print(stage.verify("portfolio", "--grace", "0"), stage.verify("mapped"))
    for plan_id, items in PLANS.items():
        assert stage.manifest("portfolio", plan_id)["rows"] == items
    rows = stage.delta("mapped").to_pylist()
    assert Counter(row["plan"] for row in rows) == PLANS, "each plan once"
    assert len({(row["plan"], row["id"]) for row in rows}) == len(rows)
    stage.airflow.replace(lost)


def test_a_triggerer_is_lost_while_sensors_wait_and_watchers_watch(stage: Stage) -> None:
    """The other one goes on with all of them, and sees what was edited when nobody looked."""
    stage.wait("portfolio", stage.airflow.trigger("portfolio"))  # what the sensors compare with
    run_id = stage.airflow.trigger("waiting")
    everything = len(PLANS) + len(WATCHED)
    stage.airflow.wait_until(
        lambda: all(stage.triggers().get(name) for name in TRIGGERERS) and sum(stage.triggers().values()) == everything,
        f"{everything} triggers on both triggerers",
    )
    before = stage.triggers()
    lost = max(TRIGGERERS, key=lambda name: before[name])
    kept = next(name for name in TRIGGERERS if name != lost)
    started = time.monotonic()
    stage.airflow.lose(lost)
    for plan_id in (*PLANS, *WATCHED):
        stage.sandbox.plan(plan_id).edit(3, name="Edited while a triggerer was lost")
    stage.airflow.wait_until(lambda: {*stage.triggers()} <= {kept}, f"the triggers of {lost} to be taken over")
    tell(f"after {lost} was killed with {before[lost]} triggers, {kept} has taken them over", started)
    stage.wait("waiting", run_id)
    tell("since then, all sensors were done and their exports have landed", started)
    print(stage.states("waiting"))

    latest = {f"watched/_manifests/plan={plan_id}/latest.json" for plan_id in WATCHED}
    stage.airflow.wait_until(lambda: latest <= {*stage.keys("watched/_manifests/")}, "the watched plans to land", 300)
    tell("since then, all watched plans have landed", started)
    for lake, plan_ids in (("portfolio", PLANS), ("watched", WATCHED)):
        print(stage.verify(lake, "--grace", "0"))
        for plan_id in plan_ids:
            newest = max(item["lastUpdated"] for item in stage.sandbox.plan(plan_id).items())
            assert stage.manifest(lake, plan_id)["version"]["last_updated"][:26] == newest[:26]
    told = [
        event["extra"]["payload"]["plan_id"]
        for event in stage.airflow.asset_events()
        if "payload" in (event["extra"] or {})
    ]
    assert set(told) == {*WATCHED}
    print(Counter(told))
    stage.airflow.replace(lost)
