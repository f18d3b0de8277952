"""One client for all triggers of a process that use the same connection: one pool of sockets, one shared pause.

Each client has a few threads of its own, so that an AchieveIt that does not answer holds up nobody else's triggers.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from typing import TYPE_CHECKING, TypeVar

from airflow_provider_achieveit.hooks.achieveit import AchieveItHook

if TYPE_CHECKING:
    from airflow_provider_achieveit.api.client import AchieveItClient
    from airflow_provider_achieveit.api.settings import ClientSettings

T = TypeVar("T")


class SharedClient:
    """A client with its threads, and how many triggers hold it."""

    def __init__(self, api_key: str, settings: ClientSettings) -> None:
        from airflow_provider_achieveit.api.client import AchieveItClient

        self.client = AchieveItClient(api_key, settings)
        self.holders = 0
        self._threads = ThreadPoolExecutor(settings.max_concurrency, thread_name_prefix="achieveit-watch")

    async def run(self, function: Callable[[AchieveItClient], T]) -> T:
        """Call a function with the client in one of its threads, without blocking the event loop."""
        context = copy_context()
        return await asyncio.get_running_loop().run_in_executor(
            self._threads, lambda: context.run(function, self.client)
        )

    def close(self) -> None:
        """End what is under way; waits for nothing."""
        self.client.close()
        self._threads.shutdown(wait=False, cancel_futures=True)


_shared: dict[tuple[str, ClientSettings], SharedClient] = {}
_lock = threading.Lock()


async def acquire(achieveit_conn_id: str) -> SharedClient:
    """Return the client of a connection, without blocking the event loop.

    Raises:
        AchieveItConfigError: The connection can't be used.
    """

    def resolve() -> tuple[str, ClientSettings]:
        import airflow_provider_achieveit.api.client  # noqa: F401  # takes a while, so not on the event loop either

        return AchieveItHook(achieveit_conn_id).client_arguments()

    # On the event loop, resolving a connection can deadlock every trigger of the process.
    key = await asyncio.to_thread(resolve)
    with _lock:
        if key not in _shared:
            _shared[key] = SharedClient(*key)
        _shared[key].holders += 1
        return _shared[key]


def release(shared: SharedClient) -> None:
    """Give a client back; the last one to do so closes it."""
    with _lock:
        shared.holders -= 1
        if shared.holders:
            return
        for key in [key for key, value in _shared.items() if value is shared]:
            del _shared[key]
    shared.close()
