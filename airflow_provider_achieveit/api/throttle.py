"""When a request may be sent: few at a time, none during a pause, and no more in a second than allowed."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

from airflow_provider_achieveit.api.cancellation import Cancellation


class Throttle:
    """Holds back the requests of all threads of a client.

    Args:
        max_concurrency: Requests in flight at once.
        requests_per_second: Requests sent in a second, on average; 0 for no limit.
    """

    def __init__(self, max_concurrency: int, requests_per_second: float) -> None:
        self._condition = threading.Condition()
        self._free = max_concurrency
        self._interval = 1 / requests_per_second if requests_per_second else 0.0
        self._resume_at = 0.0
        self._next_at = 0.0

    @contextmanager
    def slot(self, cancellation: Cancellation) -> Iterator[None]:
        """Wait until a request may be sent, and let it be sent within the block.

        Raises:
            AchieveItClosedError: It was cancelled meanwhile.
        """
        with cancellation.on_cancel(self._wake), self._condition:
            self._wait(cancellation)
            self._free -= 1
            self._next_at = max(self._next_at, time.monotonic()) + self._interval
        try:
            yield
        finally:
            with self._condition:
                self._free += 1
                self._condition.notify()

    def _wait(self, cancellation: Cancellation) -> None:
        while True:
            cancellation.check()
            # Looked at after each wait: a pause may have begun while this thread waited for its slot.
            seconds = max(self._resume_at, self._next_at) - time.monotonic()
            if self._free and seconds <= 0:
                return
            self._condition.wait(seconds if self._free else None)

    def _wake(self) -> None:
        with self._condition:
            self._condition.notify_all()

    def pause(self, seconds: float) -> None:
        """Hold back all requests for `seconds`: one 429 slows every request, not only the one that met it."""
        with self._condition:
            self._resume_at = max(self._resume_at, time.monotonic() + seconds)

    def wait_for_pause(self, cancellation: Cancellation) -> None:
        """Return when no pause is on.

        Raises:
            AchieveItClosedError: It was cancelled meanwhile.
        """
        cancellation.check()
        while (seconds := self._resume_at - time.monotonic()) > 0:
            cancellation.sleep(seconds)
