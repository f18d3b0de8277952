"""The requests of a client: few at a time, repeated until an answer can be decoded, with pauses that all share."""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Generator, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

from airflow_provider_achieveit.api.cancellation import Cancellation
from airflow_provider_achieveit.api.errors import AchieveItError
from airflow_provider_achieveit.api.response import body_of
from airflow_provider_achieveit.api.retry import SharedPause, backoff
from airflow_provider_achieveit.api.settings import ClientSettings
from airflow_provider_achieveit.api.transport import Response, Transport

log = logging.getLogger(__name__)
T = TypeVar("T")


class Requester:
    """Sends requests about plans, from any number of threads.

    Args:
        api_key: The key.
        settings: Of the client.
        cancellation: Ends waits.
    """

    def __init__(self, api_key: str, settings: ClientSettings, cancellation: Cancellation) -> None:
        self.settings = settings
        self.cancellation = cancellation
        self._transport = Transport(api_key, settings)
        self.redacted = self._transport.redacted
        self._pause = SharedPause(cancellation)
        self._slots = threading.BoundedSemaphore(settings.max_concurrency)
        # One thread more than requests at a time: a page is decoded while the next ones are on their way. But one
        # request at a time means the pages in their order, which two threads would not keep.
        self._threads = 1 if settings.max_concurrency == 1 else settings.max_concurrency + 1
        self._pool = ThreadPoolExecutor(self._threads, thread_name_prefix="achieveit")
        # One thread decodes. Several would each keep the memory that a page takes, and gain nothing: a page is decoded
        # in a small part of the time that the API takes for it.
        self._decoder = ThreadPoolExecutor(1, thread_name_prefix="achieveit-decode")

    @property
    def sent(self) -> int:
        """How many requests were sent so far, tries included."""
        return self._transport.sent

    def close(self) -> None:
        """End the requests under way and the threads; `cancellation` has ended the waits before."""
        self._transport.close()
        self._pool.shutdown(wait=False)
        self._decoder.shutdown(wait=False)

    def fetch(
        self, plan_id: str, params: dict[str, str | int], decode: Callable[[bytes], T], on_try: Callable[[], None]
    ) -> T:
        """Send a request until its answer can be decoded or the time budget is over.

        Args:
            plan_id: Id of the plan.
            params: Query parameters.
            decode: Turns the body into the result.
            on_try: Called before each try.

        Raises:
            AchieveItError: As in `api.errors`.
        """
        self._pause.wait()
        deadline = time.monotonic() + self.settings.max_retry_seconds
        tries = 0
        while True:
            tries += 1
            delay = backoff(tries)
            try:
                body = body_of(self._send(plan_id, params, deadline, delay, on_try))
                return self._submit(self._decoder, decode, body).result()
            except AchieveItError as error:
                problem = error.about(plan_id)
                # What it came of can hold the body, in which a server could echo the key.
                problem.__cause__ = problem.__context__ = None
            self._wait_or_raise(problem, tries, deadline, delay)

    def _send(
        self, plan_id: str, params: dict[str, str | int], deadline: float, delay: float, on_try: Callable[[], None]
    ) -> Response:
        with self._slots:
            # In this order: who has waited for a slot must not send into a pause.
            self._pause.wait()
            on_try()
            # The last try may start just before the deadline: it still gets one read timeout.
            time_limit = max(deadline - time.monotonic(), self.settings.read_timeout)
            response = self._transport.get(f"/exports/plans/{plan_id}", params, time_limit)
            if response.status == 429 or response.retry_after is not None:
                pause = max(response.retry_after or 0.0, delay)
                if time.monotonic() + pause <= deadline:
                    self._pause.pause(pause)  # before the slot is free: who gets it next must not send into the pause
            return response

    def _submit(self, pool: ThreadPoolExecutor, call: Callable[..., T], *arguments: object) -> Future[T]:
        try:
            return pool.submit(call, *arguments)
        except RuntimeError:  # after `close`
            self.cancellation.check()
            raise

    def _wait_or_raise(self, problem: AchieveItError, tries: int, deadline: float, delay: float) -> None:
        """Sleep until the next try, or raise the problem if there is to be none."""
        if not problem.retry_request:
            raise problem
        delay = max(problem.retry_after or 0.0, delay)
        if time.monotonic() + delay > deadline:
            budget = f"max_retry_seconds={self.settings.max_retry_seconds:g}"
            problem.what = f"{problem.what} (given up at try {tries}: {budget})"
            raise problem
        log.warning("%s Trying again in %.1f s.", problem, delay)
        self.cancellation.sleep(delay)

    def fetch_ahead(self, calls: Iterable[Callable[[], T]]) -> Generator[T]:
        """Make calls in the client's threads, a few ahead of what was taken, and yield their results in order."""
        waiting: deque[Future[T]] = deque()
        try:
            for call in calls:
                waiting.append(self._submit(self._pool, call))
                if len(waiting) > self._threads:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        finally:
            for future in waiting:
                future.cancel()
            # No request of this call is under way when the next one begins.
            for future in waiting:
                if not future.cancelled():
                    future.exception()
