"""A triggerer runs hundreds of triggers on one event loop: ours must never hold it up."""

from __future__ import annotations

import asyncio
import os
import threading
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from types import SimpleNamespace
from typing import Any

import pytest
from airflow.sdk.configuration import clear_secrets_backends_cache

from tests.sensors.conftest import Stage
from tests.triggers.conftest import Watcher, eventually

pytestmark = pytest.mark.anyio

#: What everything below takes when it is slow. The loop may be late by far less, also on a busy machine.
SLOW = 3.0
LATE = 1.0


@asynccontextmanager
async def ticking() -> AsyncIterator[list[float]]:
    """Measure how late the event loop is, in seconds, all the time."""
    lags: list[float] = []

    async def tick() -> None:
        while True:
            due = time.monotonic() + 0.01
            await asyncio.sleep(0.01)
            lags.append(time.monotonic() - due)

    ticker = asyncio.create_task(tick())
    yield lags
    ticker.cancel()


async def test_not_while_the_server_hangs(stage: Stage) -> None:
    """A request that gets no answer waits in a thread."""
    async with ticking() as lags, Watcher(stage) as watcher:
        await watcher.looks(2)
        stage.sandbox.script({"at": 1, "fault": {"hang": SLOW}})
        stage.sandbox.reset_requests()
        await watcher.looks(1)
        hung = stage.sandbox.requests[0]
        assert hung.finished - hung.arrived >= SLOW * 0.9
    assert max(lags) < LATE
    assert sorted(lags)[len(lags) // 2] < 0.1


async def test_not_while_the_client_waits_between_tries(stage: Stage) -> None:
    """Neither does a pause that the server asks for."""
    stage.connect(max_retry_seconds=60)
    async with ticking() as lags, Watcher(stage) as watcher:
        await watcher.looks(1)
        stage.sandbox.script({"at": 1, "fault": {"status": 429, "retry_after": SLOW}})
        await watcher.looks(2)
    assert max(lags) < LATE


async def test_not_while_a_whole_plan_is_read(stage: Stage) -> None:
    """Comparing content means work, all of it in a thread."""
    stage.sandbox.put_plan("big", 4000)
    stage.sandbox.latency = 1.0
    try:
        async with (
            ticking() as lags,
            Watcher(stage, plan_id="big", detect="content", destination=stage.destination) as watcher,
        ):
            await watcher.has_sent(1)
    finally:
        stage.sandbox.latency = 0
    assert max(lags) < 3, "on the event loop, a version, three pages and a version would take five seconds"


@pytest.fixture
def slow_secrets(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Let the connection come from a secrets backend that takes a second."""
    monkeypatch.setenv("SLOW_SECRETS_CONNECTION", os.environ["AIRFLOW_CONN_ACHIEVEIT_DEFAULT"])
    monkeypatch.delenv("AIRFLOW_CONN_ACHIEVEIT_DEFAULT")
    monkeypatch.setenv("AIRFLOW__SECRETS__BACKEND", "tests.triggers.slow_secrets.SlowSecrets")
    clear_secrets_backends_cache()
    yield
    clear_secrets_backends_cache()


async def test_not_while_the_connection_is_resolved(stage: Stage, slow_secrets: None) -> None:
    """Secrets backends are synchronous and may be far away."""
    async with ticking() as lags, Watcher(stage) as watcher:
        started = time.monotonic()
        await watcher.looks(1)
        assert time.monotonic() - started >= 1
    assert max(lags) < 0.9


async def test_not_while_an_old_state_store_is_asked(stage: Stage) -> None:
    """The store of Airflow 3.3.0 has synchronous methods only."""
    values: dict[str, Any] = {}

    def get(key: str) -> Any:
        time.sleep(1)
        return values.get(key)

    def put(key: str, value: Any) -> None:
        time.sleep(1)
        values[key] = value

    async with ticking() as lags, Watcher(stage, SimpleNamespace(get=get, set=put)):
        await eventually(lambda: values, "a watermark")
    assert max(lags) < 0.9


async def test_a_watcher_that_is_cancelled_while_a_request_hangs_ends_promptly(stage: Stage) -> None:
    """The request is cut, its thread ends, nothing waits for the server."""
    watcher = Watcher(stage)
    async with ticking() as lags, watcher:
        await watcher.looks(1)
        stage.sandbox.script({"fault": {"hang": 120}})
        stage.sandbox.reset_requests()
        await eventually(lambda: stage.sandbox.traffic().in_flight, "a request under way")
        started = time.monotonic()
    assert time.monotonic() - started < 10
    assert max(lags) < LATE
    await eventually(lambda: not _threads(), "the end of its threads")
    await eventually(lambda: not stage.sandbox.traffic().in_flight, "the end of the request")


async def test_a_watcher_that_is_cancelled_while_its_connection_is_resolved_leaves_nothing(
    stage: Stage, slow_secrets: None
) -> None:
    """What the thread comes back with is held by nobody."""
    async with Watcher(stage):
        await asyncio.sleep(0.3)
    await asyncio.sleep(1.2)
    assert stage.requests == 0
    async with Watcher(stage) as watcher:
        await watcher.looks(1)
        assert _threads()
    await eventually(lambda: not _threads(), "the end of its threads: nobody else holds the client")


def _threads() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name.startswith("achieveit-watch")]
