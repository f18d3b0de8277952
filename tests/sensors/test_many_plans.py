"""One sensor for many plans: done when any has changed, in every mode alike."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import pytest
from airflow.sdk import DAG
from airflow.sdk.exceptions import AirflowFailException, AirflowSensorTimeout, AirflowSkipException

from airflow_provider_achieveit.api.errors import (
    AchieveItForbiddenError,
    AchieveItNotFoundError,
    AchieveItUnauthorizedError,
)
from airflow_provider_achieveit.operators.achieveit import AchieveItExportOperator
from airflow_provider_achieveit.sensors.achieveit import AchieveItPlanChangeSensor
from tests.sensors.conftest import MODES, Stage, drive
from tests.support.faulty_sandbox import Sandbox

PLANS = ["a", "b", "c"]


@pytest.fixture
def plans(stage: Stage) -> Stage:
    """Three small plans, all of them landed."""
    for plan_id in PLANS:
        stage.sandbox.put_plan(plan_id, 3)
        AchieveItExportOperator(task_id="export", plan_id=plan_id, destination=stage.destination).execute({})
    stage.connect(max_retry_seconds=0)
    stage.sandbox.reset_requests()
    return stage


def wait(stage: Stage, mode: str, **arguments: Any) -> Any:
    """Let a sensor wait for the three plans."""
    return drive(stage.sensor(mode, **{"plan_ids": PLANS, "destination": stage.destination, **arguments}))


@pytest.mark.parametrize("mode", MODES)
def test_returns_what_changed_in_the_order_given(plans: Stage, mode: str) -> None:
    """One change is a list as well; the export operator takes it as its `plan_ids`."""
    plans.sandbox.plan("c").edit(0)
    plans.sandbox.plan("a").edit(0)
    changes = wait(plans, mode)
    assert [change["plan_id"] for change in changes] == ["a", "c"]
    assert {"plan_id", "previous", "current", "reason"} == set(changes[0])
    export = AchieveItExportOperator(task_id="export", plan_ids=changes, destination=plans.destination)
    assert [manifest["plan_id"] for manifest in export.execute({})] == ["a", "c"]
    with pytest.raises(AirflowSensorTimeout):
        wait(plans, mode, timeout=0.3)
    plans.sandbox.plan("b").edit(0)
    assert [change["plan_id"] for change in wait(plans, mode)] == ["b"]


@pytest.mark.parametrize("mode", MODES)
def test_a_change_while_it_waits_is_seen(plans: Stage, mode: str) -> None:
    """Each look asks once for each plan."""
    plans.sandbox.before_request = lambda number: plans.sandbox.plan("b").edit(1) if number == 7 else None
    assert [change["plan_id"] for change in wait(plans, mode)] == ["b"]
    assert 7 <= plans.requests <= 9


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("fails_while_it_waits", [False, True])
def test_with_some_changed_a_plan_that_fails_is_a_warning(
    plans: Stage, mode: str, fails_while_it_waits: bool, caplog: pytest.LogCaptureFixture
) -> None:
    """What changed can be exported; the log names what could not be looked at."""

    def happen(number: int) -> None:
        if number == (4 if fails_while_it_waits else 1):
            plans.sandbox.plan("a").edit(0)
            plans.sandbox.plan("b").forbidden = True

    plans.sandbox.before_request = happen
    assert [change["plan_id"] for change in wait(plans, mode)] == ["a"]
    (warning,) = [record for record in caplog.records if record.levelno == logging.WARNING]
    assert warning.getMessage().startswith("Plan b: AchieveIt answered 403")


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("fails_while_it_waits", [False, True])
def test_with_none_changed_a_plan_that_fails_is_the_error(plans: Stage, mode: str, fails_while_it_waits: bool) -> None:
    """As for one plan: a refused one fails the task at once, and a lost one is left to its retries."""

    def forbid(number: int) -> None:
        if number == (4 if fails_while_it_waits else 1):
            plans.sandbox.plan("b").forbidden = True

    plans.sandbox.before_request = forbid
    with pytest.raises(AchieveItForbiddenError, match="Plan b: ") as raised:
        wait(plans, mode)
    assert isinstance(raised.value, AirflowFailException)
    plans.sandbox.before_request = None
    plans.sandbox.remove_plan("c")
    with pytest.raises(AchieveItNotFoundError, match="Plan c: ") as lost:
        wait(plans, mode)
    assert not isinstance(lost.value, AirflowFailException), "another try can mend one of them"


@pytest.mark.parametrize("mode", MODES)
def test_a_refused_key_is_everybodys(plans: Stage, mode: str) -> None:
    """It fails the task at once, also where a plan is known to have changed."""
    plans.sandbox.plan("a").edit(0)
    plans.fail_from(2, status=401)
    with pytest.raises(AchieveItUnauthorizedError):
        wait(plans, mode)


def test_many_plans_without_a_server_do_not_wait_one_after_the_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After a few that found none, the rest is not asked for."""
    plan_ids = [f"plan-{number}" for number in range(100)]
    with Sandbox() as sandbox:  # of its own: nobody waits for the last requests, which would be counted elsewhere
        stage = Stage(sandbox, tmp_path / "lake", monkeypatch)
        stage.connect(max_retry_seconds=0)
        stage.fail_from(1, status=503)
        with pytest.raises(Exception, match="503"):
            wait(stage, "poke", plan_ids=plan_ids)
        assert stage.requests < 20


