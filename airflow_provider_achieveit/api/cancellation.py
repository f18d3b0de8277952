"""A way to stop work that runs in several threads."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from airflow_provider_achieveit.api.errors import AchieveItClosedError


class Cancellation:
    """Ends waits, requests and loops once somebody calls `cancel`; usable from any thread.

    A client has one. Reading a plan and landing it take it over, so that they stop when the client is closed.
    """

    def __init__(self) -> None:
        self._event = threading.Event()
        self._lock = threading.Lock()
        self._actions: dict[object, Callable[[], None]] = {}

    @property
    def cancelled(self) -> bool:
        """Whether `cancel` was called."""
        return self._event.is_set()

    def cancel(self) -> None:
        """End what is under way, and all that is begun later.

        Not for signal handlers: what they interrupt may hold a lock that this needs. `AchieveItClient.close` is.
        """
        self._event.set()
        with self._lock:
            actions = list(self._actions.values())
        for action in actions:
            action()

    def check(self) -> None:
        """Return if the work may go on.

        Raises:
            AchieveItClosedError: It was cancelled.
        """
        if self._event.is_set():
            raise self.error()

    @staticmethod
    def error() -> AchieveItClosedError:
        """Return the error of what was cancelled."""
        return AchieveItClosedError(
            "the client was closed while it was in use: the task was ended (SIGTERM, marked failed or timed out), "
            "or the program closed it"
        )

    def sleep(self, seconds: float) -> None:
        """Sleep.

        Raises:
            AchieveItClosedError: It was cancelled before or meanwhile.
        """
        self._event.wait(seconds)
        self.check()

    @contextmanager
    def on_cancel(self, action: Callable[[], None]) -> Iterator[None]:
        """Call a function if `cancel` is called while the block runs, so that what blocks in it ends.

        It is called by the thread that cancels, perhaps twice, or just after the block has ended.

        Raises:
            AchieveItClosedError: It was cancelled before.
        """
        token = object()
        with self._lock:
            self._actions[token] = action
        try:
            self.check()
            yield
        finally:
            with self._lock:
                del self._actions[token]

    @contextmanager
    def call(self) -> Iterator[Cancellation]:
        """Open a cancellation of one call: cancelled with this one, and however the block ends.

        Raises:
            AchieveItClosedError: This one was cancelled before.
        """
        call = Cancellation()
        with self.on_cancel(call.cancel):
            try:
                yield call
            finally:
                call.cancel()
