"""How a trigger looks at plans: with a client that it shares, in a thread, without blocking the event loop."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TYPE_CHECKING, TypeVar

from airflow_provider_achieveit.triggers._clients import SharedClient, acquire, release, use

if TYPE_CHECKING:
    from airflow_provider_achieveit._waiting import Waiting
    from airflow_provider_achieveit.api.client import AchieveItClient
    from airflow_provider_achieveit.lake.change import Baseline

T = TypeVar("T")


class Looks:
    """The client and the baseline of a trigger, opened when they are first needed, and anew after a failure.

    Args:
        waiting: Which plans are compared with what.
    """

    def __init__(self, waiting: Waiting) -> None:
        self._waiting = waiting
        self._shared: SharedClient | None = None
        self._baseline: Baseline | None = None
        self._one_at_a_time = asyncio.Lock()

    async def call(self, function: Callable[[AchieveItClient], T]) -> T:
        """Call a function with the client, in one of the client's threads."""
        async with self._one_at_a_time:
            if self._shared is None:
                self._shared = await acquire(self._waiting.achieveit_conn_id)
            shared = self._shared
            use(shared)
        try:
            return await shared.run(function)
        finally:
            release(shared)

    @property
    def has_baseline(self) -> bool:
        """Whether the baseline is open: its store could have other credentials by now."""
        return self._baseline is not None

    def baseline(self) -> Baseline:
        """Return what is compared with. Only for a thread that `call` uses: the store's connection is asked for."""
        if self._baseline is None:
            self._baseline = self._waiting.open_baseline()
        return self._baseline

    def forget(self) -> None:
        """Let the next look read the connections again: a key may have been replaced."""
        self._baseline = None
        if self._shared is not None:
            release(self._shared)
            self._shared = None