@pytest.mark.parametrize("mode", MODES)
def test_an_empty_list_skips_the_task(stage: Stage, mode: str) -> None:
    """There is nothing to wait for, as when a template found no plans."""
    with pytest.raises(AirflowSkipException, match="plan_ids is empty"):
        wait(stage, mode, plan_ids="[]")
    assert stage.requests == 0


@pytest.mark.parametrize("plan_ids", ["a, b\nc a", '["a", "b", "c"]', [{"plan_id": "a"}, "b", "c"], ("a", "b", "c")])
def test_takes_the_forms_that_the_export_takes(plans: Stage, plan_ids: Any) -> None:
    """Text of an Airflow Variable, JSON, changes, tuples; an id twice is looked at once."""
    assert not plans.sensor(plan_ids=plan_ids, destination=plans.destination).poke({})
    assert plans.requests == 3


def test_each_entry_of_the_list_can_be_a_template(plans: Stage) -> None:
    """As for the export; such a list is no list of ids when the DAG file is parsed."""
    plan_ids = ["{{ first }}", {"plan_id": "{{ second }}"}, "c"]
    sensor = plans.sensor(plan_ids=plan_ids, destination=plans.destination)
    sensor.render_template_fields({"first": "a", "second": "b"})
    assert not sensor.poke({})
    assert [request.plan for request in sorted(plans.sandbox.requests, key=lambda request: str(request.plan))] == PLANS


def test_since_works_with_many_plans(plans: Stage) -> None:
    """Those updated after that time are returned."""
    plans.sandbox.plan("b").edit(1)
    assert [change["plan_id"] for change in drive(plans.sensor(plan_ids=PLANS, since="2026-01-01"))] == ["b"]


def test_it_can_be_mapped_over_lists() -> None:
    """`expand(plan_ids=...)` gives each task a list of its own."""
    with DAG("mapped") as dag:
        AchieveItPlanChangeSensor.partial(task_id="wait", since="").expand(plan_ids=[["a"], ["b", "c"]])
    assert dag.get_task("wait").is_mapped


@pytest.mark.parametrize("plan_ids", [None, PLANS])
def test_a_deferred_sensor_says_what_it_compares_with(
    plans: Stage, caplog: pytest.LogCaptureFixture, plan_ids: Any
) -> None:
    """Once when it defers, and then ever more rarely that nothing has changed yet."""
    caplog.set_level(logging.INFO)
    arguments = {"plan_id": "a"} if plan_ids is None else {"plan_ids": plan_ids}
    with pytest.raises(AirflowSensorTimeout):
        drive(plans.sensor("deferrable", destination=plans.destination, timeout=4, **arguments))
    who = "Plan a was" if plan_ids is None else "3 plans were"
    compared = f"{who} compared with what has landed in {plans.destination}: nothing has changed yet."
    messages = [record.getMessage() for record in caplog.records]
    assert [message for message in messages if "compared" in message] == [
        f"{compared} The triggerer looks again every 0.1 s"
    ]
    assert messages.count("Nothing has changed after 10 looks") == 1
    assert sum("Nothing has changed after" in message for message in messages) <= 4
