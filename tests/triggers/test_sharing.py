"""Watchers of one connection share one client: a few sockets and one pause, however many plans they watch."""

from __future__ import annotations

import asyncio
import itertools
import threading
from contextlib import AsyncExitStack
from urllib.parse import urlsplit

import psutil
import pytest

from tests.sensors.conftest import Stage
from tests.triggers.conftest import Watcher, eventually

pytestmark = pytest.mark.anyio

WATCHERS = 40


def _sockets(stage: Stage) -> int:
    """Count this process's client sockets to the sandbox."""
    port = urlsplit(stage.sandbox.url).port
    return sum(bool(c.raddr) and c.raddr.port == port for c in psutil.Process().net_connections("tcp"))


def _threads() -> int:
    return sum(thread.name.startswith("achieveit-watch") for thread in threading.enumerate())


def _clients() -> int:
    """Count the clients in use: each numbers its threads from 0."""
    return sum(thread.name == "achieveit-watch_0" for thread in threading.enumerate())


async def _enter(stack: AsyncExitStack, stage: Stage, count: int = WATCHERS) -> list[Watcher]:
    for number in range(count):
        stage.sandbox.put_plan(f"w{number}", 2)
    watchers = [Watcher(stage, plan_id=f"w{number}", poll_interval=0.2) for number in range(count)]
    return [await stack.enter_async_context(watcher) for watcher in watchers]


async def test_many_watchers_use_a_few_sockets_and_threads(stage: Stage) -> None:
    """As many as `max_concurrency` says, whatever the number of plans; and each tells of its own plan."""
    stage.connect(max_concurrency=3)
    stage.sandbox.latency = 0.01
    try:
        async with AsyncExitStack() as stack:
            watchers = await _enter(stack, stage)
            await asyncio.gather(*(watcher.looks(1) for watcher in watchers))
            assert 1 <= _sockets(stage) <= 3
            assert 1 <= _threads() <= 3
            assert stage.sandbox.traffic().max_in_flight <= 3
            stage.sandbox.plan("w7").edit(0)
            event = await watchers[7].has_sent(1)
            assert event["plan_id"] == "w7"
            assert sum(len(watcher.events) for watcher in watchers) == 1
    finally:
        stage.sandbox.latency = 0
    await eventually(lambda: not _threads(), "no threads")
    await eventually(lambda: not _sockets(stage), "no sockets")


async def test_a_pause_is_shared(stage: Stage) -> None:
    """When the server asks one of them to wait, none of them asks it for anything meanwhile."""
    stage.connect(max_concurrency=3, max_retry_seconds=60)
    async with AsyncExitStack() as stack:
        watchers = await _enter(stack, stage)
        await asyncio.gather(*(watcher.looks(1) for watcher in watchers))
        stage.sandbox.script({"at": 1, "fault": {"status": 429, "retry_after": 2}})
        await eventually(lambda: any(r.status == 429 for r in stage.sandbox.requests), "the 429")
        await watchers[0].looks(2)
    refused = next(request for request in stage.sandbox.requests if request.status == 429)
    arrived = [request.arrived for request in stage.sandbox.requests if request.arrived >= refused.arrived]
    # Forty plans at five looks a second each leave no gap by themselves. A few requests are already on their way.
    assert max(later - earlier for earlier, later in itertools.pairwise(arrived)) >= 1


async def test_the_last_one_out_closes(stage: Stage) -> None:
    """Who leaves does not disturb those who stay."""
    async with Watcher(stage) as stays:
        async with Watcher(stage, poll_interval=0.11):
            await stays.looks(2)
        await stays.looks(2)
        stage.plan.edit(3)
        await stays.has_sent(1)
    await eventually(lambda: not _sockets(stage) and not _threads(), "nothing left")


async def test_other_settings_mean_another_client(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    """Connections that differ share nothing; two names of the same one do."""
    monkeypatch.setenv(
        "AIRFLOW_CONN_SAME", f'{{"conn_type": "achieveit", "host": "{stage.sandbox.url}", "password": "sandbox-key"}}'
    )
    monkeypatch.setenv(
        "AIRFLOW_CONN_OTHER",
        f'{{"conn_type": "achieveit", "host": "{stage.sandbox.url}", "password": "sandbox-key", '
        '"extra": {"max_concurrency": 1}}',
    )
    stage.connect()
    async with Watcher(stage) as one, Watcher(stage, achieveit_conn_id="same", poll_interval=0.11):
        await one.looks(3)
        assert _clients() == 1
        async with Watcher(stage, achieveit_conn_id="other", poll_interval=0.12) as other:
            await other.looks(6)
            assert _clients() == 2
    await eventually(lambda: not _clients(), "no clients")
