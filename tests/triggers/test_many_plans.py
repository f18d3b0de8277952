"""One watcher for many plans: an event for each that changes, and none waits for another."""

from __future__ import annotations

import itertools
import logging
from types import SimpleNamespace
from typing import Any

import pytest

from airflow_provider_achieveit.sandbox import DEMO_KEY
from airflow_provider_achieveit.triggers import _watch
from airflow_provider_achieveit.triggers.achieveit import plan_ids_of
from tests.sensors.conftest import Stage
from tests.triggers.conftest import Watcher, eventually

pytestmark = pytest.mark.anyio

PLANS = [f"plan-{number}" for number in range(10)]


@pytest.fixture
def plans(stage: Stage) -> Stage:
    """Ten small plans."""
    for plan_id in PLANS:
        stage.sandbox.put_plan(plan_id, 3)
    return stage


async def test_each_plan_that_changes_is_an_event_of_its_own(plans: Stage) -> None:
    """Ten edits are ten events, each with the versions of its plan; then there is silence."""
    async with Watcher(plans, plan_ids=PLANS) as watcher:
        await watcher.looks(20)
        for plan_id in PLANS:
            plans.sandbox.plan(plan_id).edit(1, name=f"In {plan_id}")
        await watcher.has_sent(10)
        await watcher.looks(20)
        assert sorted(event["plan_id"] for event in watcher.events) == sorted(PLANS)
        assert all(event["reason"].endswith(f'"In {event["plan_id"]}"') for event in watcher.events)


