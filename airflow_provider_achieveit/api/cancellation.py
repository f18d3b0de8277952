"""A way to stop work that runs in several threads."""

from __future__ import annotations

import threading

from airflow_provider_achieveit.api.errors import AchieveItClosedError


class Cancellation:
    """Ends waits and loops once somebody calls `cancel`; usable from any thread.

    A client has one. Reading a plan and landing it take it over, so that they stop when the client is closed.
    """

    def __init__(self) -> None:
        self._cancelled = threading.Event()

    @property
    def cancelled(self) -> bool:
        """Whether `cancel` was called."""
        return self._cancelled.is_set()

    def cancel(self) -> None:
        """End all waits, now and later."""
        self._cancelled.set()

    def check(self) -> None:
        """Return if the work may go on.

        Raises:
            AchieveItClosedError: It was cancelled.
        """
        if self._cancelled.is_set():
            raise AchieveItClosedError("the client was closed")

    def sleep(self, seconds: float) -> None:
        """Sleep.

        Raises:
            AchieveItClosedError: It was cancelled before or meanwhile.
        """
        self._cancelled.wait(seconds)
        self.check()
