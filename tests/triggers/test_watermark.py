"""What a watcher remembers across restarts, and when: events are delivered at least once, and never lost."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from contextlib import suppress
from types import SimpleNamespace
from typing import Any

import pytest
from airflow.sdk import Asset
from airflow.sdk.execution_time.context import AssetStateStoreAccessors

from airflow_provider_achieveit.triggers.achieveit import AchieveItPlanChangeTrigger
from tests.sensors.conftest import PLAN, Stage
from tests.triggers.conftest import Watcher, eventually

pytestmark = pytest.mark.anyio

KEY = f"achieveit_version_{PLAN}"
Store = SimpleNamespace


def _sync_store(values: dict[str, Any]) -> Store:
    """Stand in for the accessor of Airflow 3.3.0: `get` and `set` only."""
    return Store(get=values.get, set=values.__setitem__)


def _async_store(values: dict[str, Any]) -> Store:
    """Stand in for the accessor from Airflow 3.3.2 on, whose synchronous methods would block the event loop."""

    async def aget(key: str) -> Any:
        return values.get(key)

    async def aset(key: str, value: Any) -> None:
        values[key] = value

    return Store(aget=aget, aset=aset, get=None, set=None)


@pytest.fixture(params=[_sync_store, _async_store], ids=["3.3.0", "3.3.2"])
def store_of(request: pytest.FixtureRequest) -> Callable[[dict[str, Any]], Store]:
    """Make a state store from a dictionary, as each Airflow has it."""
    made: Callable[[dict[str, Any]], Store] = request.param
    return made


async def test_the_first_sight_is_stored(stage: Stage, store_of: Callable[..., Store]) -> None:
    """From the first look on there is something to compare with after a restart."""
    values: dict[str, Any] = {}
    async with Watcher(stage, store_of(values)) as watcher:
        await eventually(lambda: values, "a watermark")
        assert watcher.events == []
    assert list(values) == [KEY]
    assert values[KEY]["total_count"] == 40
    assert set(values[KEY]) == {"total_count", "last_updated", "item_id", "content_hash"}


async def test_a_change_made_while_nobody_looked_is_told_after_a_restart(
    stage: Stage, store_of: Callable[..., Store]
) -> None:
    """The watermark outlives the process, so the first look after it is compared with the last one before it."""
    values: dict[str, Any] = {}
    async with Watcher(stage, store_of(values)) as watcher:
        await watcher.looks(2)
    before = {**values[KEY]}
    stage.plan.edit(3, name="While nobody looked")
    async with Watcher(stage, store_of(values)) as watcher:
        event = await watcher.has_sent(1)
        assert {**event["previous"], "content_hash": None} == before
        assert event["reason"].endswith('"While nobody looked"')
        await watcher.looks(3)
    async with Watcher(stage, store_of(values)) as watcher:
        await watcher.looks(3)
        assert watcher.events == [], "it has been told"


async def test_after_a_restart_the_watermark_counts_and_not_the_baseline(stage: Stage) -> None:
    """`destination` and `since` are for the very first sight: what was told once is not told again."""
    values: dict[str, Any] = {}
    async with Watcher(stage, _async_store(values), destination=stage.destination) as watcher:
        await watcher.has_sent(1)
        await watcher.looks(3)
    async with Watcher(stage, _async_store(values), destination=stage.destination) as watcher:
        await watcher.looks(3)
        assert watcher.events == []


async def test_a_crash_right_after_an_event_repeats_it(stage: Stage, store_of: Callable[..., Store]) -> None:
    """The triggerer has merely queued an event when it takes it: the watermark moves one look later."""
    values: dict[str, Any] = {}
    async with Watcher(stage, store_of(values)) as watcher:
        await watcher.looks(2)
    before = values[KEY]
    edited = stage.plan.edit(3)

    for _ in range(2):
        trigger = AchieveItPlanChangeTrigger(plan_id=PLAN, poll_interval=3600)
        trigger.asset_state_store = store_of(values)
        run = trigger.run()
        event = await anext(run)
        assert event.payload["current"]["item_id"] == edited["id"]
        waiting = asyncio.ensure_future(anext(run))
        await asyncio.sleep(0.2)
        assert values[KEY] == before, "not yet"
        waiting.cancel()  # the triggerer dies here
        with suppress(asyncio.CancelledError):
            await waiting
        await trigger.cleanup()

    async with Watcher(stage, store_of(values)) as watcher:
        await watcher.has_sent(1)
        await eventually(lambda: values[KEY] != before, "one look later it is stored")
        assert values[KEY]["item_id"] == edited["id"]


@pytest.mark.parametrize(
    "garbage",
    [
        "text",
        17,
        True,
        [],
        {},
        {"total_count": "40", "last_updated": None},
        {"total_count": -1, "last_updated": None},
        {"total_count": 40, "last_updated": "yesterday"},
        {"total_count": 40, "last_updated": 12},
        {"total_count": 40, "last_updated": None, "item_id": 5},
        {"total_count": 40, "last_updated": None, "item_id": None, "content_hash": 5},
    ],
    ids=repr,
)
async def test_garbage_in_the_store_is_ignored_with_a_warning(
    stage: Stage, caplog: pytest.LogCaptureFixture, garbage: Any
) -> None:
    """Anybody can edit the store: what is no watermark is a first sight, and is replaced."""
    values = {KEY: garbage}
    async with Watcher(stage, _async_store(values)) as watcher:
        await watcher.looks(3)
        assert watcher.events == []
        assert values[KEY]["total_count"] == 40
        stage.plan.edit(3)
        await watcher.has_sent(1)
    warnings = [record for record in caplog.records if "is ignored" in record.getMessage()]
    assert len(warnings) == 1
    assert KEY in warnings[0].getMessage()


async def test_each_plan_and_each_way_to_detect_has_a_watermark_of_its_own(stage: Stage) -> None:
    """Watchers that share an asset do not overwrite each other."""
    stage.export()
    stage.sandbox.put_plan("q", 3)
    values: dict[str, Any] = {}
    async with (
        Watcher(stage, _async_store(values)) as first,
        Watcher(stage, _async_store(values), plan_id="q") as second,
        Watcher(stage, _async_store(values), detect="content", destination=stage.destination) as third,
    ):
        for watcher in (first, second, third):
            await watcher.looks(2)
    assert set(values) == {KEY, "achieveit_version_q", f"achieveit_content_{PLAN}"}
    assert len(values[f"achieveit_content_{PLAN}"]["content_hash"]) == 64


async def test_several_assets_on_one_trigger_degrade_with_one_warning(
    stage: Stage, caplog: pytest.LogCaptureFixture
) -> None:
    """Airflow's own accessor cannot tell which asset is meant: the watermark then lives in memory."""
    assets = [Asset("one"), Asset("two")]
    async with Watcher(stage, AssetStateStoreAccessors(assets)) as watcher:
        await watcher.looks(3)
        for number in (1, 2):
            stage.plan.edit(3)
            await watcher.has_sent(number)
        await watcher.looks(2)
        assert len(watcher.events) == 2
    (warning,) = [record for record in caplog.records if record.levelno >= logging.WARNING]
    assert "live in memory only" in warning.getMessage()
    assert "Task has 2 concrete inlets" in warning.getMessage()


