"""One client for all triggers of a process that use the same connection: one pool of sockets, one shared pause.

Each client has a few threads of its own, so that an AchieveIt that does not answer holds up nobody else's triggers.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, TypeVar

from asgiref.sync import sync_to_async

from airflow_provider_achieveit.hooks.achieveit import AchieveItHook

if TYPE_CHECKING:
    from airflow_provider_achieveit.api.client import AchieveItClient
    from airflow_provider_achieveit.api.settings import ClientSettings

T = TypeVar("T")


async def in_thread(function: Callable[[], T], threads: ThreadPoolExecutor | None = None) -> T:
    """Call a blocking function in a thread that may ask Airflow for connections, without blocking the event loop.

    Only the triggerer's event loop may ask Airflow's supervisor: `asgiref` leads a thread's question back to it. From
    any other thread, Airflow before 3.2 reads the answers in two places at once, and the whole triggerer dies.
    For the same reason a call goes on to its end when its trigger is cancelled: a question that is given up
    leaves an answer that the next one would take for its own.

    Args:
        function: What to call.
        threads: Where to call it; None for the event loop's own threads.
    """
    call = asyncio.ensure_future(sync_to_async(function, thread_sensitive=False, executor=threads)())
    call.add_done_callback(lambda done: done.cancelled() or done.exception())  # nobody may be waiting for it any more
    return await asyncio.shield(call)


class SharedClient:
    """A client with its threads, and how many triggers and looks use it."""

    def __init__(self, api_key: str, settings: ClientSettings) -> None:
        from airflow_provider_achieveit.api.client import AchieveItClient

        self.client = AchieveItClient(api_key, settings)
        self.users = 0
        self._threads = ThreadPoolExecutor(settings.max_concurrency, thread_name_prefix="achieveit-watch")

    async def run(self, function: Callable[[AchieveItClient], T]) -> T:
        """Call a function with the client in one of its threads, without blocking the event loop."""
        return await in_thread(lambda: function(self.client), self._threads)

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

        return AchieveItHook(achieveit_conn_id)._client_arguments()

    key = await in_thread(resolve)
    with _lock:
        if key not in _shared:
            _shared[key] = SharedClient(*key)
        _shared[key].users += 1
        return _shared[key]


def use(shared: SharedClient) -> None:
    """Note one more user of a client, who gives it back as well."""
    with _lock:
        shared.users += 1


def release(shared: SharedClient) -> None:
    """Give a client back; the last one to do so closes it."""
    with _lock:
        shared.users -= 1
        if shared.users:
            return
        for key in [key for key, value in _shared.items() if value is shared]:
            del _shared[key]
    shared.close()
