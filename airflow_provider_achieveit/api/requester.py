"""The requests of a client: few at a time, repeated until an answer can be decoded, with pauses that all share."""

from __future__ import annotations

import logging
import threading
from collections import deque
from collections.abc import Callable, Generator, Iterable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import suppress
from typing import TypeVar

from airflow_provider_achieveit.api.body import BodyRoom, BodyShare, check_values
from airflow_provider_achieveit.api.cancellation import Cancellation
from airflow_provider_achieveit.api.errors import AchieveItError, AchieveItTimeoutError
from airflow_provider_achieveit.api.response import error_of
from airflow_provider_achieveit.api.retry import Pauses, RetryBudget
from airflow_provider_achieveit.api.settings import ClientSettings
from airflow_provider_achieveit.api.throttle import Throttle
from airflow_provider_achieveit.api.transport import Transport

log = logging.getLogger(__name__)
T = TypeVar("T")

#: Seconds in which the threads of a call that was cut have ended, but for what no thread can be kept from.
_JOIN_SECONDS = 2.0


class Requester:
    """Sends requests about plans, from any number of threads.

    Args:
        api_key: The key.
        settings: Of the client.
        cancellation: Of the client.
        pauses: Of the client.

    Raises:
        AchieveItConfigError: The environment's proxy or CA bundle can't be used.
    """

    def __init__(self, api_key: str, settings: ClientSettings, cancellation: Cancellation, pauses: Pauses) -> None:
        self.settings = settings
        self.pauses = pauses
        self.cancellation = cancellation
        self._transport = Transport(api_key, settings)
        self.redactor = self._transport.redactor
        self._throttle = Throttle(settings.max_concurrency, settings.requests_per_second)
        self._room = BodyRoom()
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
        """Close connections and end the threads; `cancellation` has ended what was under way before."""
        self._pool.shutdown(wait=False)
        self._decoder.shutdown(wait=False)
        self._transport.close()

    def fetch(
        self,
        plan_id: str,
        params: Mapping[str, str | int],
        decode: Callable[[bytes], T],
        on_try: Callable[[], None],
        cancellation: Cancellation,
    ) -> T:
        """Send a request until its answer can be decoded or the time budget is over.

        Args:
            plan_id: Id of the plan.
            params: Query parameters.
            decode: Turns the body into the result, in the one thread that decodes.
            on_try: Called before each try.
            cancellation: Of this call.

        Raises:
            AchieveItError: As in `api.errors`.
        """
        # A pause that is on already is not part of the budget.
        self._throttle.wait_for_pause(cancellation)
        budget = RetryBudget(self.settings.max_retry_seconds, self.pauses.first_retry)
        while True:
            budget.begin()
            try:
                return self._try(plan_id, params, decode, on_try, budget, cancellation)
            except AchieveItError as error:
                problem = error.about(plan_id)
                # What it came of can hold the body, in which a server could echo the key.
                problem.__cause__ = problem.__context__ = None
            delay = budget.delay(problem)
            if delay is None:
                raise budget.given_up(problem)
            log.warning("%s Trying again in %.1f s.", problem, delay)
            cancellation.sleep(delay)

    def _try(
        self,
        plan_id: str,
        params: Mapping[str, str | int],
        decode: Callable[[bytes], T],
        on_try: Callable[[], None],
        budget: RetryBudget,
        cancellation: Cancellation,
    ) -> T:
        share = BodyShare(self._room)
        try:
            body = self._send(plan_id, params, on_try, budget, share, cancellation)
            check_values(body)
            decoded = self._submit(self._decoder, decode, body)
        except BaseException:
            share.release()
            raise
        decoded.add_done_callback(lambda _: share.release())
        return self._result(decoded, self._time_limit(budget), cancellation)

    def _send(
        self,
        plan_id: str,
        params: Mapping[str, str | int],
        on_try: Callable[[], None],
        budget: RetryBudget,
        share: BodyShare,
        cancellation: Cancellation,
    ) -> bytes:
        with self._throttle.slot(cancellation):
            on_try()
            limit = self._time_limit(budget)
            response = self._transport.get(f"/exports/plans/{plan_id}", params, limit, share, cancellation)
            problem = error_of(response)
            if problem is None:
                return response.body
            if problem.status == 429 or problem.retry_after is not None:
                # Before the slot is free: who gets it next must not send into the pause.
                self._throttle.pause(budget.delay(problem) or 0.0)
            raise problem

    def _time_limit(self, budget: RetryBudget) -> float:
        """Return the seconds for one try: the last one may start just before the budget is over."""
        return max(budget.remaining, self.settings.read_timeout)

    def _submit(self, pool: ThreadPoolExecutor, call: Callable[..., T], *arguments: object) -> Future[T]:
        try:
            return pool.submit(call, *arguments)
        except RuntimeError:  # after `close`
            self.cancellation.check()
            raise

    def _result(self, future: Future[T], seconds: float, cancellation: Cancellation) -> T:
        """Wait for what another thread decodes, which nothing can interrupt, no longer than for an answer."""
        done = threading.Event()
        future.add_done_callback(lambda _: done.set())
        try:
            with cancellation.on_cancel(done.set):
                done.wait(seconds)
                cancellation.check()
        finally:
            future.cancel()  # where it has not begun
        if not future.done() or future.cancelled():
            raise AchieveItTimeoutError(f"the answer was not decoded within {seconds:.1f} s", status=200)
        return future.result()

    def fetch_ahead(self, calls: Iterable[Callable[[Cancellation], T]]) -> Generator[T]:
        """Make calls in the client's threads, a few ahead of what was taken, and yield their results in order.

        However this ends, the calls that are under way are cut, so that nobody waits for them and their retries. The
        first error ends it, also that of a call whose turn has not come.

        Args:
            calls: Drawn when it is their turn.
        """
        waiting: deque[Future[T]] = deque()
        failures: list[BaseException] = []
        with self.cancellation.call() as cancellation:

            def make(call: Callable[[Cancellation], T]) -> T:
                try:
                    return call(cancellation)
                except BaseException as error:
                    failures.append(error)
                    cancellation.cancel()  # the others fail now as well, but after this one
                    raise

            def take() -> T:
                with suppress(Exception):
                    return waiting.popleft().result()
                raise failures[0]

            try:
                for call in calls:
                    waiting.append(self._submit(self._pool, make, call))
                    if len(waiting) > self._threads:
                        yield take()
                while waiting:
                    yield take()
            finally:
                cancellation.cancel()
                for future in waiting:
                    future.cancel()
                wait(waiting, _JOIN_SECONDS)
