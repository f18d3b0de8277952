"""What the sensor accepts, and how it refuses the rest before it asks AchieveIt for anything."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from airflow.sdk import DAG, ObjectStoragePath
from airflow.sdk.exceptions import AirflowFailException

from airflow_provider_achieveit.api.errors import AchieveItConfigError, AchieveItError, AchieveItNotFoundError
from airflow_provider_achieveit.sensors.achieveit import AchieveItPlanChangeSensor
from tests.sensors.conftest import MODES, PLAN, Stage, drive


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        ({}, "neither destination nor since is given: choose one"),
        ({"since": "", "plan_ids": ["a"]}, "plan_id 'p' and plan_ids .* are both given: choose one"),
        ({"since": "", "plan_id": None}, "neither plan_id nor plan_ids is given: choose one"),
        ({"since": "", "plan_id": "{{ params.plan_id }}", "detect": "magic"}, "detect 'magic' is neither"),
        ({"since": "", "plan_id": "{{ params.plan_id }}", "poke_interval": 0}, "poke_interval 0.* 0.1 or more"),
        ({"since": "", "poke_interval": 0.05}, "poke_interval 0.05 is not a number of seconds, 0.1 or more"),
        ({"since": 0}, "since 0 is not an ISO 8601 date or time"),
        ({"since": False}, "since False is not an ISO 8601 date or time"),
        ({"since": []}, r"since \[\] is not an ISO 8601 date or time"),
        ({"destination": "lake/x"}, "destination 'lake/x' is neither a URI"),
        ({"since": "", "plan_id": None, "plan_ids": ["a/b", None, True]}, "plan_ids holds 'a/b', None, True: "),
        ({"destination": "file:///x", "since": "2026-01-01"}, "are both given: choose one"),
        ({"destination": "file:///x", "since": ""}, "are both given: choose one"),
        ({"destination": "file:///x", "detect": "magic"}, "detect 'magic' is neither version nor content"),
        ({"since": "2026-01-01", "detect": "content"}, "detect 'content' needs a destination"),
    ],
)
def test_arguments_that_contradict_each_other_are_refused_when_the_dag_is_parsed(
    arguments: dict[str, Any], problem: str
) -> None:
    """Exactly one baseline, a known way to detect, and content only with something to compare with."""
    with pytest.raises(AchieveItConfigError, match=problem):
        AchieveItPlanChangeSensor(**{"task_id": "wait", "plan_id": PLAN, **arguments})


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        ({"plan_id": "../p", "since": ""}, "plan_id '../p' is not 1 to 64 letters, digits and hyphens"),
        ({"plan_id": "", "since": ""}, "plan_id is not given, or its template rendered to nothing"),
        ({"since": "yesterday"}, "since 'yesterday' is not an ISO 8601 date or time"),
        ({"since": "10:30"}, "since '10:30' is not an ISO 8601 date or time"),
        ({"destination": " "}, "destination is not given, or its template rendered to nothing"),
        ({"destination": "None"}, "destination is not given, or its template rendered to nothing"),
        ({"since": "", "destination_conn_id": " "}, "destination_conn_id was given and rendered to ' '"),
        ({"destination": "lake9://x/y"}, "destination 'lake9://x/y'"),
        ({"achieveit_conn_id": "nowhere", "since": ""}, "connection 'nowhere' can't be used"),
    ],
)
def test_values_known_only_at_run_time_fail_the_task_before_any_request(
    stage: Stage, mode: str, arguments: dict[str, Any], problem: str
) -> None:
    """Templates are rendered late: bad values then fail the task at once, without retries and without a request."""
    sensor = stage.sensor(mode, **dict.fromkeys(arguments, "{{ params.late }}"))
    for name, value in arguments.items():
        setattr(sensor, name, value)  # as Airflow does once it has rendered the templates
    with pytest.raises(AirflowFailException, match=problem) as raised:
        drive(sensor)
    assert isinstance(raised.value, AchieveItConfigError)
    assert stage.requests == 0


@pytest.mark.parametrize("mode", MODES)
def test_one_look_works_in_a_python_shell(stage: Stage, mode: str) -> None:
    """`poke({})` needs no Airflow around it, and says the same in every mode, also of a deferrable sensor."""
    sensor = stage.sensor(mode, destination=stage.destination)
    found = sensor.poke({})
    assert found
    assert found.xcom_value["reason"] == "nothing has landed yet"
    stage.export()
    assert not sensor.poke({})
    assert sensor.poke({}).xcom_value is None


def test_destination_may_be_an_object_storage_path(stage: Stage) -> None:
    """A path object works like its text, connection id included."""
    stage.export()
    sensor = stage.sensor(destination=ObjectStoragePath(stage.destination))
    assert not sensor.poke({})
    with_connection = stage.sensor(destination=ObjectStoragePath("s3://lake_store@bucket/x"))
    assert with_connection.destination == "s3://lake_store@bucket/x"


def test_since_may_be_a_rendered_time_of_any_kind(stage: Stage) -> None:
    """What `{{ prev_start_date_success }}` renders to, as text or natively, is understood."""
    for since in ("2025-01-01 00:00:00+00:00", "2025-01-01T02:00:00.123456+02:00"):
        assert stage.sensor(since=since).poke({}), since
    for since in ("2026-01-01 00:00:00+00:00", datetime(2026, 1, 1, tzinfo=UTC)):
        assert not stage.sensor(since=since).poke({}), since


def test_the_newest_update_itself_is_not_after_since(stage: Stage) -> None:
    """`since` is exclusive, so that a run that passes on what it saw does not see it again."""
    newest = max(item["lastUpdated"] for item in stage.plan.items())
    assert not stage.sensor(since=newest).poke({})


def test_templates_reach_every_argument_that_names_something() -> None:
    """Plans, destination, both connections, `since` and `detect` are templates."""
    fields = set(AchieveItPlanChangeSensor.template_fields)
    assert fields == {
        "plan_id", "plan_ids", "destination", "destination_conn_id", "since", "detect", "achieveit_conn_id"
    }  # fmt: skip


def test_a_sensor_can_be_mapped_over_plans() -> None:
    """`partial(...).expand(plan_id=...)` works for sensors as for exports."""
    with DAG("mapped") as dag:
        AchieveItPlanChangeSensor.partial(task_id="wait", destination="s3://lake").expand(plan_id=["a", "b"])
    assert dag.get_task("wait").is_mapped


def test_nothing_but_the_lake_is_remembered(stage: Stage, tmp_path: Path) -> None:
    """A look leaves neither state nor files behind, also one that reads the whole plan."""
    stage.export()
    before = sorted(stage.lake.rglob("*"))
    stage.sensor(destination=stage.destination, detect="content").poke({})
    assert sorted(stage.lake.rglob("*")) == before
    assert sorted(tmp_path.iterdir()) == [stage.lake]


@pytest.mark.parametrize(
    "event",
    [None, {}, [], "changed", {"changes": []}, {"changes": [{}]}, {"changes": None}, {"error": None}, {"error": "X"}],
    ids=repr,
)
def test_an_event_of_another_version_is_a_named_error(stage: Stage, event: Any) -> None:
    """Scheduler and triggerer can run different versions for a while: the task fails with a reason, and is retried."""
    sensor = stage.sensor("deferrable", since="")
    with pytest.raises(AchieveItError, match="does not know: scheduler, workers and triggerers need the same version"):
        sensor.execute_complete({}, event)


def test_an_error_of_a_newer_version_keeps_its_message(stage: Stage) -> None:
    """A class that this version does not have becomes the base class."""
    event = AchieveItNotFoundError("gone", status=410, plan_id="p").to_json() | {"error": "AchieveItGoneError"}
    with pytest.raises(AchieveItError, match="Plan p: gone") as raised:
        stage.sensor("deferrable", since="").execute_complete({}, event)
    assert raised.value.status == 410