async def test_looks_are_spread_over_the_interval(plans: Stage) -> None:
    """The plans are not asked for in a burst, neither at first nor later."""
    async with Watcher(plans, plan_ids=PLANS, poll_interval=2) as watcher:
        await watcher.looks(19)
    arrived = [request.arrived for request in plans.sandbox.requests]
    gaps = [later - earlier for earlier, later in itertools.pairwise(arrived)]
    assert arrived[9] - arrived[0] >= 1.5
    assert sorted(gaps)[len(gaps) // 2] >= 0.1


async def test_each_plan_has_a_watermark_of_its_own(plans: Stage) -> None:
    """A change made while nobody looked is told after a restart, and only that."""
    values: dict[str, Any] = {}

    async def aget(key: str) -> Any:
        return values.get(key)

    async def aset(key: str, value: Any) -> None:
        values[key] = value

    store = SimpleNamespace(aget=aget, aset=aset)
    async with Watcher(plans, store, plan_ids=PLANS):
        await eventually(lambda: len(values) == 10, "ten watermarks")
    assert set(values) == {f"achieveit_version_{plan_id}" for plan_id in PLANS}
    plans.sandbox.plan("plan-3").edit(1)
    async with Watcher(plans, store, plan_ids=PLANS) as watcher:
        assert (await watcher.has_sent(1))["plan_id"] == "plan-3"
        await watcher.looks(20)
        assert len(watcher.events) == 1


async def test_one_bad_plan_does_not_stop_the_others(plans: Stage, caplog: pytest.LogCaptureFixture) -> None:
    """A plan that hangs or is forbidden backs off by itself; the log names it once."""
    plans.sandbox.plan("plan-0").forbidden = True
    async with Watcher(plans, plan_ids=PLANS) as watcher:
        await watcher.looks(40)
        plans.sandbox.plan("plan-9").edit(1)
        assert (await watcher.has_sent(1))["plan_id"] == "plan-9"
    assert plans.sandbox.traffic("plan-0").requests < plans.sandbox.traffic("plan-1").requests
    warnings = [record.getMessage() for record in caplog.records if record.levelno == logging.WARNING]
    assert [warning.partition(":")[0] for warning in warnings] == ["Plan plan-0"]


async def test_a_refused_key_backs_off_for_all_plans(plans: Stage, caplog: pytest.LogCaptureFixture) -> None:
    """The requests become as rare as those for one plan, with one line in the log; then all plans go on."""
    caplog.set_level(logging.INFO, "airflow_provider_achieveit.triggers")
    async with Watcher(plans, plan_ids=PLANS) as watcher:
        await watcher.looks(20)
        plans.sandbox.latency = 0.5  # so that all plans ask before the first one is refused
        plans.sandbox.key = "another-key"
        plans.sandbox.reset_requests()

        def last_pause() -> float:
            arrived = [request.arrived for request in plans.sandbox.requests]
            return arrived[-1] - arrived[-2] if len(arrived) > 1 else 0.0

        await eventually(lambda: last_pause() >= 0.8, "a long pause")
        # Those under way at first fail together, which counts once; then it is one look at a time, after 0.2 and 0.4
        # seconds. If each of the ten counted, the next look would come after a hundred seconds.
        assert len(plans.sandbox.requests) <= len(PLANS) + 4
        plans.sandbox.key = DEMO_KEY
        plans.sandbox.latency = 0
        plans.sandbox.plan("plan-5").edit(1)
        assert (await watcher.has_sent(1))["plan_id"] == "plan-5"
    mine = [record.getMessage() for record in caplog.records if ".triggers." in record.name]
    assert len(mine) == 2
    assert mine[0].startswith("All 10 plans: AchieveItUnauthorizedError")
    assert mine[1] == "All 10 plans: AchieveIt answers again"


async def test_an_answer_from_before_the_key_was_refused_does_not_end_the_back_off(
    plans: Stage, caplog: pytest.LogCaptureFixture
) -> None:
    """A slow answer to the old key arrives after others were refused: nobody says that AchieveIt answers again."""
    caplog.set_level(logging.INFO, "airflow_provider_achieveit.triggers")
    async with Watcher(plans, plan_ids=PLANS) as watcher:
        await watcher.looks(20)
        # The plan changes, and the answer that tells of it takes a second or two.
        plans.sandbox.script({"at": 1, "plan": "plan-0", "fault": {"edit": {"item": 1}, "trickle": 0.001}})
        await eventually(lambda: any(request.fault for request in plans.sandbox.requests), "a slow answer begins")
        plans.sandbox.key = "another-key"
        await eventually(lambda: caplog.records, "a refusal")
        assert not watcher.events
        assert (await watcher.has_sent(1))["plan_id"] == "plan-0"
    mine = [record.getMessage() for record in caplog.records if ".triggers." in record.name]
    assert [line.partition(":")[0] for line in mine] == ["All 10 plans"]
    assert "AchieveItUnauthorizedError" in mine[0]


async def test_a_destination_is_compared_with_for_each_plan(plans: Stage) -> None:
    """At first sight, what has not landed is an event."""
    async with Watcher(plans, plan_ids=PLANS[:3], destination=plans.destination) as watcher:
        await watcher.has_sent(3)
        await watcher.looks(9)
        assert sorted(event["plan_id"] for event in watcher.events) == PLANS[:3]


async def test_a_plan_of_unknown_version_is_read_now_and_then(
    plans: Stage, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its content is compared at most every 15 minutes; between these reads nothing is said of it."""
    plan = plans.sandbox.plan("plan-0")
    for index in range(3):
        plan.patch(index, lastUpdated="yesterday")
    async with Watcher(plans, plan_id="plan-0") as watcher:
        await watcher.looks(5)
        plan.edit(1, touch=False, name="Edited")
        await watcher.looks(5)
        assert watcher.events == []
        monkeypatch.setattr(_watch, "MAX_BACKOFF", 0)
        event = await watcher.has_sent(1)
        assert event["reason"] == "content differs"
        await watcher.looks(12)
        assert len(watcher.events) == 1
    warnings = [record.getMessage() for record in caplog.records if record.levelno == logging.WARNING]
    assert len(warnings) == 1
    assert "lastUpdated 'yesterday' is not a time" in warnings[0]


def test_plan_ids_of_a_run_that_several_events_started() -> None:
    """Events of watchers and of exports, folded into one run, name each plan once; others are passed over."""

    def event(extra: Any) -> Any:
        return SimpleNamespace(extra=extra)

    events = {
        "watched": [
            event({"from_trigger": True, "payload": {"plan_id": "a"}}),
            event({"from_trigger": True, "payload": {"plan_id": "b"}}),
            event({"from_trigger": True, "payload": {"plan_id": "a"}}),
            event({"from_trigger": True, "payload": "text"}),
        ],
        "landed": [event({"plan_id": "c", "rows": 3}), event({}), event(None), event({"plan_id": 5})],
    }
    assert plan_ids_of(events) == ["a", "b", "c"]
    assert plan_ids_of({}) == []
