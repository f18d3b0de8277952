"""A stage with a sandbox and a connection, and a watcher that runs as in the triggerer."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import pytest

from airflow_provider_achieveit.triggers.achieveit import AchieveItPlanChangeTrigger
from tests.sensors.conftest import PLAN, Stage
from tests.support.faulty_sandbox import Sandbox

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(scope="module")
def running() -> Iterator[Sandbox]:
    """Start a sandbox once for all tests of a file."""
    with Sandbox() as sandbox:
        yield sandbox


@pytest.fixture
def stage(running: Sandbox, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Stage:
    """A plan of 40 items, a connection to it without retries, an empty lake."""
    stage = Stage(running, tmp_path / "lake", monkeypatch)
    stage.connect(max_retry_seconds=0)
    return stage


@pytest.fixture
def anyio_backend() -> str:
    """Run asynchronous tests in asyncio, as the triggerer does."""
    return "asyncio"


async def eventually(condition: Callable[[], Any], what: str) -> None:
    """Let the event loop run until a condition is true."""
    async with asyncio.timeout(60):
        while not condition():
            await asyncio.sleep(0.01)
    assert condition(), what


class Watcher:
    """A trigger that runs as a watcher, and what it has sent; `async with` starts it and kills it."""

    def __init__(self, stage: Stage, store: Any = None, **arguments: Any) -> None:
        self._stage = stage
        plans = {} if "plan_ids" in arguments else {"plan_id": PLAN}
        self.trigger = AchieveItPlanChangeTrigger(**{"poll_interval": 0.1, **plans, **arguments})
        self._plan_id = None if "plan_ids" in arguments else arguments.get("plan_id", PLAN)
        # As the triggerer does, from Airflow 3.3 on.
        self.trigger.asset_state_store = store
        self.events: list[dict[str, Any]] = []

    async def __aenter__(self) -> Self:
        self._task = asyncio.create_task(self._collect())
        return self

    async def __aexit__(self, *_: object) -> None:
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)
        await self.trigger.cleanup()

    async def _collect(self) -> None:
        async for event in self.trigger.run():
            self.events.append(json.loads(json.dumps(event.payload)))

    @property
    def ended(self) -> bool:
        return self._task.done()

    async def looks(self, count: int) -> None:
        """Wait until it has looked so many times more, and has dealt with all but the last look at each plan."""
        before = self._stage.sandbox.traffic(self._plan_id).requests
        await eventually(lambda: self._stage.sandbox.traffic(self._plan_id).requests >= before + count + 1, "it looks")

    async def has_sent(self, count: int) -> dict[str, Any]:
        """Wait for so many events in all, and return the last one."""
        await eventually(lambda: len(self.events) >= count or self.ended, f"{count} events")
        assert len(self.events) == count
        return self.events[-1]
