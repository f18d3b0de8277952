"""What the trigger accepts, and what Airflow stores of it."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from importlib import import_module
from typing import Any

import pytest
from airflow.sdk import Asset, AssetWatcher, ObjectStoragePath
from airflow.triggers.base import BaseEventTrigger

from airflow_provider_achieveit.api.errors import AchieveItConfigError
from airflow_provider_achieveit.triggers.achieveit import AchieveItPlanChangeTrigger

PLAN = "a0e2ce03-8d0e-4325-9a13-17a8b5936590"


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        ({"plan_id": "a/b"}, "plan_id 'a/b'"),
        ({"plan_id": None}, "neither plan_id nor plan_ids is given"),
        ({"poll_interval": 0}, "poll_interval 0 is not a number of seconds, 0.1 or more"),
        ({"poll_interval": 1e-9}, "poll_interval 1e-09 is not"),
        ({"poll_interval": -1}, "poll_interval -1"),
        ({"poll_interval": True}, "poll_interval True"),
        ({"poll_interval": "60"}, "poll_interval '60'"),
        ({"poll_interval": float("nan")}, "poll_interval nan"),
        ({"poll_interval": float("inf")}, "poll_interval inf"),
        ({"poll_interval": timedelta(seconds=60)}, "poll_interval datetime.timedelta"),
        ({"destination": "s3://x", "since": "2026-01-01"}, "are both given: choose one"),
        ({"since": "soon"}, "since 'soon' is not an ISO 8601 date or time"),
        ({"detect": "content"}, "detect 'content' needs a destination"),
        ({"detect": "magic"}, "detect 'magic' is neither version nor content"),
        ({"since": 0}, "since 0 is not an ISO 8601 date or time"),
        ({"since": False}, "since False is not"),
        ({"since": []}, r"since \[\] is not"),
        ({"destination": "lake"}, "destination 'lake' is neither a URI"),
        ({"destination": "{{ ds }}"}, "is a template that was not rendered"),
        ({"destination": ""}, "destination is not given"),
        ({"achieveit_conn_id": ["a"]}, "achieveit_conn_id .* is not text"),
        ({"destination": "s3://x", "destination_conn_id": ""}, "destination_conn_id was given"),
        ({"plan_id": None, "plan_ids": []}, "plan_ids is empty"),
        ({"plan_id": None, "plan_ids": ["a/b", "ok", None]}, r"plan_ids holds 'a/b', None: "),
        ({"plan_ids": [PLAN]}, "are both given: choose one"),
    ],
)
def test_bad_arguments_are_refused_when_the_dag_is_parsed(arguments: dict[str, Any], problem: str) -> None:
    """A watcher that could only fail is not made."""
    with pytest.raises(AchieveItConfigError, match=problem):
        AchieveItPlanChangeTrigger(**{"plan_id": PLAN, **arguments})


EXAMPLES: list[dict[str, Any]] = [
    {},
    {"poll_interval": 30},
    {"poll_interval": 0.5, "achieveit_conn_id": "other"},
    {"destination": "s3://lake/x", "destination_conn_id": "aws_default", "detect": "content"},
    {"since": "2026-01-01"},
    {"destination": ObjectStoragePath("file:///lake")},
    {"plan_id": None, "plan_ids": ["b", "a"]},
    {"since": datetime(2026, 1, 1, tzinfo=UTC)},
]


@pytest.mark.parametrize("arguments", EXAMPLES, ids=str)
def test_arguments_survive_storage(arguments: dict[str, Any]) -> None:
    """They are JSON scalars, in one order, and make the same trigger again."""
    path, stored = AchieveItPlanChangeTrigger(**{"plan_id": PLAN, **arguments}).serialize()
    scalars = {key: value for key, value in stored.items() if key != "plan_ids"}
    assert all(value is None or isinstance(value, str | int | float) for value in scalars.values())
    again = json.loads(json.dumps(stored))
    module, name = path.rsplit(".", 1)
    made = getattr(import_module(module), name)(**again)
    assert made.serialize() == (path, stored)
    assert list(made.serialize()[1]) == list(stored)


@pytest.mark.parametrize("arguments", EXAMPLES, ids=str)
def test_airflow_finds_the_same_trigger_again(arguments: dict[str, Any]) -> None:
    """Its hash, by which Airflow knows a watcher, is the same before and after storage; another one's differs."""
    path, stored = AchieveItPlanChangeTrigger(**{"plan_id": PLAN, **arguments}).serialize()
    before = BaseEventTrigger.hash(path, stored)
    again = AchieveItPlanChangeTrigger(**json.loads(json.dumps(stored))).serialize()
    assert BaseEventTrigger.hash(*again) == before
    other = AchieveItPlanChangeTrigger(**{"plan_id": PLAN, **arguments, "poll_interval": 61}).serialize()
    assert BaseEventTrigger.hash(*other) != before


def test_it_names_connections_and_never_a_secret(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is stored and logged of a trigger is where the key is kept, not the key."""
    monkeypatch.setenv("AIRFLOW_CONN_ACHIEVEIT_DEFAULT", "achieveit://:very-secret@localhost")
    trigger = AchieveItPlanChangeTrigger(plan_id=PLAN)
    assert "very-secret" not in repr(trigger)
    assert "achieveit_default" in repr(trigger)


def test_an_asset_watcher_takes_it() -> None:
    """It is an event trigger, so a DAG can be scheduled on what it sees."""
    watcher = AssetWatcher(name="change", trigger=AchieveItPlanChangeTrigger(plan_id=PLAN))
    assert Asset("plan", watchers=[watcher]).watchers == [watcher]