async def test_a_store_that_fails_for_a_while_is_waited_out(stage: Stage) -> None:
    """A watermark that can't be read or written is a failure like any other: the watcher goes on, and loses nothing."""
    values: dict[str, Any] = {}
    broken = True

    def refuse() -> None:
        if broken:
            raise RuntimeError("the API server is restarting")

    async def aget(key: str) -> Any:
        refuse()
        return values.get(key)

    async def aset(key: str, value: Any) -> None:
        refuse()
        values[key] = value

    async with Watcher(stage, Store(aget=aget, aset=aset)) as watcher:
        await asyncio.sleep(0.1)
        assert not watcher.ended
        broken = False
        await watcher.looks(2)
        broken = True
        stage.plan.edit(3)
        await asyncio.sleep(0.1)
        broken = False
        await watcher.has_sent(1)
        await watcher.looks(3)
        assert len(watcher.events) == 1
        newest = max(item["lastUpdated"] for item in stage.plan.items())
        assert values[KEY]["last_updated"] == newest[:26] + "Z"


async def test_the_store_is_written_to_only_when_something_has_changed(stage: Stage) -> None:
    """Each write is a request to Airflow's API server, and there may be hundreds of plans."""
    values: dict[str, Any] = {}
    written: list[Any] = []

    async def aget(key: str) -> Any:
        return values.get(key)

    async def aset(key: str, value: Any) -> None:
        values[key] = value
        written.append(value)

    async with Watcher(stage, Store(aget=aget, aset=aset)) as watcher:
        await watcher.looks(3)
        assert len(written) == 1, "the first sight"
        stage.plan.edit(3)
        await watcher.has_sent(1)
        await watcher.looks(3)
        assert len(written) == 2
        assert written[0] != written[1]


async def test_before_airflow_3_3_the_watermark_lives_in_memory(stage: Stage) -> None:
    """Without a state store a watcher works all the same; a restart is a first sight."""
    trigger = AchieveItPlanChangeTrigger(plan_id=PLAN)
    del trigger.asset_state_store
    async with Watcher(stage) as watcher:
        del watcher.trigger.asset_state_store
        await watcher.looks(2)
        stage.plan.edit(3)
        await watcher.has_sent(1)
    stage.plan.edit(3)
    async with Watcher(stage) as watcher:
        await watcher.looks(3)
        assert watcher.events == []
